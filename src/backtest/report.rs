//! What a backtest answers, as plain data: it is printed as text, written as JSON, or sent over HTTP.
//! Times are UTC, dates are local days of the report's time zone; nothing here computes.

use citywatch_model::{Duration, Level, Name, Text, Time, Transition, TransitionKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::departments::Departments;
use super::difference::Difference;
use super::load::Load;
use super::noise::{HazardAlerts, NoisyRule, NoisySensor};
use super::score::Score;

/// The whole answer of a backtest.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Report {
    /// What was read.
    pub data: DataRead,
    /// What the rules emitted.
    pub transitions: TransitionCount,
    /// How many alerts that makes.
    pub alerts: AlertCount,
    /// Alerts per day and per operator position, against EEMUA 191.
    pub load: Load,
    /// Alerts by hazard and by the worst level they reached, in the order of the hazards' names.
    pub hazards: Vec<HazardAlerts>,
    /// The ten sensors with the most alerts.
    pub noisy_sensors: Vec<NoisySensor>,
    /// The ten rules with the most alerts.
    pub noisy_rules: Vec<NoisyRule>,
    /// Whom the plans would have told; absent without plans.
    pub departments: Option<Departments>,
    /// What changes against another set of rules; absent without one.
    pub difference: Option<Difference>,
    /// How the alerts meet labelled events; absent without labels.
    pub labels: Option<Score>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
pub struct DataRead {
    /// Earliest event time; absent if there was no reading.
    pub first: Option<Time>,
    /// Newest event time, where the clock ended.
    pub last: Option<Time>,
    /// Observations: the readings of one sensor with one event time.
    pub observations: u64,
    /// Readings in them.
    pub readings: u64,
    /// Sensors that spoke.
    pub sensors: u64,
    /// Rows or records that could not be read; whoever brings the readings counts them.
    pub bad_rows: u64,
    /// Readings older than the newest of their series; they only fill windows.
    pub late: u64,
    /// Readings that came twice.
    pub repeats: u64,
    /// Readings that came again with another value; the first one counts.
    pub conflicts: u64,
    /// Readings outside the plausible range of the registry, shown to no rule.
    pub implausible: u64,
    /// Readings in a unit that a rule cannot convert, not shown to it.
    pub unit_errors: u64,
    /// The newest of those.
    pub wrong_units: Vec<WrongUnit>,
    /// Event times that derived series gave up, because too many newer ones waited for an input as well.
    pub incomplete: u64,
    /// The newest of those.
    pub incomplete_series: Vec<IncompleteSeries>,
    /// What rules wait for and no reading brought.
    pub unseen: Vec<Unseen>,
}

/// A transition as it is printed and sent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TransitionLine {
    /// When, on the backtest's clock.
    pub time: Time,
    /// What happened.
    pub kind: TransitionKind,
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// The sensor that it is about.
    #[schema(value_type = String)]
    pub subject: Name,
    /// The new level; of a clear, the level that ended.
    pub level: Level,
    /// Newest value of the rule's measurement in the rule's unit; absent if it never spoke.
    pub value: Option<f64>,
    /// Only with a clear: the rule or the sensor was changed or removed, so whether the danger is over is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
}

impl From<&Transition> for TransitionLine {
    fn from(transition: &Transition) -> TransitionLine {
        TransitionLine {
            time: transition.time,
            kind: transition.kind,
            rule: transition.rule,
            subject: transition.subject,
            level: transition.level,
            value: transition.value,
            unwatched: transition.unwatched,
        }
    }
}

/// A unit that a rule cannot convert.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WrongUnit {
    /// The rule that wanted another unit.
    #[schema(value_type = String)]
    pub rule: Name,
    /// Who sent it.
    #[schema(value_type = String)]
    pub sensor: Name,
    /// What was measured.
    #[schema(value_type = String)]
    pub measurement: Name,
    /// The unit that came.
    #[schema(value_type = String)]
    pub unit: Name,
    /// The unit that the rule wants.
    #[schema(value_type = String)]
    pub wanted: Name,
    /// How often.
    pub times: u64,
}

