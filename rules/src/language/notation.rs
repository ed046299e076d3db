//! How tests in rule files write moments and transitions: `2d 00:10 u-1 raise orange`. Owns this notation
//! and the data of a test; runs nothing.

use std::fmt;

use citywatch_model::{
    Duration, Level, Name, Observation, Sensor, Time, TransitionKind, Zones, name,
};

use super::suggest;

/// Tests run on the day that begins here: 2000-01-01T00:00:00Z.
pub(crate) const MIDNIGHT: Time = Time::from_millis(946_684_800_000);

/// One test of one rule.
pub(crate) struct Scenario {
    /// What its author calls it.
    pub name: String,
    pub file: String,
    /// Where it stands in the file, from 1.
    pub line: u32,
    /// Registered at midnight, whether they speak or not.
    pub declared: Vec<Sensor>,
    /// Registered when they first speak.
    pub undeclared: Vec<Sensor>,
    /// How zones nest and what time it is in them.
    pub zones: Zones,
    /// In the order of time and sensor.
    pub observations: Vec<Observation>,
    pub expected: Vec<Expected>,
    /// The end of the clock.
    pub until: Time,
}

/// A transition as tests write it: `00:10 u-1 raise orange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub time: Time,
    pub subject: Name,
    pub kind: TransitionKind,
    /// `None` for a clear.
    pub level: Option<Level>,
}

impl Expected {
    /// `00:10 u-1 raise orange`, or what to write instead.
    pub fn read(text: &str) -> Result<Expected, String> {
        let (time, rest) = split_moment(text)
            .ok_or("begin with a time such as `00:10`, on a further day `2d 00:10`".to_owned())?;
        let (subject, rest) = split_word(rest);
        let (word, rest) = split_word(rest);
        let kinds = [
            TransitionKind::Raise,
            TransitionKind::Change,
            TransitionKind::Clear,
        ];
        let kind = kinds
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or_else(|| suggest::help(word, &kinds.map(TransitionKind::word)))?;
        let level = if kind == TransitionKind::Clear {
            if rest.is_empty() {
                None
            } else {
                return Err("a clear names no level".to_owned());
            }
        } else {
            Some(
                rest.parse::<Level>()
                    .map_err(|_| suggest::help(rest, &Level::ALL.map(Level::word)))?,
            )
        };
        Ok(Expected {
            time,
            subject: name(subject),
            kind,
            level,
        })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", moment(self.time), self.subject, self.kind)?;
        self.level.map_or(Ok(()), |level| write!(f, " {level}"))
    }
}

/// `[Nd ]HH:MM[:SS[.mmm]]` since midnight of the first day.
fn moment(time: Time) -> String {
    let millis = time.since(MIDNIGHT).millis();
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (minutes, seconds, fraction) = (rest / 60_000, rest / 1_000 % 60, rest % 1_000);
    let mut text = if days == 0 {
        String::new()
    } else {
        format!("{days}d ")
    };
    text += &format!("{:02}:{:02}", minutes / 60, minutes % 60);
    if seconds != 0 || fraction != 0 {
        text += &format!(":{seconds:02}");
    }
    if fraction != 0 {
        text += &format!(".{fraction:03}");
    }
    text
}

/// Reads what [`moment`] writes from the front of `text`; returns the rest behind it, too.
pub(crate) fn split_moment(text: &str) -> Option<(Time, &str)> {
    let (mut word, mut rest) = split_word(text);
    let mut days = 0;
    if let Some(count) = word.strip_suffix('d') {
        // more days than a window can be wide are a slip
        days = count
            .parse::<i64>()
            .ok()
            .filter(|days| (0..=36_500).contains(days))?;
        (word, rest) = split_word(rest);
    }
    let mut parts = word.split(':');
    let two_digits = |text: &str| {
        (text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit()))
            .then(|| text.parse::<u8>().ok())
            .flatten()
            .map(i64::from)
    };
    let hours = two_digits(parts.next()?).filter(|hours| *hours <= 24)?;
    let minutes = two_digits(parts.next()?).filter(|minutes| *minutes < 60)?;
    let millis = match parts.next() {
        None => 0,
        Some(seconds) => {
            let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            let digits =
                fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
            let fraction = digits
                .then(|| format!("{fraction:0<3}").parse::<i64>().ok())
                .flatten()?;
            two_digits(whole).filter(|seconds| *seconds < 60)? * 1_000 + fraction
        }
    };
    let of_day = (hours * 60 + minutes) * 60_000 + millis;
    let known = parts.next().is_none() && of_day <= 86_400_000;
    known.then_some((
        MIDNIGHT + Duration::from_millis(days * 86_400_000 + of_day),
        rest,
    ))
}

/// The first word and what follows it, without the blanks between.
pub(crate) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_printed_as_they_are_written() {
        for text in ["00:00", "23:59:59", "00:10:00.250", "2d 01:00", "1d 00:00"] {
            let (time, rest) = split_moment(text).map_or((MIDNIGHT, "unread"), |read| read);
            assert_eq!((moment(time).as_str(), rest), (text, ""));
        }
        assert_eq!(
            split_moment("24:00").map(|(time, _)| moment(time)),
            Some("1d 00:00".to_owned())
        );
        for text in [
            "",
            "1:00",
            "00:60",
            "24:01",
            "00:00:60",
            "00:00:00.1234",
            "00:00:00:00",
            "xd 00:00",
            "2d",
            "+1:00",
        ] {
            assert!(split_moment(text).is_none(), "{text}");
        }
    }
}
