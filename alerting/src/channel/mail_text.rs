//! The words of a mail: subject, plain text and HTML, Chinese first and English below it. Pure; every text of the
//! warning is escaped in HTML, and the subject is one line whatever the warning holds.

use citywatch_model::Level;

use crate::cap::{Language, one_line};
use crate::sheet::{self, escape};
use crate::warning::Warning;

/// Longer subjects are cut by mail programs anyway.
const SUBJECT_CHARS: usize = 120;

/// Chinese headline and English one.
pub(super) fn subject(warning: &Warning) -> String {
    let [zh, en] =
        Language::ALL.map(|language| one_line(&sheet::heading(warning, language), SUBJECT_CHARS));
    if zh == en { zh } else { format!("{zh} | {en}") }
}

/// What stands above the lines of a message that is not meant.
fn notice(warning: &Warning, language: Language) -> &'static str {
    use crate::warning::Status;
    match (warning.status, language) {
        (Status::Actual, _) => "",
        (Status::Exercise, Language::Chinese) => "本消息为演练，仅参演人员响应。",
        (Status::Exercise, Language::English) => {
            "This is an exercise: only those who take part act."
        }
        (Status::Test, Language::Chinese) => "本消息为线路测试，请勿采取行动。",
        (Status::Test, Language::English) => "This is a test of the line: do not act on it.",
        (Status::Draft, Language::Chinese) => "本消息为草稿，请勿采取行动。",
        (Status::Draft, Language::English) => "This is a draft: do not act on it.",
    }
}

const fn invitation(language: Language) -> &'static str {
    match language {
        Language::Chinese => "请回复（收到、出动、完成）",
        Language::English => "Answer (received, on the way, done)",
    }
}

/// The plain part.
pub(super) fn plain(warning: &Warning, answer_url: Option<&str>) -> String {
    let parts = Language::ALL.map(|language| plain_part(warning, answer_url, language));
    parts.join("\n--------------------------------\n\n")
}

fn plain_part(warning: &Warning, answer_url: Option<&str>, language: Language) -> String {
    let mut text = format!("{}\n\n", sheet::heading(warning, language));
    let notice = notice(warning, language);
    if !notice.is_empty() {
        text.push_str(&format!("{notice}\n\n"));
    }
    let colon = match language {
        Language::Chinese => "：",
        Language::English => ": ",
    };
    for line in sheet::lines(warning, language) {
        text.push_str(&format!("{}{colon}{}\n", line.label, line.text));
    }
    if let Some(url) = answer_url {
        text.push_str(&format!(
            "\n{}{}\n{url}\n",
            invitation(language),
            colon.trim_end()
        ));
    }
    text
}

/// The HTML part: tables and styles on each element, which is what mail programs understand.
pub(super) fn html(warning: &Warning, answer_url: Option<&str>) -> String {
    let (band, ink) = colours(warning.level);
    let mut html = String::from(
        "<!DOCTYPE html>\n<html lang=\"zh-CN\"><head><meta charset=\"utf-8\"></head>\n\
         <body style=\"margin:0;padding:16px;font-family:sans-serif;color:#1a1a1a\">\n",
    );
    for language in Language::ALL {
        let heading = escape(&sheet::heading(warning, language));
        html.push_str(&format!(
            "<div lang=\"{}\">\n<h1 style=\"font-size:20px;margin:0 0 12px;padding:12px;background:{band};color:{ink}\">{heading}</h1>\n",
            language.tag()
        ));
        let notice = notice(warning, language);
        if !notice.is_empty() {
            html.push_str(&format!("<p><strong>{}</strong></p>\n", escape(notice)));
        }
        html.push_str("<table style=\"border-collapse:collapse\">\n");
        for line in sheet::lines(warning, language) {
            let text = escape(&line.text).replace('\n', "<br>");
            html.push_str(&format!(
                "<tr><th style=\"text-align:left;vertical-align:top;padding:4px 12px 4px 0;font-weight:normal;color:#555\">{}</th><td style=\"padding:4px 0\">{text}</td></tr>\n",
                escape(line.label)
            ));
        }
        html.push_str("</table>\n");
        if let Some(url) = answer_url {
            html.push_str(&format!(
                "<p style=\"margin:16px 0 32px\"><a href=\"{}\" style=\"display:inline-block;padding:12px 20px;background:#1a4b8c;color:#fff;text-decoration:none\">{}</a></p>\n",
                escape(url),
                escape(invitation(language))
            ));
        }
        html.push_str("</div>\n");
    }
    html.push_str("</body></html>\n");
    html
}

/// Background and ink that can be read on it.
const fn colours(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Blue => ("#1565c0", "#ffffff"),
        Level::Yellow => ("#fdd835", "#1a1a1a"),
        Level::Orange => ("#f57c00", "#1a1a1a"),
        Level::Red => ("#c62828", "#ffffff"),
    }
}
