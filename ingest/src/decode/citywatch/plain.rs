//! The payload that nearly all sensors send, read letter by letter: one flat object without escapes, nulls or
//! keys that stand twice. Anything else is left to the general road, which alone judges and explains; what
//! this road takes, the general one would take just so.

use std::borrow::Cow;

use citywatch_model::Time;
use smallvec::SmallVec;

use super::fields::{DEFAULT_MEASUREMENT, only_measurement, time_of_number};
use crate::decode::{Context, DecodedObservation, DecodedValue};

/// More values than this go the general road, so that the search for repeated names stays short.
const MOST_VALUES: usize = 16;

/// Up to so many digits a number is a whole number of units that a float holds exactly, and so is the power
/// of ten that divides it: the quotient is the nearest float.
const EXACT_DIGITS: usize = 15;

const POWERS: [f64; EXACT_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// Beyond it a float leaves whole numbers out.
const LONGEST: f64 = 9e15;

#[derive(Default)]
struct Fields<'a> {
    sensor: Option<&'a str>,
    ts: Option<f64>,
    measurement: Option<&'a str>,
    unit: Option<&'a str>,
    value: Option<f64>,
    values: Option<SmallVec<[DecodedValue<'a>; 1]>>,
}

/// One value with its time, as nearly all lines of recorded readings are.
pub(crate) struct PlainReading<'a> {
    /// Never empty.
    pub sensor: &'a str,
    pub time: Time,
    /// `None` or empty: the only one that the registry gives, else `value`.
    pub measurement: Option<&'a str>,
    pub value: f64,
    /// Empty if none is named.
    pub unit: &'a str,
}

/// A number as JSON writes it, without exponent; `None` if it is written otherwise.
#[inline]
pub(crate) fn number(text: &str) -> Option<f64> {
    let mut scan = Scan { text, at: 0 };
    let number = scan.number()?;
    (scan.at == text.len()).then_some(number)
}

/// The reading in the first line of `text` and the length of that line without its end, if it holds nothing but one
/// payload of one reading without anything unusual, that names its sensor and time.
#[inline]
pub(crate) fn reading(text: &str) -> Option<(PlainReading<'_>, usize)> {
    let mut scan = Scan { text, at: 0 };
    let mut fields = Fields::default();
    scan.object(&mut fields)?;
    scan.blanks();
    if fields.values.is_some() || !matches!(scan.peek(), None | Some(b'\n')) {
        return None;
    }
    let ts = fields.ts?;
    let reading = PlainReading {
        sensor: fields.sensor.filter(|sensor| !sensor.is_empty())?,
        time: time_of_number(ts, || ts.round() as i64),
        measurement: fields.measurement,
        value: fields.value?,
        unit: fields.unit.unwrap_or_default(),
    };
    Some((reading, scan.at))
}

/// One observation without anything unusual; what is unusual, or wrong, is `None`.
pub(super) fn observation<'a>(
    text: &'a str,
    context: &Context<'a>,
) -> Option<DecodedObservation<'a>> {
    let mut scan = Scan { text, at: 0 };
    let mut fields = Fields::default();
    scan.object(&mut fields)?;
    scan.blanks();
    if scan.at < text.len() {
        return None;
    }
    let named = |text: &&str| !text.is_empty();
    let sensor = fields.sensor.filter(named).or(context.sensor)?;
    let values = match (fields.value, fields.values) {
        (Some(value), None) => {
            let measurement = fields
                .measurement
                .filter(named)
                .or(context.measurement)
                .or_else(|| only_measurement(context.registry, sensor))
                .unwrap_or(DEFAULT_MEASUREMENT);
            SmallVec::from_buf([DecodedValue {
                measurement: Cow::Borrowed(measurement),
                value,
                unit: Cow::Borrowed(fields.unit.unwrap_or_default()),
            }])
        }
        (None, Some(mut values)) => {
            if let Some(unit) = fields.unit {
                for value in &mut values {
                    value.unit = Cow::Borrowed(unit);
                }
            }
            values
        }
        (None, None) | (Some(_), Some(_)) => return None,
    };
    Some(DecodedObservation {
        index: None,
        sensor: Cow::Borrowed(sensor),
        time: fields.ts.map(|ts| time_of_number(ts, || ts.round() as i64)),
        values,
    })
}

