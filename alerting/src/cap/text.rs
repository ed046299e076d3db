//! Rules of letters: what XML can hold, what a CAP identifier may be made of, how CAP writes a moment.

use std::borrow::Cow;

use citywatch_model::Time;
use jiff::{Timestamp, tz::Offset, tz::TimeZone};

/// `text` without the characters that XML 1.0 cannot hold, line ends as `\n`.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(legal) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.replace("\r\n", "\n")
            .chars()
            .filter(|c| legal(*c))
            .collect(),
    )
}

/// XML 1.0 `Char`, but for the carriage return, which readers turn into something else.
fn legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `text` on one line of at most `chars` characters; a longer one ends in `…`.
pub(crate) fn one_line(text: &str, chars: usize) -> String {
    let line = clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= chars {
        return line;
    }
    let mut cut: String = line.chars().take(chars.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Whether a CAP identifier or sender may hold `c`: no space, comma, `<` or `&`, nothing invisible.
pub(super) fn token_char(c: char) -> bool {
    !(c.is_whitespace() || c.is_control() || matches!(c, ',' | '<' | '&')) && legal(c)
}

/// `text` as an identifier: every other character becomes `_`, the same one each time, so that references to a
/// message keep pointing at it.
pub(crate) fn token(text: &str) -> Cow<'_, str> {
    if text.chars().all(token_char) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .map(|c| if token_char(c) { c } else { '_' })
            .collect(),
    )
}

/// A web address that an XML reader takes for one: `None` for anything else.
pub(super) fn web(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=%".contains(c);
    let whole = matches!(url.scheme(), "http" | "https") && url.as_str().chars().all(plain);
    let escapes = url.as_str().split('%').skip(1).all(|rest| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    (whole && escapes).then(|| url.into())
}

/// A moment as CAP writes it: local time with the offset of `timezone`, no fraction; UTC is `-00:00`, never `Z`.
#[must_use]
pub fn time(time: Time, timezone: &TimeZone) -> String {
    // a day inside the years 1 to 9999 of xs:dateTime, so that no offset leaves them
    let seconds = time
        .millis()
        .div_euclid(1_000)
        .clamp(-62_135_510_400, 253_402_127_999);
    let moment =
        Timestamp::from_second(seconds).expect("clamped to the years that a timestamp holds");
    let offset = whole_minutes(timezone.to_offset(moment));
    let minutes = offset.seconds() / 60;
    let sign = if minutes > 0 { '+' } else { '-' };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    format!(
        "{}{sign}{hours:02}:{minutes:02}",
        offset.to_datetime(moment).strftime("%Y-%m-%dT%H:%M:%S")
    )
}

/// Local mean times before about 1900 have seconds, and `xs:dateTime` ends at 14 hours: such offsets fall to UTC,
/// which names the same moment.
fn whole_minutes(offset: Offset) -> Offset {
    let seconds = offset.seconds();
    if seconds % 60 == 0 && seconds.abs() <= 14 * 3_600 {
        offset
    } else {
        Offset::UTC
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn writes_moments_as_cap_does() {
        for (moment, zone, want) in [
            (
                "2026-11-22T00:00:00.999Z",
                "Asia/Shanghai",
                "2026-11-22T08:00:00+08:00",
            ),
            ("2026-11-22T00:00:00Z", "UTC", "2026-11-22T00:00:00-00:00"),
            (
                "2017-08-27T01:30:00Z",
                "America/Chicago",
                "2017-08-26T20:30:00-05:00",
            ),
            (
                "2026-01-01T00:00:00Z",
                "Asia/Kathmandu",
                "2026-01-01T05:45:00+05:45",
            ),
            (
                "1890-01-01T00:00:00Z",
                "Asia/Shanghai",
                "1890-01-01T00:00:00-00:00",
            ),
        ] {
            let zone = TimeZone::get(zone).unwrap();
            assert_eq!(time(moment.parse().unwrap(), &zone), want);
        }
    }

    #[test]
    fn cuts_lines_at_characters() {
        assert_eq!(one_line("水位\n 过高", 160), "水位 过高");
        assert_eq!(one_line(&"汛".repeat(161), 160).chars().count(), 160);
        assert_eq!(one_line(&"汛".repeat(160), 160), "汛".repeat(160));
    }

    #[test]
    fn only_absolute_web_addresses_pass() {
        for (address, want) in [
            (
                "https://example.gov.cn/cap/a b.xml",
                Some("https://example.gov.cn/cap/a%20b.xml"),
            ),
            (
                "http://127.0.0.1:8080/cap/x.xml",
                Some("http://127.0.0.1:8080/cap/x.xml"),
            ),
            ("javascript:alert(1)", None),
            ("/cap/x.xml", None),
            ("http://h/%zz", None),
        ] {
            assert_eq!(web(address).as_deref(), want, "{address}");
        }
    }
}
