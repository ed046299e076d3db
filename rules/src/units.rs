//! Units of measurement and how values convert between them. UCUM-like strings, with the spellings that
//! devices really send. Owns the table; never guesses: what cannot be converted is `None`.

use citywatch_model::Name;

/// What a unit measures; only units of one dimension convert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Acceleration,
    Angle,
    Area,
    Concentration,
    Conductivity,
    Current,
    Flow,
    Force,
    Fraction,
    Frequency,
    Irradiance,
    Length,
    LowerExplosiveLimit,
    Mass,
    Ph,
    Power,
    Pressure,
    Sound,
    Speed,
    Temperature,
    Time,
    Turbidity,
    Voltage,
    Volume,
}

use Dimension::{
    Acceleration, Angle, Area, Concentration, Conductivity, Current, Flow, Force, Fraction,
    Frequency, Irradiance, Length, LowerExplosiveLimit, Mass, Ph, Power, Pressure, Sound, Speed,
    Temperature, Time, Turbidity, Voltage, Volume,
};

/// One unit: value in the dimension's base unit = value x `numerator` / `denominator` + `offset`.
/// A quotient, because 1/100 and 1/3600 are not exact as decimals.
struct Unit {
    names: &'static [&'static str],
    dimension: Dimension,
    numerator: f64,
    denominator: f64,
    offset: f64,
}

const fn unit(
    names: &'static [&'static str],
    dimension: Dimension,
    numerator: f64,
    denominator: f64,
) -> Unit {
    Unit {
        names,
        dimension,
        numerator,
        denominator,
        offset: 0.0,
    }
}

