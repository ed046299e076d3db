//! The report as text for a terminal. Says what the numbers mean; computes none.

mod departments;
mod difference;
mod score;
mod words;

use std::fmt::{self, Display, Formatter};

use citywatch_model::Time;

use super::load::Load;
use super::report::{DataRead, Report, RuleShare, Unseen};
use words::{Count, Levels, Percent};

/// Rules of a storm that are named.
const STORM_RULES: usize = 5;
/// Lines about rules that saw no reading.
const UNSEEN: usize = 20;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let transitions = &self.transitions;
        data_head(f, &self.data)?;
        writeln!(
            f,
            "{} transitions: {} raise, {} change, {} clear",
            transitions.raise + transitions.change + transitions.clear,
            transitions.raise,
            transitions.change,
            transitions.clear
        )?;
        data_faults(f, &self.data)?;
        unseen(f, &self.data.unseen)?;
        let alerts = &self.alerts;
        writeln!(
            f,
            "\nAlerts: {}, {} open at the end, {} over within a minute",
            alerts.total, alerts.open_at_end, alerts.short
        )?;
        load(f, &self.load)?;
        self.tables(f)?;
        if let Some(departments) = &self.departments {
            departments::told(f, departments)?;
        }
        if let Some(difference) = &self.difference {
            difference::against(f, difference)?;
        }
        if let Some(score) = &self.labels {
            score::scored(f, score)?;
        }
        Ok(())
    }
}

impl Report {
    fn tables(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.alerts.total == 0 {
            return Ok(());
        }
        writeln!(f, "\nBy hazard and worst level")?;
        for hazard in &self.hazards {
            let name = hazard.hazard.as_str();
            let name = if name.is_empty() { "(none)" } else { name };
            writeln!(f, "  {name:<14} {}", Levels(hazard.alerts))?;
        }
        writeln!(f, "\nNoisiest sensors")?;
        for sensor in &self.noisy_sensors {
            let RuleShare { rule, alerts } = &sensor.noisiest_rule;
            writeln!(
                f,
                "  {:>6} {:>6}  {}{}{}, most by {rule} ({alerts})",
                sensor.alerts,
                Percent(Some(sensor.share)),
                sensor.sensor,
                if sensor.name.is_empty() { "" } else { " " },
                sensor.name,
            )?;
        }
        writeln!(f, "\nNoisiest rules")?;
        for rule in &self.noisy_rules {
            writeln!(
                f,
                "  {:>6} {:>6}  {} at {}, {} over within a minute, {} open at the end",
                rule.alerts,
                Percent(Some(rule.share)),
                rule.rule,
                Count(rule.sensors, "sensor"),
                rule.short,
                rule.open_at_end
            )?;
        }
        Ok(())
    }
}

fn data_head(f: &mut Formatter<'_>, data: &DataRead) -> fmt::Result {
    let moment =
        |time: Option<Time>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
    writeln!(
        f,
        "{} readings in {} observations of {}, {} to {}",
        data.readings,
        data.observations,
        Count(data.sensors, "sensor"),
        moment(data.first),
        moment(data.last)
    )
}

fn data_faults(f: &mut Formatter<'_>, data: &DataRead) -> fmt::Result {
    for (count, what) in [
        (data.bad_rows, "bad rows, not read"),
        (data.late, "late readings, which only fill windows"),
        (data.repeats, "readings that came twice"),
        (
            data.conflicts,
            "readings that came again with another value; the first one counts",
        ),
        (data.implausible, "implausible readings, shown to no rule"),
        (
            data.unit_errors,
            "readings in a unit that a rule cannot convert, not shown to it",
        ),
        (
            data.incomplete,
            "event times for which a derived series lacked an input until it gave them up",
        ),
    ] {
        if count > 0 {
            writeln!(f, "{count} {what}")?;
        }
    }
    for wrong in &data.wrong_units {
        writeln!(
            f,
            "  {}: {} sends {} in `{}`, the rule wants `{}`, {} times",
            wrong.rule, wrong.sensor, wrong.measurement, wrong.unit, wrong.wanted, wrong.times
        )?;
    }
    for lacking in &data.incomplete_series {
        writeln!(
            f,
            "  {}: {} of {} lacked {} times; if its inputs come at different times, give the series `align`",
            lacking.series, lacking.measurement, lacking.sensor, lacking.times
        )?;
    }
    Ok(())
}

/// Nothing fits, and all is well, look alike without it.
fn unseen(f: &mut Formatter<'_>, all: &[Unseen]) -> fmt::Result {
    for unseen in all.iter().take(UNSEEN) {
        write!(
            f,
            "rule {} saw no reading of {}",
            unseen.rule, unseen.measurement
        )?;
        match unseen.sensor {
            Some(sensor) => writeln!(f, " at {sensor}")?,
            None => writeln!(f)?,
        }
    }
    let more = all.len().saturating_sub(UNSEEN);
    if more > 0 {
        writeln!(
            f,
            "and {more} more such lines, which the report as JSON has"
        )?;
    }
    Ok(())
}

fn load(f: &mut Formatter<'_>, load: &Load) -> fmt::Result {
    write!(
        f,
        "  per day: {:.1} on average of {} ({})",
        load.per_day,
        Count(load.days, "day"),
        load.timezone
    )?;
    match &load.busiest_day {
        Some(day) => writeln!(f, ", most on {}: {}", day.date, day.count)?,
        None => writeln!(f)?,
    }
    writeln!(
        f,
        "  per operator position ({}) and 10 minutes: {:.3} on average, EEMUA 191 allows {}{}",
        load.positions,
        load.per_10_minutes,
        load.steady_limit,
        verdict(load.per_10_minutes, load.steady_limit)
    )?;
    let Some(storm) = &load.storm else {
        return Ok(());
    };
    let rules = storm.rules.iter().take(STORM_RULES);
    let rules: Vec<String> = rules
        .map(|share| format!("{} {}", share.rule, share.alerts))
        .collect();
    writeln!(
        f,
        "  longest storm: {} in 10 minutes ({:.1} per position), EEMUA 191 allows {}{}",
        storm.alerts,
        storm.per_position,
        load.storm_limit,
        verdict(storm.per_position, load.storm_limit)
    )?;
    writeln!(
        f,
        "    {} to {}: {}{}",
        storm.from,
        storm.to,
        rules.join(", "),
        if storm.rules.len() > STORM_RULES {
            ", …"
        } else {
            ""
        }
    )
}

fn verdict(value: f64, limit: f64) -> &'static str {
    if value > limit { ": TOO MANY" } else { "" }
}
