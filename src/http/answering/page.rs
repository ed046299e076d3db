//! The HTML of the answer page: one column that any telephone shows, no script, no picture, nothing from elsewhere, both
//! languages side by side. Every text of the warning is escaped. Pure.

use axum::http::StatusCode;
use citywatch_alerting::cap::Language;
use citywatch_alerting::ledger::{AnswerWord, Delivery, WarningEntry, WarningState};
use citywatch_alerting::sheet::{self, escape};
use citywatch_alerting::warning::WarningKind;

const STYLE: &str = "\
body{margin:0;font:18px/1.5 sans-serif;color:#1a1a1a;background:#fff}\
main{max-width:40rem;margin:0 auto;padding:0 1rem 2rem}\
h1{font-size:1.25rem;margin:0 -1rem 1rem;padding:1rem}\
h1 small{display:block;font-size:.9rem;font-weight:normal}\
.blue{background:#1565c0;color:#fff}.yellow{background:#fdd835}.orange{background:#f57c00}\
.red{background:#c62828;color:#fff}.over{background:#e0e0e0}\
.note{border-left:.4rem solid #1a1a1a;padding:.5rem .75rem;margin:0 0 1rem;background:#f1f1f1;font-weight:bold}\
dl{margin:0 0 1rem}dt{color:#555;font-size:.85rem}dd{margin:0 0 .5rem;white-space:pre-line;overflow-wrap:anywhere}\
label{display:block;margin:.75rem 0}input,textarea{box-sizing:border-box;width:100%;font:inherit;padding:.5rem}\
button{display:block;width:100%;margin:.75rem 0;padding:1rem;font:inherit;font-size:1.2rem;border:2px solid #1a1a1a;\
border-radius:.5rem;background:#fff;color:#1a1a1a}button.next{background:#1a4b8c;color:#fff;border-color:#1a4b8c}";

/// Everything that the page shows.
pub struct Page<'a> {
    pub delivery: &'a Delivery,
    pub entry: &'a WarningEntry,
    /// The newest message of the chain, if it is another one.
    pub newer: Option<&'a WarningEntry>,
    /// Longest name and note, in characters.
    pub limits: (usize, usize),
    /// Lets the style through.
    pub nonce: &'a str,
}

impl Page<'_> {
    /// The whole document.
    pub fn html(&self) -> String {
        let warning = &self.entry.warning;
        let [zh, en] = Language::ALL.map(|language| escape(&sheet::heading(warning, language)));
        let band = if self.is_over() {
            "over"
        } else {
            warning.level.word()
        };
        let mut body = format!("<h1 class=\"{band}\">{zh}<small lang=\"en\">{en}</small></h1>\n");
        body.push_str(&self.state());
        body.push_str(&self.answered());
        body.push_str(&self.form());
        for language in Language::ALL {
            body.push_str(&format!("<dl lang=\"{}\">\n", language.tag()));
            for line in sheet::lines(warning, language) {
                body.push_str(&format!(
                    "<dt>{}</dt><dd>{}</dd>\n",
                    escape(line.label),
                    escape(&line.text)
                ));
            }
            body.push_str("</dl>\n");
        }
        document(&zh, &body, self.nonce)
    }

    /// What holds now: the newest message may have ended what an earlier one only changed.
    fn state_now(&self) -> WarningState {
        let last = self
            .newer
            .map_or(&self.entry.warning, |newer| &newer.warning);
        match last.kind {
            WarningKind::Withdrawn => WarningState::Withdrawn,
            WarningKind::Lifted => WarningState::Lifted,
            WarningKind::Issued | WarningKind::Updated | WarningKind::Corrected => self.entry.state,
        }
    }

    /// Whether there is no danger, or no longer.
    fn is_over(&self) -> bool {
        matches!(
            self.state_now(),
            WarningState::Lifted | WarningState::Withdrawn
        )
    }

    /// What has become of the warning since it was sent.
    fn state(&self) -> String {
        let (zh, en) = match self.state_now() {
            WarningState::InForce | WarningState::Final => return String::new(),
            WarningState::Withdrawn => (
                "本预警已撤销：系误报，请勿据此行动。",
                "This warning is withdrawn: it was a false alarm. Do not act on it.",
            ),
            WarningState::Lifted => (
                "本预警已解除：危险已经过去。",
                "This warning is lifted: the danger is over.",
            ),
            WarningState::Superseded => (
                "本预警已有新的消息，以新消息为准：",
                "There is a newer message, which holds instead:",
            ),
            WarningState::Expired => (
                "本预警已过有效期。",
                "This warning is no longer in force: its time has passed.",
            ),
        };
        let newest = self.newer.map_or_else(String::new, |newer| {
            let [zh, en] =
                Language::ALL.map(|language| escape(&sheet::heading(&newer.warning, language)));
            format!("<br>{zh}<br><span lang=\"en\">{en}</span>")
        });
        format!("<p class=\"note\">{zh}<br><span lang=\"en\">{en}</span>{newest}</p>\n")
    }

    /// What was answered before.
    fn answered(&self) -> String {
        let (Some(word), Some(by)) = (self.delivery.answer, &self.delivery.answered_by) else {
            return String::new();
        };
        let (zh, en) = words(word);
        let note = self.delivery.answer_note.as_deref().unwrap_or_default();
        let colon = if note.is_empty() { "" } else { "：" };
        format!(
            "<p class=\"note\">已回复 Answered: {zh} {en}<br>{}{colon}{}</p>\n",
            escape(by),
            escape(note)
        )
    }

    fn form(&self) -> String {
        let (name_chars, note_chars) = self.limits;
        let withdrawn = self.state_now() == WarningState::Withdrawn;
        let next = self.delivery.answer.map_or(1, |word| word as i64 + 1);
        let all = [AnswerWord::Received, AnswerWord::OnTheWay, AnswerWord::Done];
        // nobody sets out on a false alarm
        let offered = all
            .into_iter()
            .filter(|word| !withdrawn || *word == AnswerWord::Received);
        let buttons: String = offered.map(|word| button(word, next)).collect();
        format!(
            "<form method=\"post\">\n{buttons}\
             <label>姓名 Name<input name=\"name\" maxlength=\"{name_chars}\" autocomplete=\"name\"></label>\n\
             <label>说明 Note<textarea name=\"note\" rows=\"3\" maxlength=\"{note_chars}\"></textarea></label>\n</form>\n"
        )
    }
}