/// A place in the text. Every method that fails leaves the whole payload to the general road.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn object(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        self.members(|scan, key| match key {
            "sensor" => once(&mut fields.sensor, scan.string()?),
            "ts" => once(&mut fields.ts, scan.moment()?),
            "measurement" => once(&mut fields.measurement, scan.string()?),
            "unit" => once(&mut fields.unit, scan.string()?),
            "value" => once(&mut fields.value, scan.number()?),
            "values" => once(&mut fields.values, scan.values()?),
            _ => None,
        })
    }

    fn values(&mut self) -> Option<SmallVec<[DecodedValue<'a>; 1]>> {
        let mut values: SmallVec<[DecodedValue<'a>; 1]> = SmallVec::new();
        self.members(|scan, measurement| {
            let value = scan.number()?;
            let twice = values.iter().any(|held| held.measurement == measurement);
            if twice || measurement.is_empty() || values.len() == MOST_VALUES {
                return None;
            }
            values.push(DecodedValue {
                measurement: Cow::Borrowed(measurement),
                value,
                unit: Cow::Borrowed(""),
            });
            Some(())
        })?;
        Some(values)
    }

    /// `{"key":…,…}` with at least one member; `member` reads what stands behind the colon.
    fn members(
        &mut self,
        mut member: impl FnMut(&mut Scan<'a>, &'a str) -> Option<()>,
    ) -> Option<()> {
        self.token(b'{')?;
        loop {
            let key = self.string()?;
            self.token(b':')?;
            member(self, key)?;
            self.blanks();
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// An end of line is unusual.
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn token(&mut self, wanted: u8) -> Option<()> {
        self.blanks();
        (self.next()? == wanted).then_some(())
    }

    /// A string without escapes, eight bytes at a time.
    fn string(&mut self) -> Option<&'a str> {
        self.token(b'"')?;
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start;
        while let Some(eight) = bytes[end..].first_chunk() {
            match first_special(u64::from_le_bytes(*eight)) {
                Some(place) => {
                    end += place;
                    break;
                }
                None => end += eight.len(),
            }
        }
        // fewer than eight are left, or the first looked at is special
        end += bytes[end..].iter().position(|byte| is_special(*byte))?;
        self.at = end + 1;
        (bytes[end] == b'"').then(|| &self.text[start..end])
    }

    /// A number of seconds or milliseconds that a float holds to the last digit.
    fn moment(&mut self) -> Option<f64> {
        self.number().filter(|number| number.abs() < LONGEST)
    }

    /// A number without exponent.
    fn number(&mut self) -> Option<f64> {
        self.blanks();
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let mut mantissa = 0;
        let whole = self.digits(&mut mantissa);
        let leading_zero = self.text.as_bytes()[self.at - whole..].first() == Some(&b'0');
        if whole == 0 || (leading_zero && whole > 1) {
            return None;
        }
        let mut behind = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            behind = self.digits(&mut mantissa);
            if behind == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            return None;
        }
        if whole + behind > EXACT_DIGITS {
            let long = self.text.get(start..self.at)?.parse::<f64>().ok();
            return long.filter(|number| number.is_finite());
        }
        let number = mantissa as f64 / POWERS[behind];
        Some(if negative { -number } else { number })
    }

    /// Adds digits behind those of `mantissa`, which is right only for as many as a float holds; how many.
    fn digits(&mut self, mantissa: &mut u64) -> usize {
        let mut count = 0;
        for byte in &self.text.as_bytes()[self.at..] {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
        }
        self.at += count;
        count
    }
}

/// What ends a string, or makes it unusual.
fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// Place of the first special one among eight bytes, the first in the lowest. One below 0x80 is less than `than` if
/// taking that from it sets its highest bit; a borrow can make only those behind a true hit look so.
fn first_special(bytes: u64) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let less = |bytes: u64, than: u64| bytes.wrapping_sub(ONES * than) & !bytes & HIGHEST;
    let equal = |byte: u8| less(bytes ^ (ONES * u64::from(byte)), 1);
    let found = equal(b'"') | equal(b'\\') | less(bytes, 0x20);
    (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
}

