//! What a bare word in an expression means: `value`, `age`, `interval`, a function without its parentheses or a
//! measurement. Continues `check`.

use std::ops::Range;

use citywatch_model::{Name, name};

use super::check::Checker;
use super::token::{KEYWORDS, is_name_letter};
use super::{functions, suggest};
use crate::ast::{Expression, WindowFunction};

impl Checker {
    pub(super) fn named(&mut self, word: &str, range: Range<usize>) -> Option<Expression> {
        if matches!(word, "age" | "interval") {
            if self.own.is_none() {
                let message = format!("`{word}` has no place in a derived series");
                let help = "name measurements; a rule over the series may watch its age".to_owned();
                self.report(range, message, help);
                return None;
            }
            return Some(if word == "age" {
                self.uses_age = true;
                self.readings += 1;
                Expression::Age
            } else {
                Expression::Interval
            });
        }
        if let Some(function) = WindowFunction::named(word) {
            let help = format!(
                "write `{function}(10m)`, or \"{word}\" in quotes if a measurement has this name"
            );
            self.report(
                range,
                format!("`{word}` is a function and needs a window"),
                help,
            );
            return None;
        }
        if is_function(word) {
            let shape = functions::shape(word).unwrap_or_default();
            let help =
                format!("write `{shape}`, or \"{word}\" in quotes if a measurement has this name");
            let message = format!("`{word}` is a function and needs its parentheses");
            self.report(range, message, help);
            return None;
        }
        self.measurement(word, range.clone())
            .map(|measurement| self.newest(measurement, range))
    }

    /// The measurement that a bare word means. A slip in `value` or `age` would pass for a measurement that
    /// never speaks, and the rule would be silent for ever; so such a name must be quoted.
    pub(super) fn measurement(&mut self, word: &str, range: Range<usize>) -> Option<Name> {
        if word == "value" {
            if self.own.is_none() {
                let help = "name the measurement that the series is made of".to_owned();
                self.report(range, "`value` means nothing in a derived series", help);
            }
            return self.own;
        }
        if let Some(known) = slip_of(word)
            && self.own.is_some_and(|own| *own != *word)
        {
            let help = format!(
                "did you mean `{known}`? If a measurement has this name, write \"{word}\" in quotes"
            );
            self.report(range, format!("`{word}` looks like `{known}`"), help);
            return None;
        }
        if matches!(word, "true" | "false" | "null") {
            self.report(
                range,
                format!("`{word}` means nothing here"),
                "write a comparison".to_owned(),
            );
            return None;
        }
        Some(name(word))
    }
}

/// Whether `word` is a function of its own besides those of windows. `sensor` alone is a measurement.
pub(super) fn is_function(word: &str) -> bool {
    word != "sensor" && functions::shape(word).is_some()
}

/// Whether a bare `word` means the measurement of that name and nothing else.
pub(super) fn is_bare_measurement(word: &str) -> bool {
    let reserved = matches!(
        word,
        "value" | "age" | "interval" | "true" | "false" | "null"
    );
    let keyword = KEYWORDS
        .iter()
        .any(|(keyword, _)| word.eq_ignore_ascii_case(keyword));
    let function = WindowFunction::named(word).is_some() || is_function(word);
    word.starts_with(|c: char| is_name_letter(c) && !c.is_ascii_digit())
        && word.chars().all(is_name_letter)
        && !(reserved || keyword || function || slip_of(word).is_some())
}

/// The word that `word` is one letter away from. `valve` is a real measurement.
fn slip_of(word: &str) -> Option<&'static str> {
    ["value", "age", "interval"]
        .into_iter()
        .find(|known| word != "valve" && suggest::is_one_letter_off(word, known))
}
