//! How numbers, durations and distances are written in expressions, and what people write instead.
//! Continues `lexer`.

use std::ops::Range;

use citywatch_model::Duration;

use super::distance;
use super::lexer::Lexer;
use super::token::{Mistake, TokenKind, is_name_letter};

/// Units of time that people write, and ours.
const TIME_WORDS: [(&str, &[&str]); 4] = [
    ("s", &["sec", "secs", "second", "seconds"]),
    ("m", &["min", "mins", "minute", "minutes"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
];

impl Lexer<'_> {
    pub(super) fn number(&mut self) {
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

    pub(super) fn distance(&mut self) {
        let rest = &self.text[self.at..];
        let word = |from: usize| {
            rest[from..]
                .find(|c: char| !is_name_letter(c) && c != '%')
                .map_or(rest.len(), |length| from + length)
        };
        let digits = number_length(rest);
        let mut length = word(digits);
        let behind = &rest[length..];
        let blank = behind.len() - behind.trim_start().len();
        let next = word(length + blank);
        // `100 m` is one slip; `100 max(` is a distance without unit and a comma that is missing
        if length == digits && !rest[next..].trim_start().starts_with('(') {
            length = if next > length + blank { next } else { length };
        }
        let metres = distance::metres(&rest[..length]).unwrap_or_else(|(message, help)| {
            let range = self.at..self.at + length;
            self.mistakes.push(Mistake::new(range, message, help));
            // goes on with any distance, so that the rest is looked at too
            1.0
        });
        self.push(length, TokenKind::Distance(metres));
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
}

/// Digits with at most one dot and an exponent, which needs digits of its own: `1e3`, but `1em` is 1 and `em`.
pub(super) fn number_length(text: &str) -> usize {
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