/// Factors: UCUM and the SI brochure; customary units by their legal definitions (foot 0.3048 m, pound 0.45359237 kg).
const UNITS: &[Unit] = &[
    unit(&["m"], Length, 1.0, 1.0),
    unit(&["mm"], Length, 1.0, 1e3),
    unit(&["um"], Length, 1.0, 1e6),
    unit(&["cm"], Length, 1.0, 100.0),
    unit(&["dm"], Length, 1.0, 10.0),
    unit(&["km"], Length, 1e3, 1.0),
    unit(&["[in_i]", "in"], Length, 0.0254, 1.0),
    unit(&["[ft_i]", "ft"], Length, 0.3048, 1.0),
    unit(&["[mi_i]", "mi"], Length, 1_609.344, 1.0),
    unit(&["m2"], Area, 1.0, 1.0),
    unit(&["km2"], Area, 1e6, 1.0),
    unit(&["har", "ha"], Area, 1e4, 1.0),
    unit(&["m3"], Volume, 1.0, 1.0),
    unit(&["L", "l"], Volume, 1.0, 1e3),
    unit(&["mL", "ml"], Volume, 1.0, 1e6),
    unit(&["m3/s"], Flow, 1.0, 1.0),
    unit(&["m3/min"], Flow, 1.0, 60.0),
    unit(&["m3/h"], Flow, 1.0, 3_600.0),
    unit(&["m3/d"], Flow, 1.0, 86_400.0),
    unit(&["L/s", "l/s"], Flow, 1.0, 1e3),
    unit(&["L/min", "l/min"], Flow, 1.0, 6e4),
    unit(&["L/h", "l/h"], Flow, 1.0, 3.6e6),
    unit(
        &["[cft_i]/s", "[ft_i]3/s", "ft3/s"],
        Flow,
        0.028_316_846_592,
        1.0,
    ),
    unit(&["Pa"], Pressure, 1.0, 1.0),
    unit(&["hPa"], Pressure, 100.0, 1.0),
    unit(&["kPa"], Pressure, 1e3, 1.0),
    unit(&["MPa"], Pressure, 1e6, 1.0),
    unit(&["bar"], Pressure, 1e5, 1.0),
    unit(&["mbar"], Pressure, 100.0, 1.0),
    unit(&["[psi]", "psi"], Pressure, 6_894.757_293_168, 1.0),
    unit(&["m[H2O]", "mH2O"], Pressure, 9_806.65, 1.0),
    unit(&["kgf/cm2"], Pressure, 98_066.5, 1.0),
    unit(&["mm[Hg]", "mmHg"], Pressure, 133.322_387_415, 1.0),
    unit(&["K"], Temperature, 1.0, 1.0),
    Unit {
        names: &["Cel", "°C", "degC"],
        dimension: Temperature,
        numerator: 1.0,
        denominator: 1.0,
        offset: 273.15,
    },
    Unit {
        names: &["[degF]", "degF", "°F"],
        dimension: Temperature,
        numerator: 5.0,
        denominator: 9.0,
        offset: 459.67 * 5.0 / 9.0,
    },
    unit(&["1"], Fraction, 1.0, 1.0),
    unit(&["%", "%vol", "vol%", "%RH"], Fraction, 1.0, 100.0),
    unit(&["[ppth]", "‰"], Fraction, 1.0, 1e3),
    unit(&["[ppm]", "ppm", "um/m"], Fraction, 1.0, 1e6),
    unit(&["[ppb]", "ppb"], Fraction, 1.0, 1e9),
    unit(&["kg/m3", "g/L"], Concentration, 1.0, 1.0),
    unit(&["g/m3", "mg/L", "mg/l"], Concentration, 1.0, 1e3),
    unit(&["mg/m3", "ug/L", "ug/l"], Concentration, 1.0, 1e6),
    unit(&["ug/m3"], Concentration, 1.0, 1e9),
    unit(&["m/s"], Speed, 1.0, 1.0),
    unit(&["km/h"], Speed, 1.0, 3.6),
    unit(&["m/min"], Speed, 1.0, 60.0),
    unit(&["m/h"], Speed, 1.0, 3_600.0),
    unit(&["cm/h"], Speed, 1.0, 3.6e5),
    unit(&["mm/h"], Speed, 1.0, 3.6e6),
    unit(&["mm/min"], Speed, 1.0, 6e4),
    unit(&["mm/d"], Speed, 1.0, 8.64e7),
    unit(&["mm/s"], Speed, 1.0, 1e3),
    unit(&["[mi_i]/h", "mph"], Speed, 0.447_04, 1.0),
    unit(&["[kn_i]", "kn"], Speed, 1_852.0, 3_600.0),
    unit(&["[ft_i]/s", "ft/s"], Speed, 0.3048, 1.0),
    unit(&["kg"], Mass, 1.0, 1.0),
    unit(&["g"], Mass, 1.0, 1e3),
    unit(&["mg"], Mass, 1.0, 1e6),
    unit(&["ug"], Mass, 1.0, 1e9),
    unit(&["t"], Mass, 1e3, 1.0),
    unit(&["[lb_av]", "lb"], Mass, 0.453_592_37, 1.0),
    unit(&["s"], Time, 1.0, 1.0),
    unit(&["ms"], Time, 1.0, 1e3),
    unit(&["min"], Time, 60.0, 1.0),
    unit(&["h"], Time, 3_600.0, 1.0),
    unit(&["d"], Time, 86_400.0, 1.0),
    unit(&["rad"], Angle, 1.0, 1.0),
    unit(&["mrad"], Angle, 1.0, 1e3),
    unit(&["deg", "°"], Angle, std::f64::consts::PI, 180.0),
    unit(&["m/s2"], Acceleration, 1.0, 1.0),
    unit(&["Gal", "cm/s2"], Acceleration, 1.0, 100.0),
    unit(&["[g]", "gn"], Acceleration, 9.806_65, 1.0),
    unit(&["N"], Force, 1.0, 1.0),
    unit(&["kN"], Force, 1e3, 1.0),
    unit(&["W"], Power, 1.0, 1.0),
    unit(&["kW"], Power, 1e3, 1.0),
    unit(&["MW"], Power, 1e6, 1.0),
    unit(&["V"], Voltage, 1.0, 1.0),
    unit(&["mV"], Voltage, 1.0, 1e3),
    unit(&["kV"], Voltage, 1e3, 1.0),
    unit(&["A"], Current, 1.0, 1.0),
    unit(&["mA"], Current, 1.0, 1e3),
    unit(&["Hz"], Frequency, 1.0, 1.0),
    unit(&["kHz"], Frequency, 1e3, 1.0),
    unit(&["W/m2"], Irradiance, 1.0, 1.0),
    unit(&["kW/m2"], Irradiance, 1e3, 1.0),
    unit(&["S/m"], Conductivity, 1.0, 1.0),
    unit(&["mS/cm"], Conductivity, 1.0, 10.0),
    unit(&["uS/cm"], Conductivity, 1.0, 1e4),
    unit(&["%LEL"], LowerExplosiveLimit, 1.0, 1.0),
    unit(&["NTU", "[NTU]"], Turbidity, 1.0, 1.0),
    unit(&["pH", "[pH]"], Ph, 1.0, 1.0),
    unit(&["dB", "dB(A)"], Sound, 1.0, 1.0),
];

/// How a value of one unit becomes a value of another. Look it up once per series, then [`apply`](Self::apply).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    /// What the value is multiplied by.
    pub scale: f64,
    /// What is added afterwards, in the new unit.
    pub offset: f64,
}

impl Conversion {
    /// Between equal units.
    pub const IDENTITY: Conversion = Conversion {
        scale: 1.0,
        offset: 0.0,
    };

    /// The value in the new unit, rounded to 1e-9 so that 0.29 m is 29 cm and not 28.999999999999996.
    #[must_use]
    pub fn apply(self, value: f64) -> f64 {
        if self == Conversion::IDENTITY {
            return value;
        }
        let converted = value * self.scale + self.offset;
        let rounded = (converted * 1e9).round() / 1e9;
        if rounded.is_finite() {
            rounded
        } else {
            converted
        }
    }
}

