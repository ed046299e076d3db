//! Distances as people write them: `100m`, `2km`. Owns their notation and what is written instead; `m` behind
//! any other number is minutes.

use super::numbers::number_length;

/// Half way round the earth: nothing is farther away.
const FARTHEST_M: f64 = 2e7;

/// Units of length that people write, and the nearest way to write them here.
const LENGTH_WORDS: [(&str, f64, &[&str]); 2] = [
    (
        "m",
        1.0,
        &["metre", "metres", "meter", "meters", "mtr", "米"],
    ),
    (
        "km",
        1_000.0,
        &[
            "kms",
            "kilometre",
            "kilometres",
            "kilometer",
            "kilometers",
            "公里",
            "千米",
        ],
    ),
];

/// The metres of `100m` or `2km`, or what is wrong and what to write.
pub(super) fn metres(text: &str) -> Result<f64, (String, String)> {
    let (digits, suffix) = text.split_at(number_length(text));
    let shape = "write metres or kilometres, such as `100m` or `2km`".to_owned();
    let not_one = format!("`{text}` is not a distance");
    let Some(number) = digits.parse::<f64>().ok() else {
        return Err((not_one, shape));
    };
    let Some((_, factor, _)) = LENGTH_WORDS.iter().find(|(unit, ..)| *unit == suffix) else {
        let help = meant(digits, suffix).map_or(shape, |meant| {
            format!("did you mean `{meant}`? Distances end in m or km, such as `100m`")
        });
        return Err((not_one, help));
    };
    let metres = number * factor;
    if metres > 0.0 && metres <= FARTHEST_M {
        Ok(metres)
    } else {
        let message = format!("`{text}`: a distance must be greater than 0 and at most 20000km");
        Err((message, shape))
    }
}

/// `100` and `100 metres` mean `100m`.
fn meant(digits: &str, suffix: &str) -> Option<String> {
    let word = suffix.trim().to_lowercase();
    let (unit, ..) = LENGTH_WORDS.iter().find(|(unit, _, words)| {
        word == *unit || words.contains(&word.as_str()) || (word.is_empty() && *unit == "m")
    })?;
    Some(format!("{digits}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_metres_or_kilometres() {
        assert_eq!(metres("100m"), Ok(100.0));
        assert_eq!(metres("2.5km"), Ok(2_500.0));
        assert_eq!(metres("1e3m"), Ok(1_000.0));
        for (wrong, shown) in [
            ("100", "`100m`"),
            ("100 m", "`100m`"),
            ("2 Kilometres", "`2km`"),
            ("5公里", "`5km`"),
            ("3h", "`100m`"),
            ("0m", "`100m`"),
            ("-5m", "`100m`"),
            ("20001km", "`100m`"),
            ("", "`100m`"),
            ("1e400m", "`100m`"),
        ] {
            let help = metres(wrong).map_err(|(_, help)| help);
            assert!(
                help.as_ref().is_err_and(|help| help.contains(shown)),
                "{wrong}: {help:?}"
            );
        }
    }
}