/// What an answer is called.
const fn words(word: AnswerWord) -> (&'static str, &'static str) {
    match word {
        AnswerWord::Received => ("收到", "Received"),
        AnswerWord::OnTheWay => ("出动", "On the way"),
        AnswerWord::Done => ("完成", "Done"),
    }
}

/// The step that comes next is marked.
fn button(word: AnswerWord, next: i64) -> String {
    let value = match word {
        AnswerWord::Received => "received",
        AnswerWord::OnTheWay => "on_the_way",
        AnswerWord::Done => "done",
    };
    let (zh, en) = words(word);
    let class = if word as i64 == next {
        " class=\"next\""
    } else {
        ""
    };
    format!("<button name=\"word\" value=\"{value}\"{class}>{zh} {en}</button>\n")
}

/// Why there is no page.
#[derive(Debug, Clone, Copy)]
pub enum Message {
    Forged,
    Expired,
    Unreadable,
    TooLong,
    NotKept,
}

impl Message {
    pub const fn status(self) -> StatusCode {
        match self {
            Message::Forged => StatusCode::NOT_FOUND,
            Message::Expired => StatusCode::GONE,
            Message::Unreadable | Message::TooLong => StatusCode::UNPROCESSABLE_ENTITY,
            Message::NotKept => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Message::Forged => (
                "链接无效：请核对短信或邮件中的完整链接，或直接致电值班室。",
                "This link is not valid: check that it was copied completely, or call the duty room.",
            ),
            Message::Expired => (
                "链接已过期：如需回复，请致电值班室。",
                "This link has expired: to answer, call the duty room.",
            ),
            Message::Unreadable => (
                "未收到回复内容：请返回后重新选择。",
                "The answer could not be read: go back and choose again.",
            ),
            Message::TooLong => (
                "姓名或说明过长，未保存：请返回后缩短。",
                "Name or note is too long, nothing was kept: go back and shorten it.",
            ),
            Message::NotKept => (
                "回复未能保存：请稍后再试，或致电值班室。",
                "The answer could not be kept: try again, or call the duty room.",
            ),
        }
    }

    pub fn html(self, nonce: &str) -> String {
        let (zh, en) = self.words();
        let body = format!("<p class=\"note\">{zh}<br><span lang=\"en\">{en}</span></p>\n");
        document("守望 Citywatch", &body, nonce)
    }
}

/// `title` and `body` are HTML already.
fn document(title: &str, body: &str, nonce: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex,nofollow\"><meta name=\"referrer\" content=\"no-referrer\">\
         <title>{title}</title><style nonce=\"{nonce}\">{STYLE}</style></head>\n<body><main>\n{body}</main></body></html>\n"
    )
}
