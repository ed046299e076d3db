//! The words of an expression. Owns how numbers, durations, names and signs are written; knows no grammar.
//! Whatever it does not understand it reports, and goes on with what was probably meant.

use std::ops::Range;

use citywatch_model::Duration;

use super::token::{KEYWORDS, Mistake, SIGNS, Token, TokenKind, is_id_letter, is_name_letter};

/// Units of time that people write, and ours.
const TIME_WORDS: [(&str, &[&str]); 4] = [
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
];

/// The words of `text`, the last one always `End`.
pub(super) fn lex(text: &str) -> (Vec<Token>, Vec<Mistake>) {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
        mistakes: Vec::new(),
    };
    lexer.run();
    (lexer.tokens, lexer.mistakes)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
    mistakes: Vec<Mistake>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start().len();
            let Some(letter) = self.text[self.at..].chars().next() else {
                break;
            };
            if self.expects_id() && is_id_letter(letter) {
                let length = self.length_while(is_id_letter);
                self.push(
                    length,
                    TokenKind::Quoted(self.text[self.at..self.at + length].to_owned()),
                );
            } else if letter.is_ascii_digit() || self.is_fraction(letter) {
                self.number();
            } else if is_name_letter(letter) {
                self.word();
            } else if letter == '"' || letter == '\'' {
                self.quoted(letter);
            } else {
                self.sign(letter);
            }
        }
        self.push(0, TokenKind::End);
    }

    /// Inside `sensor(` an id may hold signs that mean something elsewhere.
    fn expects_id(&self) -> bool {
        let [.., before, last] = self.tokens.as_slice() else {
            return false;
        };
        last.kind == TokenKind::Open && before.kind == TokenKind::Word("sensor".to_owned())
    }

    fn is_fraction(&self, letter: char) -> bool {
        letter == '.' && self.text[self.at + 1..].starts_with(|c: char| c.is_ascii_digit())
    }

    fn length_while(&self, accept: impl Fn(char) -> bool) -> usize {
        let rest = &self.text[self.at..];
        rest.find(|c: char| !accept(c)).unwrap_or(rest.len())
    }

    fn push(&mut self, length: usize, kind: TokenKind) {
        self.tokens.push(Token {
            kind,
            range: self.at..self.at + length,
        });
        self.at += length;
    }

    fn number(&mut self) {
        let rest = &self.text[self.at..];
        let digits = number_length(rest);
        let suffix = &rest[digits..];
        let suffix = &suffix[..suffix
            .find(|c: char| !is_name_letter(c) && c != '%')
            .unwrap_or(suffix.len())];
        let (digits, suffix) = (rest[..digits].to_owned(), suffix.to_owned());
        let length = digits.len() + suffix.len();
        let range = self.at..self.at + length;
        let number = digits
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite());
        let kind = match number {
            None => {
                let message = format!("`{digits}` is not a number that can be held");
                self.mistakes.push(Mistake::new(range, message, None));
                TokenKind::Number(0.0)
            }
            Some(number) if suffix.is_empty() => {
                if let Some((length, duration)) = self.separate_unit(&digits) {
                    return self.push(length, TokenKind::Duration(duration));
                }
                TokenKind::Number(number)
            }
            Some(number) => match format!("{digits}{suffix}").parse::<Duration>() {
                Ok(duration) => {
                    self.refuse_speed(range);
                    TokenKind::Duration(duration)
                }
                Err(_) => self
                    .wrong_suffix(range, &digits, &suffix)
                    .unwrap_or(TokenKind::Number(number)),
            },
        };
        self.push(length, kind);
    }

    /// `5m/s` would read as five minutes divided by a measurement `s`.
    fn refuse_speed(&mut self, duration: Range<usize>) {
        let behind = &self.text[duration.end..];
        let is_unit = behind
            .strip_prefix('/')
            .is_some_and(|rest| rest.starts_with(is_name_letter));
        if is_unit {
            let help =
                "numbers are in the rule's `unit`; put blanks around a `/` that divides".to_owned();
            let written = &self.text[duration.clone()];
            let message =
                format!("`{written}/…` is no unit here: units are not part of expressions");
            self.mistakes.push(Mistake::new(duration, message, help));
        }
    }

    /// Reports `2 minutes` and `2 m`, where a blank parts the number from its unit of time.
    fn separate_unit(&mut self, digits: &str) -> Option<(usize, Duration)> {
        let behind = &self.text[self.at + digits.len()..];
        let blank = behind.len() - behind.trim_start().len();
        let word = behind.trim_start();
        let word = &word[..word
            .find(|c: char| !is_name_letter(c))
            .unwrap_or(word.len())];
        let duration = meant_duration(digits, word)?;
        let length = digits.len() + blank + word.len();
        let message = format!("a blank between {digits} and `{word}`");
        let help = format!("write `{duration}` for a time; units are not written");
        self.mistakes
            .push(Mistake::new(self.at..self.at + length, message, help));
        Some((length, duration))
    }

    /// Reports letters behind a number that are no unit of time; a duration if one was probably meant.
    fn wrong_suffix(
        &mut self,
        range: Range<usize>,
        digits: &str,
        suffix: &str,
    ) -> Option<TokenKind> {
        let meant = meant_duration(digits, suffix);
        let mistake = match meant {
            Some(duration) => Mistake::new(
                range,
                format!("`{digits}{suffix}` is not a duration"),
                format!("did you mean `{duration}`? Durations end in ms, s, m, h or d"),
            ),
            None if suffix.contains(|c: char| c.is_ascii_digit()) => Mistake::new(
                range,
                format!("`{digits}{suffix}` is neither a number nor a duration"),
                "durations have one unit, such as 30s, 5m, 2h or 7d: write 90m for an hour and a half".to_owned(),
            ),
            None => Mistake::new(
                range.start + digits.len()..range.end,
                format!("`{suffix}` behind a number: units are not part of expressions"),
                "numbers are in the rule's `unit`; durations end in ms, s, m, h or d".to_owned(),
            ),
        };
        self.mistakes.push(mistake);
        meant.map(TokenKind::Duration)
    }

    fn word(&mut self) {
        let mut length = self.length_while(is_name_letter);
        let rest = &self.text[self.at + length..];
        if rest.starts_with('.') {
            length = self.length_while(|c| is_name_letter(c) || c == '.');
            let word = self.text[self.at..self.at + length].to_owned();
            let message = format!("`{word}` is not a bare name: names hold letters, digits and _");
            let help = format!("write \"{word}\" in quotes");
            self.mistakes
                .push(Mistake::new(self.at..self.at + length, message, help));
            return self.push(length, TokenKind::Quoted(word));
        }
        let word = self.text[self.at..self.at + length].to_owned();
        let lower = word.to_lowercase();
        let kind = match KEYWORDS.iter().find(|(keyword, _)| *keyword == lower) {
            Some((keyword, kind)) => {
                if *keyword != word {
                    let message = format!("`{word}` must be written in small letters");
                    let help = format!("write `{keyword}`");
                    self.mistakes
                        .push(Mistake::new(self.at..self.at + length, message, help));
                }
                TokenKind::Keyword(*kind)
            }
            None => TokenKind::Word(word),
        };
        self.push(length, kind);
    }

    fn quoted(&mut self, quote: char) {
        let inside = &self.text[self.at + 1..];
        let length = inside.find(quote);
        let name = inside[..length.unwrap_or(inside.len())].to_owned();
        let length = length.map_or(1 + inside.len(), |length| length + 2);
        if length < name.len() + 2 {
            let help = format!("close it with {quote}");
            self.mistakes.push(Mistake::new(
                self.at..self.at + 1,
                "this quote is never closed",
                help,
            ));
        } else if name.trim().is_empty() {
            let range = self.at..self.at + length;
            self.mistakes.push(Mistake::new(
                range,
                "a name in quotes must not be empty",
                None,
            ));
        }
        self.push(length, TokenKind::Quoted(name));
    }

    fn sign(&mut self, letter: char) {
        let rest = &self.text[self.at..];
        let Some((sign, kind, right)) = SIGNS.iter().find(|(sign, ..)| rest.starts_with(sign))
        else {
            let range = self.at..self.at + letter.len_utf8();
            self.mistakes.push(Mistake::new(
                range.clone(),
                format!("`{letter}` has no meaning in an expression"),
                None,
            ));
            self.at = range.end;
            return;
        };
        if let Some(right) = right {
            let range = self.at..self.at + sign.len();
            let help = format!("write `{right}`");
            self.mistakes.push(Mistake::new(
                range,
                format!("`{sign}` is not used in rules"),
                help,
            ));
        }
        self.push(sign.len(), kind.clone());
    }
}

/// Digits with at most one dot and an exponent, which needs digits of its own: `1e3`, but `1em` is 1 and `em`.
fn number_length(text: &str) -> usize {
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let mut length = digits(text);
    if text[length..].starts_with('.') && digits(&text[length + 1..]) > 0 {
        length += 1 + digits(&text[length + 1..]);
    }
    if text[length..].starts_with(['e', 'E']) {
        let exponent = &text[length + 1..];
        let sign = usize::from(exponent.starts_with(['+', '-']));
        let count = digits(&exponent[sign..]);
        if count > 0 {
            length += 1 + sign + count;
        }
    }
    length
}

/// The duration that `digits` and a unit of time in other words mean.
fn meant_duration(digits: &str, word: &str) -> Option<Duration> {
    let lower = word.to_lowercase();
    let (unit, _) = TIME_WORDS
        .iter()
        .find(|(unit, words)| *unit == lower || words.contains(&lower.as_str()))?;
    format!("{digits}{unit}").parse().ok()
}
