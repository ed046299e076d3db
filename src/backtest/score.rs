//! Alerts against labelled events: hits, misses, false alarms per sensor-year, and what the rules gain over the
//! plain threshold. An event is hit if an alert is open or raised between its start and its end (with grace) at
//! its sensor; an alert that touches no event is a false alarm. Events outside the data are neither hit nor missed.

mod judge;

use citywatch_model::{Duration, Name, Time};
use serde::Serialize;
use utoipa::ToSchema;

use super::report::Spread;

pub use judge::{Evidence, score};

/// How the alerts meet the labelled events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Score {
    /// Labelled events.
    pub events: u64,
    /// Events that an alert answered.
    pub hits: u64,
    /// Hits that are answered only by alerts raised before the event began. An alert that stays open for long
    /// hits whatever follows, so these say little about detection.
    pub open_before: u64,
    /// Events within the data that no alert answered.
    pub misses: u64,
    /// Events outside the data, or of a sensor that did not speak then: neither hits nor misses.
    pub outside: u64,
    /// How long after its end an event may still be answered.
    pub grace: Duration,
    /// Alerts of all rules.
    pub alerts: u64,
    /// Alerts that touch no event.
    pub false_alarms: u64,
    /// Years from the first to the last reading of each sensor, summed.
    pub sensor_years: f64,
    /// False alarms per sensor-year; absent if nothing was observed for any time.
    pub false_alarms_per_sensor_year: Option<f64>,
    /// Share of the alerts that touch an event; absent without alerts.
    pub precision: Option<f64>,
    /// Share of the events within the data that are hit; absent without such events.
    pub recall: Option<f64>,
    /// From the event's start, or from the beginning of the data if that is later, to the first alert raised within
    /// the event; over the hits that have one.
    pub delay: Option<Spread>,
    /// From the first alert raised within the event to its first reading that crosses the plain threshold; negative
    /// if the threshold came first. Over the hits that have both.
    pub lead: Option<Spread>,
    /// Rules that have a plain threshold.
    pub plain_thresholds: u64,
    /// Events within the data in which no reading crossed a plain threshold.
    pub never_crossed: u64,
    /// The same for each rule that raised an alert, by id.
    pub rules: Vec<RuleScore>,
    /// Each event, in the order of the starts.
    pub each: Vec<EventScore>,
}

/// How the alerts of one rule meet the events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuleScore {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// Its alerts.
    pub alerts: u64,
    /// Those that touch no event.
    pub false_alarms: u64,
    /// False alarms per sensor-year of all sensors.
    pub false_alarms_per_sensor_year: Option<f64>,
    /// Events that it answered.
    pub hits: u64,
    /// Share of its alerts that touch an event.
    pub precision: Option<f64>,
    /// Share of the events within the data that it answered.
    pub recall: Option<f64>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// An alert answered it.
    Hit,
    /// No alert did.
    Missed,
    /// It lies outside the data.
    Outside,
}

impl Outcome {
    /// `hit`, `missed` or `outside`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Missed => "missed",
            Outcome::Outside => "outside",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventScore {
    /// Its id.
    pub event: String,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// Its sensor; absent for any.
    #[schema(value_type = Option<String>)]
    pub sensor: Option<Name>,
    /// What became of it.
    pub outcome: Outcome,
    /// When the first alert was raised within it; absent if there is none, or only one that was open before.
    pub alerted: Option<Time>,
    /// The rule of that alert, or else of the first that was open before.
    #[schema(value_type = Option<String>)]
    pub rule: Option<Name>,
    /// The sensor of that alert.
    #[schema(value_type = Option<String>)]
    pub subject: Option<Name>,
    /// The first reading that crossed a plain threshold.
    pub crossed: Option<Time>,
    /// Seconds from the start, or from the beginning of the data if that is later, to the alert.
    pub delay_s: Option<f64>,
    /// Seconds from the alert to the crossing; negative if the threshold came first.
    pub lead_s: Option<f64>,
}
