//! How cases print when they fail.

use std::fmt;

use crate::stream::{Event, PLACES, Registered, What};

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}m {:?}", self.after, self.what)
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Reading(sensor, late, values) => {
                let values = values
                    .iter()
                    .map(|(word, number, unit)| format!("{word}={number}[{unit}]"));
                write!(
                    f,
                    "s{sensor} {} {late}m late",
                    values.collect::<Vec<_>>().join(",")
                )
            }
            What::Tick => f.write_str("tick"),
            What::Start => f.write_str("start"),
            What::Link(state) => write!(f, "link {state:?}"),
            What::Register(sensors) => write!(f, "register {sensors:?}"),
            What::Remove(sensor) => write!(f, "remove s{sensor}"),
            What::Zones(outer) => write!(f, "zones cell>{outer}"),
            What::Rules(set) => write!(f, "rules {set}"),
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.id)?;
        let minutes = |minutes: i64| format!("{minutes}m");
        let parts = [
            ("kind", self.kind.map(str::to_owned)),
            ("zone", self.zone.map(str::to_owned)),
            ("stale", self.stale.map(minutes)),
            (
                "interval",
                self.interval.map(|(interval, _)| minutes(interval)),
            ),
            (
                "alarm",
                self.interval.and_then(|(_, alarm)| alarm).map(minutes),
            ),
            (
                "measures",
                (!self.measures.is_empty()).then(|| self.measures.join(",")),
            ),
            ("min", self.min.map(|min| min.to_string())),
            (
                "place",
                self.placed.then(|| format!("{:?}", PLACES[self.id])),
            ),
        ];
        parts.iter().try_for_each(|(key, text)| {
            text.as_ref()
                .map_or(Ok(()), |text| write!(f, " {key}={text}"))
        })
    }
}
