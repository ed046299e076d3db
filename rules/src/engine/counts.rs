//! What happened to readings besides being judged. Counts, and the newest ones that no rule could use, with their place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use citywatch_model::{Name, Position, Time};
use serde::{Deserialize, Serialize};

/// How many of each kind an epoch names, so that one that brings much at once hides no sensor; the others are only
/// counted.
pub(crate) const NAMED_IN_EPOCH: usize = 1_000;
/// The same in the summary of a backtest, which people read.
pub(crate) const NAMED_IN_SUMMARY: usize = 16;

/// Counts of readings since some point.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Readings seen, of any kind.
    pub readings: u64,
    /// Older than the newest of their series; they only fill windows.
    pub late: u64,
    /// The same sensor, measurement and event time again with the same value.
    pub repeats: u64,
    /// The same sensor, measurement and event time again with another value; the first one counts.
    pub conflicts: u64,
    /// Outside the plausible range of the registry; no rule sees them.
    pub implausible: u64,
    /// Readings that a rule could not see because their unit does not convert to the rule's.
    pub unit_errors: u64,
    /// The newest of those, one entry for each rule, sensor and unit, the newest last.
    pub unit_newest: Vec<UnitError>,
    /// The newest of the late and the implausible ones, one entry for each sensor, measurement and reason, the newest last.
    #[serde(default)]
    pub unjudged_newest: Vec<Unjudged>,
    /// Days for which a derived series could not be made, because the weather of them cannot be.
    #[serde(default)]
    pub weather_errors: u64,
    /// The newest of those, one entry for each series, sensor and measurement, the newest last.
    #[serde(default)]
    pub weather_newest: Vec<WeatherError>,
    /// Event times, or buckets, that a derived series gave up because too many newer ones waited for an input as well.
    #[serde(default)]
    pub incomplete: u64,
    /// The newest of those, one entry for each series, sensor and measurement, the newest last.
    #[serde(default)]
    pub incomplete_newest: Vec<Incomplete>,
}

/// Why a reading that was understood raises nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnjudgedWhy {
    /// Outside the plausible range of the registry.
    Implausible,
    /// Older than the newest of its series.
    Late,
}

/// Readings of a sensor that raise nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unjudged {
    /// Why.
    pub why: UnjudgedWhy,
    /// Who sent them.
    pub sensor: Name,
    /// What was measured.
    pub measurement: Name,
    /// The newest value, as it came.
    pub value: f64,
    /// How often since the counts began.
    pub times: u64,
    /// Event time of the newest.
    pub time: Time,
    /// Record of the newest.
    pub position: Position,
}

/// Weather that cannot be, such as a humidity of 130 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WeatherError {
    /// Id of the derived series that was to be made.
    pub series: Name,
    /// The weather station.
    pub sensor: Name,
    /// What was measured.
    pub measurement: Name,
    /// The value, in the unit of the equations.
    pub value: f64,
    /// What is wrong with it.
    pub why: String,
    /// How often since the counts began.
    pub times: u64,
    /// The noon of the newest.
    pub time: Time,
    /// Record before which that noon passed.
    pub position: Position,
}

/// A unit that a rule cannot convert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitError {
    /// The rule that wanted another unit.
    pub rule: Name,
    /// Who sent it.
    pub sensor: Name,
    /// What was measured.
    pub measurement: Name,
    /// The unit that came.
    pub unit: Name,
    /// The unit that the rule wants.
    pub wanted: Name,
    /// How often since the counts began.
    pub times: u64,
    /// Event time of the newest.
    pub time: Time,
    /// Record of the newest.
    pub position: Position,
}

/// Inputs of a derived series that did not come for the same event time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incomplete {
    /// Id of the derived series.
    pub series: Name,
    /// Whose input did not come.
    pub sensor: Name,
    /// The input.
    pub measurement: Name,
    /// How often since the counts began.
    pub times: u64,
    /// The newest event time that was given up, or the beginning of its bucket.
    pub time: Time,
    /// Record at which it was.
    pub position: Position,
}

/// Counts in the making.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: Counts,
    units: BTreeMap<(Name, Name, Name), UnitError>,
    weather: BTreeMap<(Name, Name, Name), WeatherError>,
    unjudged: BTreeMap<(Name, Name, UnjudgedWhy), Unjudged>,
    incomplete: BTreeMap<(Name, Name, Name), Incomplete>,
}

impl Unjudged {
    /// Adds what came of the same sensor, measurement and reason.
    pub fn add(&mut self, other: &Unjudged) {
        let times = self.times + other.times;
        if other.position >= self.position {
            *self = other.clone();
        }
        self.times = times;
    }
}