/// A derived series whose inputs do not come for the same event time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct IncompleteSeries {
    /// The derived series.
    #[schema(value_type = String)]
    pub series: Name,
    /// Whose input did not come.
    #[schema(value_type = String)]
    pub sensor: Name,
    /// The input.
    #[schema(value_type = String)]
    pub measurement: Name,
    /// For how many event times.
    pub times: u64,
}

/// A measurement that a rule waits for, or a derived series that it is about, and that no reading brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Unseen {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// What it waits for.
    #[schema(value_type = String)]
    pub measurement: Name,
    /// The sensor that it names; absent: any that it selects.
    #[schema(value_type = Option<String>)]
    pub sensor: Option<Name>,
}

/// How many transitions of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct TransitionCount {
    /// From no level to one.
    pub raise: u64,
    /// From one level to another.
    pub change: u64,
    /// From a level to none.
    pub clear: u64,
}

/// How many alerts; an alert begins with a raise and ends with its clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(as = BacktestAlertCount)]
pub struct AlertCount {
    /// Alerts raised.
    pub total: u64,
    /// Those that were open when the data ended.
    pub open_at_end: u64,
    /// Chattering: those that were over within a minute.
    pub short: u64,
}

/// A number for each level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct ByLevel {
    /// Level IV.
    pub blue: u64,
    /// Level III.
    pub yellow: u64,
    /// Level II.
    pub orange: u64,
    /// Level I.
    pub red: u64,
}

impl ByLevel {
    /// Counts one more at `level`.
    pub fn add(&mut self, level: Level) {
        let count = match level {
            Level::Blue => &mut self.blue,
            Level::Yellow => &mut self.yellow,
            Level::Orange => &mut self.orange,
            Level::Red => &mut self.red,
        };
        *count += 1;
    }

    /// The number of `level`.
    #[must_use]
    pub fn of(&self, level: Level) -> u64 {
        match level {
            Level::Blue => self.blue,
            Level::Yellow => self.yellow,
            Level::Orange => self.orange,
            Level::Red => self.red,
        }
    }
}

/// A local day and how much fell on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Day {
    /// `YYYY-MM-DD` in the time zone of the report.
    pub date: String,
    /// How many.
    pub count: u64,
}

/// A rule and how many alerts came from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleShare {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// Its alerts.
    pub alerts: u64,
}

/// One alert as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertLine {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// The sensor.
    #[schema(value_type = String)]
    pub subject: Name,
    /// When it was raised.
    pub raised: Time,
    /// When it ended; absent if it was open at the end.
    pub cleared: Option<Time>,
    /// The worst level that it reached.
    pub level: Level,
}

/// Median and ends of some times, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Spread {
    /// How many there were.
    pub count: u64,
    /// Half of them are at most this; of an even number the mean of the two in the middle.
    pub median_s: f64,
    /// The least.
    pub min_s: f64,
    /// The greatest.
    pub max_s: f64,
}

impl Spread {
    /// Of `times` in any order; `None` if there are none.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Option<Spread> {
        times.sort_unstable();
        let (min, max) = (times.first()?.seconds(), times.last()?.seconds());
        let middle = times.len() / 2;
        let median = if times.len() % 2 == 1 {
            times[middle].seconds()
        } else {
            (times[middle - 1].seconds() + times[middle].seconds()) / 2.0
        };
        Some(Spread {
            count: times.len() as u64,
            median_s: median,
            min_s: min,
            max_s: max,
        })
    }
}

/// The name of a rule for people, or its id.
pub(super) fn label(text: &Text, id: Name) -> Text {
    if text.is_empty() {
        Text::same(&id)
    } else {
        text.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let spread = |seconds: &[i64]| {
            let times = seconds.iter().copied().map(Duration::from_secs);
            Spread::of(times.collect())
                .map(|spread| (spread.count, spread.median_s, spread.min_s, spread.max_s))
        };
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[7]), Some((1, 7.0, 7.0, 7.0)));
        assert_eq!(spread(&[9, -3]), Some((2, 3.0, -3.0, 9.0)));
        assert_eq!(spread(&[5, 100, -1]), Some((3, 5.0, -1.0, 100.0)));
    }
}
