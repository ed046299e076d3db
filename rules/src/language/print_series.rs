//! Functions over several sensors and derived series back to text, such that reading the text gives the same.
//! Continues `print`.

use std::fmt;

use super::print::measurement_name;
use crate::ast::{Aggregate, Contribution, FireWeather, Group, Method, Reach};

/// `near(methane, 100m, max(value))`, `count_near(methane, 100m, value >= 20)`, `zone(rain, mean(sum(1h)))`.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let distance = |f: &mut fmt::Formatter<'_>, metres: f64| write!(f, ", {metres}m");
        match (self.reach, self.aggregate) {
            (Reach::Near(metres), Aggregate::Count(operator, number)) => {
                f.write_str("count_near(")?;
                measurement_name(f, &self.measurement)?;
                distance(f, metres)?;
                write!(f, ", {} {operator} {number})", self.each)
            }
            (Reach::Near(metres), aggregate) => {
                f.write_str("near(")?;
                measurement_name(f, &self.measurement)?;
                distance(f, metres)?;
                write!(f, ", {aggregate}({}))", self.each)
            }
            (Reach::Zone, aggregate) => {
                f.write_str("zone(")?;
                measurement_name(f, &self.measurement)?;
                write!(f, ", {aggregate}({}))", self.each)
            }
        }
    }
}

impl fmt::Display for Contribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contribution::Newest => f.pad("value"),
            Contribution::Window(function, width) => write!(f, "{function}({width})"),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Aggregate::Min => f.pad("min"),
            Aggregate::Max => f.pad("max"),
            Aggregate::Mean => f.pad("mean"),
            Aggregate::Sum => f.pad("sum"),
            Aggregate::Count(operator, number) => write!(f, "count(value {operator} {number})"),
        }
    }
}

/// What stands behind `value:`, `zones:`, `daily:` or `fwi:`.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Each { value, .. } | Method::Named { value, .. } => value.fmt(f),
            Method::Zones { aggregate, of, .. } => {
                write!(f, "{aggregate}(")?;
                measurement_name(f, of)?;
                f.write_str(")")
            }
            Method::Daily {
                aggregate,
                of,
                from,
                to,
            } => {
                write!(f, "{aggregate}(")?;
                measurement_name(f, of)?;
                let [from, to] =
                    [from, to].map(|minutes| format!("{:02}:{:02}", minutes / 60, minutes % 60));
                write!(f, ") from {from} to {to}")
            }
            Method::FireWeather(weather) => weather.fmt(f),
        }
    }
}

impl fmt::Display for FireWeather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ ")?;
        for (key, measurement) in [
            ("temperature", self.temperature),
            ("humidity", self.humidity),
            ("wind", self.wind),
            ("rain", self.rain),
        ] {
            // YAML's own quotes: any text reads as it was
            write!(f, "{key}: '{}', ", measurement.replace('\'', "''"))?;
        }
        let [ffmc, dmc, dc] = self.start;
        write!(f, "start: [{ffmc}, {dmc}, {dc}] }}")
    }
}
