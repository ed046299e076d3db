//! Series that are made of others.

use citywatch_model::{Duration, Name, name};

use super::{Aggregate, Expression};

/// A new series.
#[derive(Debug, Clone, PartialEq)]
pub struct Derive {
    /// Names it in messages; unique among derived series. That of a [`Method::Named`] is also the id of the
    /// sensor that it belongs to.
    pub id: Name,
    /// What it measures.
    pub measurement: Name,
    /// In which unit. What an expression adds or subtracts is converted to it; under `*` or `/` a reading comes as it was
    /// sent unless it is of the series' own measurement, and a sum in this unit if one of its inputs is, else in that of
    /// its first input.
    pub unit: Name,
    /// `where:` of the sensors that it is made at or from, as in a rule.
    pub selector: Vec<(Name, Vec<Name>)>,
    /// How it is made.
    pub method: Method,
}

impl Derive {
    /// The measurements that it makes: its own, and the codes behind a fire weather index.
    #[must_use]
    pub fn makes(&self) -> Vec<Name> {
        let mut makes = vec![self.measurement];
        if matches!(self.method, Method::FireWeather(_)) {
            makes.extend(FireWeather::CODES.map(name));
        }
        makes
    }
}

/// How a derived series is made.
#[derive(Debug, Clone, PartialEq)]
pub enum Method {
    /// `value:` at each selected sensor: one value per event time (with `align`, per bucket, at its beginning) once every
    /// input has one for it, in whatever order they come; 16 event times wait. An expression with windows has one per
    /// event time that is the newest of all its inputs, once the sensor has the first of them.
    Each {
        /// The expression.
        value: Expression,
        /// Measurements that it names, none twice, at least one.
        inputs: Vec<Name>,
        /// Buckets of this length since 1970 UTC; only where the expression is plain.
        align: Option<Duration>,
    },
    /// `value:` over named sensors, at a sensor that the registry need not know: one value per event time (with
    /// `align`, per bucket, at its beginning) once every input has one for it.
    Named {
        /// The expression.
        value: Expression,
        /// Sensors and measurements that it names, none twice, at least one.
        inputs: Vec<(Name, Name)>,
        /// Buckets of this length since 1970 UTC.
        align: Option<Duration>,
    },
    /// `sum:` (or `mean:`, `min:`, `max:`) of a measurement over the selected sensors of each zone, at a sensor
    /// with the id of the zone: one value per event time or bucket once every sensor that is not stale has one.
    Zones {
        /// `Sum`, `Mean`, `Min` or `Max`.
        aggregate: Aggregate,
        /// Of what.
        of: Name,
        /// Buckets of this length since 1970 UTC.
        align: Option<Duration>,
    },
    /// `daily:` at each selected sensor: over the readings between two hours of local time, emitted with the
    /// end as its event time when the clock passes it.
    Daily {
        /// `Mean`, `Min`, `Max` or `Sum`.
        aggregate: Aggregate,
        /// Of what.
        of: Name,
        /// Minutes after local midnight; before `to`.
        from: u16,
        /// Minutes after local midnight, at most 1440; a reading at this very time no longer counts.
        to: u16,
    },
    /// `fwi:` at each selected weather station: the Canadian codes and indices as `ffmc`, `dmc`, `dc`, `isi`,
    /// `bui` and the derived measurement itself for the index, in one observation at local noon.
    FireWeather(FireWeather),
}

impl Method {
    /// Whether its inputs at a sensor may come one after the other, whichever is first.
    #[must_use]
    pub fn gathers(&self) -> bool {
        match self {
            Method::Each { value, .. } => value.is_plain(),
            Method::FireWeather(_) => true,
            Method::Named { .. } | Method::Zones { .. } | Method::Daily { .. } => false,
        }
    }
}

/// Which measurements the fire weather index is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct FireWeather {
    /// Converted to Cel.
    pub temperature: Name,
    /// Converted to %.
    pub humidity: Name,
    /// Converted to km/h.
    pub wind: Name,
    /// Converted to mm; summed over the 24 h before noon.
    pub rain: Name,
    /// Codes of the day before the first.
    pub start: [f64; 3],
}

impl FireWeather {
    /// What comes beside the index.
    pub const CODES: [&str; 5] = ["ffmc", "dmc", "dc", "isi", "bui"];
}