/// How values of `from` become values of `to`. Equal strings always convert, even unknown ones.
#[must_use]
pub fn factor(from: Name, to: Name) -> Option<Conversion> {
    if from == to {
        return Some(Conversion::IDENTITY);
    }
    let (from, to) = (find(&from)?, find(&to)?);
    if std::ptr::eq(from, to) {
        return Some(Conversion::IDENTITY);
    }
    (from.dimension == to.dimension).then(|| Conversion {
        scale: from.numerator * to.denominator / (from.denominator * to.numerator),
        offset: (from.offset - to.offset) * to.denominator / to.numerator,
    })
}

/// `value` of unit `from` in unit `to`; `None` if one is unknown or they measure different things.
#[must_use]
pub fn convert(value: f64, from: Name, to: Name) -> Option<f64> {
    factor(from, to).map(|conversion| conversion.apply(value))
}

/// Whether the table has `unit`. An annotation of UCUM such as `{count}` is a unit of its own.
#[must_use]
pub fn is_known(unit: &str) -> bool {
    find(unit).is_some() || (unit.len() > 2 && unit.starts_with('{') && unit.ends_with('}'))
}

/// Every spelling in the table, for suggestions.
pub(crate) fn spellings() -> impl Iterator<Item = &'static str> {
    UNITS.iter().flat_map(|unit| unit.names.iter().copied())
}

fn find(name: &str) -> Option<&'static Unit> {
    let listed = |name: &str| UNITS.iter().find(|unit| unit.names.contains(&name));
    if name.is_ascii() {
        listed(name)
    } else {
        listed(&plain_letters(name))
    }
}

/// `µg/m³` as `ug/m3`: superscripts, both signs for micro, and the one-letter degree signs.
fn plain_letters(name: &str) -> String {
    name.replace(['µ', 'μ'], "u")
        .replace('²', "2")
        .replace('³', "3")
        .replace('℃', "°C")
        .replace('℉', "°F")
        .replace('％', "%")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use citywatch_model::name;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn converts_as_the_handbooks_say() {
        for (value, from, to, expected) in [
            (0.29, "m", "cm", 29.0),
            (3.0, "ft", "m", 0.9144),
            (1.0, "[ft_i]", "[in_i]", 12.0),
            (36.0, "km/h", "m/s", 10.0),
            (10.0, "m/s", "km/h", 36.0),
            (1.0, "kn", "km/h", 1.852),
            (1.0, "mph", "[mi_i]/h", 1.0),
            (3_600.0, "m3/h", "m3/s", 1.0),
            (1.0, "m3/h", "L/s", 0.277_777_778),
            (1.0, "ft3/s", "L/s", 28.316_846_592),
            (0.14, "MPa", "kPa", 140.0),
            (100.0, "psi", "kPa", 689.475_729_317),
            (1.0, "bar", "mbar", 1_000.0),
            (212.0, "degF", "Cel", 100.0),
            (-40.0, "°C", "[degF]", -40.0),
            (0.0, "K", "Cel", -273.15),
            (451.0, "degF", "K", 505.927_777_778),
            (21.5, "°C", "℃", 21.5),
            (5.0, "%vol", "ppm", 50_000.0),
            (0.42, "1", "%", 42.0),
            (250.5, "µg/m³", "mg/m3", 0.250_5),
            (1.0, "mg/L", "g/m3", 1.0),
            (90.0, "min", "h", 1.5),
            (10.0, "deg", "rad", 0.174_532_925),
            (50.0, "mm/h", "m/s", 0.000_013_889),
            (7.0, "furlong", "furlong", 7.0),
        ] {
            assert_eq!(
                convert(value, name(from), name(to)),
                Some(expected),
                "{value} {from} in {to}"
            );
        }
    }

    #[test]
    fn never_guesses() {
        for (from, to) in [
            ("%LEL", "%vol"),
            ("m", "s"),
            ("furlong", "m"),
            ("m", "furlong"),
            ("", "m"),
            ("{cars}", "1"),
        ] {
            assert_eq!(factor(name(from), name(to)), None, "{from} in {to}");
        }
        assert!(
            is_known("{cars}")
                && is_known("%LEL")
                && !is_known("furlong")
                && !is_known("{}")
                && !is_known("")
        );
    }

    #[test]
    fn no_spelling_stands_twice() {
        let mut all: Vec<_> = spellings().collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(spellings().all(|spelling| find(spelling).is_some()));
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(a in 0..UNITS.len(), b in 0..UNITS.len(), value in -1e3..1e3_f64) {
            let (from, to) = (name(UNITS[a].names[0]), name(UNITS[b].names[0]));
            match (factor(from, to), factor(to, from)) {
                (Some(there), Some(back)) => {
                    let exact = (value * there.scale + there.offset) * back.scale + back.offset;
                    prop_assert!((exact - value).abs() < 1e-6, "{value} {from} {to}: {exact}");
                }
                (None, None) => {}
                other => prop_assert!(false, "{from} {to}: {other:?}"),
            }
        }
    }
}
