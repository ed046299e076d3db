//! RFC 3339 times of recorded rows: the one form that data sets use by hand, everything else by jiff.

use citywatch_model::Time;

const DAYS_BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
const DAYS_IN_MONTH: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The time that `bytes` write, if they write one.
pub(super) fn parse(bytes: &[u8]) -> Option<Time> {
    let parsed = utc(bytes).or_else(|| std::str::from_utf8(bytes).ok()?.parse().ok());
    parsed.filter(|time| is_within(*time))
}

/// Whether a reading may have this time. One outside the years that a [`Time`] holds, as of microseconds taken for
/// milliseconds, has become the first or the last of all.
#[inline]
pub(super) fn is_within(time: Time) -> bool {
    Time::MIN < time && time < Time::MAX
}

/// `YYYY-MM-DDTHH:MM:SS[.f]Z` of a year from 1970 on; other forms, leap seconds and nonsense are left to jiff.
fn utc(bytes: &[u8]) -> Option<Time> {
    let (head, tail) = bytes.split_at_checked(19)?;
    let millis = match tail {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] => fraction(digits)?,
        _ => return None,
    };
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        m0,
        m1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        n0,
        n1,
        b':',
        s0,
        s1,
    ] = head
    else {
        return None;
    };
    let year = i64::from(two(y0, y1)?) * 100 + i64::from(two(y2, y3)?);
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(n0, n1)?, two(s0, s1)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = usize::from(month.checked_sub(1)?);
    let longest = *DAYS_IN_MONTH.get(index)? + u8::from(leap && month == 2);
    if year < 1970 || !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // leap days before this year, those of 1970 and earlier taken off
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400 - 477;
    let days = (year - 1970) * 365
        + leap_days
        + DAYS_BEFORE_MONTH[index]
        + i64::from(leap && month > 2)
        + i64::from(day)
        - 1;
    let seconds = ((days * 24 + i64::from(hour)) * 60 + i64::from(minute)) * 60 + i64::from(second);
    Some(Time::from_millis(seconds * 1_000 + millis))
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// Milliseconds of up to nine digits; digits below the millisecond are cut off.
fn fraction(digits: &[u8]) -> Option<i64> {
    let right = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let digit = |index: usize| i64::from(digits.get(index).map_or(0, |digit| digit - b'0'));
    right.then(|| digit(0) * 100 + digit(1) * 10 + digit(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_jiff(millis in 0_i64..253_402_207_200_000) {
            let time = Time::from_millis(millis);
            prop_assert_eq!(utc(time.to_string().as_bytes()), Some(time));
        }

        #[test]
        fn takes_no_more_than_jiff(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?Z") {
            if let Some(time) = utc(text.as_bytes()) {
                prop_assert_eq!(text.parse::<Time>().ok(), Some(time));
            }
        }
    }

    #[test]
    fn other_forms_are_left_to_jiff() {
        let expected = Time::from_millis(1_503_797_400_250);
        for text in [
            "2017-08-27T01:30:00.25Z",
            "2017-08-27T09:30:00.250+08:00",
            "2017-08-27 01:30:00.250999Z",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
        for text in [
            "",
            "2017-08-27",
            "2017-13-01T00:00:00Z",
            "2017-02-29T00:00:00Z",
            "2017-08-27T01:30:00",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
