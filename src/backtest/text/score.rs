//! The part of the report on labelled events.

use std::fmt::{self, Formatter};

use super::words::{Count, Percent, Seconds};
use crate::backtest::report::Spread;
use crate::backtest::score::{EventScore, Outcome, RuleScore, Score};

pub fn scored(f: &mut Formatter<'_>, score: &Score) -> fmt::Result {
    writeln!(
        f,
        "\nLabelled events: {}, {} hit, {} missed, {} outside the data (grace {})",
        score.events, score.hits, score.misses, score.outside, score.grace
    )?;
    writeln!(
        f,
        "  of the hits {} only by an alert that was open before: neither delay nor lead",
        score.open_before
    )?;
    writeln!(
        f,
        "  {} false of {} alerts: {} per sensor-year ({:.3} sensor-years); precision {}, recall {}",
        score.false_alarms,
        score.alerts,
        rate(score.false_alarms_per_sensor_year),
        score.sensor_years,
        Percent(score.precision),
        Percent(score.recall)
    )?;
    spread(
        f,
        "delay from the event's start to the first alert",
        score.delay,
    )?;
    spread(
        f,
        "lead of the first alert before the plain threshold",
        score.lead,
    )?;
    writeln!(
        f,
        "  the plain threshold ({}) was never crossed in {}",
        Count(score.plain_thresholds, "rule"),
        Count(score.never_crossed, "event")
    )?;
    score.rules.iter().try_for_each(|one| rule(f, one))?;
    score.each.iter().try_for_each(|one| event(f, one))
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.2}"))
}

fn rule(f: &mut Formatter<'_>, rule: &RuleScore) -> fmt::Result {
    writeln!(
        f,
        "  {}: {} hit, {} false of {} alerts, {} per sensor-year; precision {}, recall {}",
        rule.rule,
        rule.hits,
        rule.false_alarms,
        rule.alerts,
        rate(rule.false_alarms_per_sensor_year),
        Percent(rule.precision),
        Percent(rule.recall)
    )
}

fn event(f: &mut Formatter<'_>, event: &EventScore) -> fmt::Result {
    write!(
        f,
        "  {:<7} {} {}",
        event.outcome.word(),
        event.event,
        event.start
    )?;
    if let (Outcome::Hit, Some(rule), Some(subject)) = (event.outcome, event.rule, event.subject) {
        write!(f, " by {rule} {subject}")?;
        match event.delay_s {
            Some(delay) => write!(f, " after {}", Seconds(delay))?,
            None => write!(f, ", open before")?,
        }
        if let Some(lead) = event.lead_s {
            write!(f, ", lead {}", Seconds(lead))?;
        }
    }
    writeln!(f)
}

fn spread(f: &mut Formatter<'_>, what: &str, spread: Option<Spread>) -> fmt::Result {
    let Some(spread) = spread else {
        return writeln!(f, "  {what}: none");
    };
    writeln!(
        f,
        "  {what}: median {}, {} to {}, of {}",
        Seconds(spread.median_s),
        Seconds(spread.min_s),
        Seconds(spread.max_s),
        Count(spread.count, "event")
    )
}
