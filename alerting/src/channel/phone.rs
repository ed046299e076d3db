//! Telephone numbers as gateways take them: digits, perhaps behind a plus. How people write them (spaces, hyphens,
//! brackets) is forgiven; what could not be dialled is refused before anybody relies on it.

use std::fmt;
use std::str::FromStr;

/// Short service numbers have three digits, the longest international ones fifteen (E.164).
const DIGITS: std::ops::RangeInclusive<usize> = 3..=15;
const MARKS: [char; 5] = [' ', '-', '(', ')', '.'];

/// A number that can be dialled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// Why a text is not a telephone number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{phone}` is not a telephone number: {why}; write 3 to 15 digits such as 13800000000 or +8613800000000, without an extension"
)]
pub struct PhoneError {
    /// As it came.
    pub phone: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Phone {
    type Err = PhoneError;

    fn from_str(text: &str) -> Result<Phone, PhoneError> {
        let wrong = |why: String| PhoneError {
            phone: text.to_owned(),
            why,
        };
        let number: String = text.chars().filter(|c| !MARKS.contains(c)).collect();
        let digits = number.strip_prefix('+').unwrap_or(&number);
        if let Some(foreign) = digits.chars().find(|c| !c.is_ascii_digit()) {
            return Err(wrong(format!("`{foreign}` is no digit")));
        }
        if !DIGITS.contains(&digits.len()) {
            return Err(wrong(format!("it has {} digits", digits.len())));
        }
        Ok(Phone(number))
    }
}

impl Phone {
    /// As a gateway takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_forgiven_and_letters_are_not() {
        let read = |text: &str| match text.parse::<Phone>() {
            Ok(phone) => phone.to_string(),
            Err(error) => error.why,
        };
        for (text, want) in [
            ("138 0000-0000", "13800000000"),
            ("+86 (551) 6000.0000", "+8655160000000"),
            ("110", "110"),
            ("12", "it has 2 digits"),
            ("", "it has 0 digits"),
            ("+1234567890123456", "it has 16 digits"),
            ("0551-1234 转 8", "`转` is no digit"),
            ("138+00", "`+` is no digit"),
        ] {
            assert_eq!(read(text), want, "{text}");
        }
    }
}