impl Counts {
    /// Only what could not be judged: of a second look at the same readings, nothing else counts.
    pub(crate) fn mistakes(self) -> Counts {
        Counts {
            unit_errors: self.unit_errors,
            unit_newest: self.unit_newest,
            weather_errors: self.weather_errors,
            weather_newest: self.weather_newest,
            incomplete: self.incomplete,
            incomplete_newest: self.incomplete_newest,
            ..Counts::default()
        }
    }
}

impl Tally {
    pub(crate) fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    pub(crate) fn unit_error(&mut self, error: &UnitError) {
        self.counts.unit_errors += error.times;
        let key = (error.rule, error.sensor, error.unit);
        let entry = self.units.entry(key).or_insert_with(|| UnitError {
            times: 0,
            ..error.clone()
        });
        entry.times += error.times;
        if error.position >= entry.position {
            (entry.time, entry.position) = (error.time, error.position);
        }
    }

    pub(crate) fn unjudged(&mut self, unjudged: &Unjudged) {
        match unjudged.why {
            UnjudgedWhy::Implausible => self.counts.implausible += unjudged.times,
            UnjudgedWhy::Late => self.counts.late += unjudged.times,
        }
        let key = (unjudged.sensor, unjudged.measurement, unjudged.why);
        match self.unjudged.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().add(unjudged),
            Entry::Vacant(free) => {
                free.insert(unjudged.clone());
            }
        }
    }

    pub(crate) fn weather_error(&mut self, error: &WeatherError) {
        self.counts.weather_errors += error.times;
        let key = (error.series, error.sensor, error.measurement);
        let entry = self.weather.entry(key).or_insert_with(|| WeatherError {
            times: 0,
            ..error.clone()
        });
        entry.times += error.times;
        if error.position >= entry.position {
            let times = entry.times;
            *entry = WeatherError {
                times,
                ..error.clone()
            };
        }
    }

    pub(crate) fn incomplete(&mut self, incomplete: &Incomplete) {
        self.counts.incomplete += incomplete.times;
        let key = (incomplete.series, incomplete.sensor, incomplete.measurement);
        let entry = self.incomplete.entry(key);
        let entry = entry.or_insert_with(|| Incomplete {
            times: 0,
            ..incomplete.clone()
        });
        entry.times += incomplete.times;
        if incomplete.position >= entry.position {
            (entry.time, entry.position) = (incomplete.time, incomplete.position);
        }
    }

    /// Takes in what another worker counted.
    pub(crate) fn add(&mut self, other: Counts) {
        let sum = &mut self.counts;
        sum.readings += other.readings;
        sum.late += other.late;
        sum.repeats += other.repeats;
        sum.conflicts += other.conflicts;
        sum.implausible += other.implausible;
        // entries that are no longer named still count
        let named: u64 = other.unit_newest.iter().map(|error| error.times).sum();
        sum.unit_errors += other.unit_errors - named;
        let named: u64 = other.weather_newest.iter().map(|error| error.times).sum();
        sum.weather_errors += other.weather_errors - named;
        let named: u64 = other
            .incomplete_newest
            .iter()
            .map(|entry| entry.times)
            .sum();
        sum.incomplete += other.incomplete - named;
        let named = |why| {
            let entries = other
                .unjudged_newest
                .iter()
                .filter(|entry| entry.why == why);
            entries.map(|entry| entry.times).sum::<u64>()
        };
        sum.late -= named(UnjudgedWhy::Late);
        sum.implausible -= named(UnjudgedWhy::Implausible);
        for entry in &other.unjudged_newest {
            self.unjudged(entry);
        }
        for error in other.unit_newest {
            self.unit_error(&error);
        }
        for error in other.weather_newest {
            self.weather_error(&error);
        }
        for entry in other.incomplete_newest {
            self.incomplete(&entry);
        }
    }

    /// The counts with every mistake named.
    pub(crate) fn all(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.unit_newest = self.units.values().cloned().collect();
        counts.unit_newest.sort_by_key(|error| error.position);
        counts.unjudged_newest = self.unjudged.values().cloned().collect();
        counts.unjudged_newest.sort_by_key(|entry| entry.position);
        counts.weather_newest = self.weather.values().cloned().collect();
        counts.weather_newest.sort_by_key(|error| error.position);
        counts.incomplete_newest = self.incomplete.values().cloned().collect();
        counts.incomplete_newest.sort_by_key(|entry| entry.position);
        counts
    }

    /// The counts with the newest mistakes named, of each kind that many at most.
    pub(crate) fn newest(&self, named: usize) -> Counts {
        let mut counts = self.all();
        keep_newest(&mut counts.unit_newest, named);
        keep_newest(&mut counts.unjudged_newest, named);
        keep_newest(&mut counts.weather_newest, named);
        keep_newest(&mut counts.incomplete_newest, named);
        counts
    }
}

fn keep_newest<T>(entries: &mut Vec<T>, named: usize) {
    entries.drain(..entries.len().saturating_sub(named));
}
