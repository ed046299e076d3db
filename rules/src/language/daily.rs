//! `daily: mean(flow) from 02:00 to 04:00`. Owns this notation.

use std::ops::Range;

use citywatch_model::Name;

use super::check::Checker;
use super::shared;
use super::source::Source;
use super::token::Mistake;
use super::yaml::Node;
use crate::ast::{Aggregate, Method};

const SHAPE: &str = "`mean(flow) from 02:00 to 04:00`";

/// Reads what stands behind `daily:`; mistakes are reported.
pub(super) fn read(source: &mut Source<'_>, node: &Node) -> Option<Method> {
    let example = format!("a daily value such as {SHAPE}");
    shared::expression(source, node, "`daily`", &example, parse)
}

fn parse(text: &str) -> Result<Method, Vec<Mistake>> {
    // the last one, because a measurement in quotes may hold the word
    let Some(split) = word_from(text) else {
        let mut mistakes = aggregate(text).err().unwrap_or_default();
        let message = "a daily value needs its hours";
        mistakes.push(Mistake::new(0..text.len(), message, write()));
        mistakes.truncate(1);
        return Err(mistakes);
    };
    let aggregate = aggregate(&text[..split.start]);
    let hours = hours(text, split.end);
    match (aggregate, hours) {
        (Ok((aggregate, of)), Ok((from, to))) => Ok(Method::Daily {
            aggregate,
            of,
            from,
            to,
        }),
        (aggregate, hours) => {
            let mut mistakes = aggregate.err().unwrap_or_default();
            mistakes.append(&mut hours.err().unwrap_or_default());
            Err(mistakes)
        }
    }
}

fn write() -> String {
    format!("write {SHAPE}")
}

fn aggregate(text: &str) -> Result<(Aggregate, Name), Vec<Mistake>> {
    Checker::of_series().read_as(text, Checker::aggregate_of)
}

/// Where the last `from` stands that is a word by itself.
fn word_from(text: &str) -> Option<Range<usize>> {
    let words = text.rmatch_indices("from");
    words
        .map(|(start, word)| start..start + word.len())
        .find(|word| {
            text[..word.start].ends_with(|c: char| c.is_whitespace() || c == ')')
                && text[word.end..].starts_with(char::is_whitespace)
        })
}

/// `02:00 to 04:00` from `start` on, as minutes after midnight.
fn hours(text: &str, start: usize) -> Result<(u16, u16), Vec<Mistake>> {
    let mut words = text[start..].split_whitespace().map(|word| {
        // a slice of `text`, so that its distance from the beginning is its place
        let at = word.as_ptr().addr() - text.as_ptr().addr();
        (word, at..at + word.len())
    });
    let parts = [words.next(), words.next(), words.next(), words.next()];
    let [Some(from), Some((to_word, to_place)), Some(to), None] = parts else {
        let message = "the hours of a daily value are `from 02:00 to 04:00`";
        return Err(vec![Mistake::new(start..text.len(), message, write())]);
    };
    let mut mistakes = Vec::new();
    if to_word != "to" {
        let message = format!("`{to_word}` between the hours");
        mistakes.push(Mistake::new(to_place, message, write()));
    }
    let [first, last] = [&from, &to].map(|(word, _)| minutes(word));
    for (time, (word, place)) in [(first, &from), (last, &to)] {
        if time.is_none() {
            let message = format!("`{word}` is not a time of day");
            let help = "write it as `02:00`, up to `24:00`".to_owned();
            mistakes.push(Mistake::new(place.clone(), message, help));
        }
    }
    if let (Some(first), Some(last)) = (first, last)
        && first >= last
    {
        let message = format!("`{}` is not after `{}`", to.0, from.0);
        let help = "the hours lie in one day: end at `24:00` at the latest".to_owned();
        mistakes.push(Mistake::new(to.1.clone(), message, help));
    }
    match (first, last) {
        (Some(first), Some(last)) if mistakes.is_empty() => Ok((first, last)),
        _ => Err(mistakes),
    }
}

/// Minutes after midnight of `02:00`, at most 1440.
fn minutes(word: &str) -> Option<u16> {
    let (hours, minutes) = word.split_once(':')?;
    let two_digits = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let of_day = hours * 60 + minutes;
    (minutes < 60 && of_day <= 1_440).then_some(of_day)
}