/// Fills a field that is still empty.
fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use citywatch_model::Registry;
    use proptest::prelude::*;

    use super::super::{Decoded, judge};
    use super::*;
    use crate::decode::json::Object;

    fn number_text() -> impl Strategy<Value = String> {
        prop_oneof![
            3 => "-?[0-9]{1,9}(\\.[0-9]{1,9})?",
            1 => "-?[0-9]{0,25}\\.?[0-9]{0,25}",
            1 => any::<f64>().prop_map(|number| number.to_string()),
            1 => any::<i64>().prop_map(|number| number.to_string()),
            1 => Just("\"1.5\"".to_owned()),
        ]
    }

    fn member() -> impl Strategy<Value = String> {
        let text = prop_oneof![4 => "[a-z%é]{0,6}", 1 => Just("a\\u0041".to_owned())];
        let texts = prop::sample::select(vec!["sensor", "measurement", "unit", "other"]);
        let values = prop::collection::vec(("[a-c]{0,1}", number_text()), 0..4);
        prop_oneof![
            3 => (texts, text).prop_map(|(key, text)| format!("\"{key}\": \"{text}\"")),
            3 => number_text().prop_map(|number| format!("\"value\":{number}")),
            2 => number_text().prop_map(|number| format!("\"ts\" :{number}")),
            2 => values.prop_map(|values| {
                let values = values.iter().map(|(name, value)| format!("\"{name}\":{value}"));
                format!("\"values\":{{{}}}", values.collect::<Vec<_>>().join(" ,"))
            }),
        ]
    }

    proptest! {
        #[test]
        fn takes_what_the_general_road_takes(members in prop::collection::vec(member(), 0..5)) {
            let text = format!("{{\"sensor\":\"s\",{}}}", members.join(","));
            agrees(&text);
            agrees(&text.replacen("\"sensor\":\"s\",", "", 1));
        }
    }

    proptest! {
        #[test]
        fn numbers_are_what_the_library_reads(text in number_text()) {
            if let Some(number) = number(&text) {
                prop_assert_eq!(number.to_bits(), text.trim_start().parse::<f64>().unwrap().to_bits());
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(bytes in prop::array::uniform8(prop_oneof![
            4 => any::<u8>(),
            1 => prop::sample::select(&b"\"\\\n\x1f !#[]"[..]),
        ])) {
            let wanted = bytes.iter().position(|byte| is_special(*byte));
            prop_assert_eq!(first_special(u64::from_le_bytes(bytes)), wanted);
        }
    }

    #[test]
    fn only_the_first_line_is_read() {
        let line = r#"{"sensor":"s","ts":1790000000,"value":-1}"#;
        let read = |text: &str| reading(text).map(|(reading, length)| (reading.value, length));
        assert_eq!(read(line), Some((-1.0, line.len())));
        let text = format!("{line} \r\n{line}");
        assert_eq!(read(&text), Some((-1.0, line.len() + 2)));
        assert_eq!(read(&format!("{line}{line}")), None, "two payloads");
        assert_eq!(read(&line.replace(',', ",\n")), None, "several lines");
    }

    fn reads_the_same(text: &str, context: &Context<'_>) {
        let Some((plain, length)) = reading(text) else {
            return;
        };
        assert_eq!(length, text.len());
        let taken = observation(text, context).unwrap();
        let named = plain.measurement.filter(|text| !text.is_empty());
        assert_eq!(
            (plain.sensor, Some(plain.time)),
            (&*taken.sensor, taken.time)
        );
        assert_eq!(
            taken.values.as_slice(),
            [DecodedValue {
                measurement: named.unwrap_or(DEFAULT_MEASUREMENT).into(),
                value: plain.value,
                unit: plain.unit.into(),
            }]
        );
    }

    fn agrees(text: &str) {
        let registry = Registry::default();
        let context = Context {
            sensor: Some("topic"),
            measurement: None,
            arrival: Time::MIN,
            registry: &registry,
            max_payload: 1_000,
        };
        reads_the_same(text, &context);
        if let Some(taken) = observation(text, &context) {
            let object: Object<'_> = serde_json::from_str(text).unwrap();
            let mut decoded = Decoded::default();
            judge(&mut decoded, None, object, &context);
            assert_eq!(decoded.rejected, []);
            assert_eq!(decoded.observations.as_slice(), [taken], "{text}");
        }
    }

    #[test]
    fn the_usual_payloads_take_this_road() {
        let registry = Registry::default();
        let context = Context {
            sensor: None,
            measurement: None,
            arrival: Time::MIN,
            registry: &registry,
            max_payload: 1_000,
        };
        for text in [
            r#"{"sensor":"g-00042","ts":1790000000000,"measurement":"methane","value":1.2,"unit":"%LEL"}"#,
            r#"{"sensor": "s-00000", "ts": 1790000000, "value": -10.895}"#,
            r#"{"sensor":"p","ts":1790000000,"values":{"methane":1.2,"temperature":20}}"#,
        ] {
            assert!(observation(text, &context).is_some(), "{text}");
        }
    }
}
