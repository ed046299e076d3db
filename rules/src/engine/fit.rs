//! What belongs together: which tasks a rule set means for a stage, at which sensors a program runs, and which
//! series it reads there. Decides; `bind` carries out.

use std::sync::Arc;

use citywatch_model::{Mode, Name, Zones};
use smallvec::SmallVec;

use super::core::Role;
use super::program::{Program, Task};
use super::sensor::SensorState;
use super::series::Series;
use crate::ast::{Derive, Method, RuleSet};

/// An open alert over silence stays although the sensor turns out to speak of something else, as long as the
/// registry does not say what it measures: other data is no recovery.
pub(super) fn stays(program: &Program, sensor: &SensorState) -> bool {
    program.uses_age && sensor.profile.details.measurements.is_empty()
}

/// A rule runs where its measurement is spoken. One that names `age` also runs where it is due: where the
/// registry declares the measurement, or declares nothing and the sensor has not said a word yet.
pub(super) fn applies(program: &Program, sensor: &SensorState) -> bool {
    let spoken = |(measurement, _): &(Name, Name)| sensor.track(*measurement).is_some();
    if let Task::Derive(derive) = &program.task
        && let Method::FireWeather(_) = derive.method
    {
        return program.inputs.iter().any(spoken);
    }
    let Some(own) = program.inputs.first() else {
        return false;
    };
    let declared = &sensor.profile.details.measurements;
    let awaited = declared.contains(&own.0) || (declared.is_empty() && sensor.tracks.is_empty());
    spoken(own) || (program.uses_age && awaited)
}

/// What the core of a stage has to run.
pub(super) fn tasks(rules: &RuleSet, role: Role) -> Vec<Task> {
    let in_force = rules
        .rules
        .iter()
        .filter(|rule| rule.info.mode != Mode::Off);
    if role == Role::First {
        let seen_alone = in_force.filter(|rule| !rule.second_stage);
        return seen_alone.cloned().map(Task::Judge).collect();
    }
    let mut tasks = Vec::new();
    for rule in in_force {
        if rule.second_stage {
            let judge = Task::Judge(rule.clone());
            let groups = Program::new(judge.clone()).groups;
            tasks.push(judge);
            let contribute = |group| Task::Contribute(rule.clone(), group);
            tasks.extend(groups.into_iter().map(contribute));
        } else if rule.escalate.is_some() {
            tasks.push(Task::Follow(rule.clone()));
        }
    }
    let read = |derive: &&Arc<Derive>| !matches!(derive.method, Method::Named { .. });
    tasks.extend(rules.derived.iter().filter(read).cloned().map(Task::Derive));
    tasks
}

/// Gives each bound the series that its inputs are, keeping those that are held already.
pub(super) fn lay_series(sensor: &mut SensorState, programs: &[Option<Program>], zones: &Zones) {
    let mut old = std::mem::take(&mut sensor.series);
    let mut series: Vec<Series> = Vec::new();
    let mut widths: Vec<(i64, u16)> = Vec::new();
    let mut bounds = std::mem::take(&mut sensor.bounds);
    for bound in &mut bounds {
        let Some(program) = &programs[bound.slot as usize] else {
            continue;
        };
        let mut inputs = SmallVec::new();
        for (measurement, unit) in &program.inputs {
            if sensor.track(*measurement).is_none() {
                inputs.push(None);
                continue;
            }
            let same = |series: &Series| series.measurement == *measurement && series.unit == *unit;
            let place = series.iter().position(same).unwrap_or_else(|| {
                let held = old.iter().position(same).map(|held| old.swap_remove(held));
                series.push(held.unwrap_or_else(|| sensor.open_series(*measurement, *unit)));
                widths.push((0, 0));
                series.len() - 1
            });
            inputs.push(Some(place as u16));
        }
        for window in &program.windows {
            if let Some(place) = inputs[window.input] {
                let (width, _) = &mut widths[usize::from(place)];
                *width = (*width).max(window.width_ms);
            }
        }
        for baseline in &program.baselines {
            if let Some(place) = inputs[baseline.input] {
                let (_, days) = &mut widths[usize::from(place)];
                *days = (*days).max(baseline.days);
            }
        }
        bound.inputs = inputs;
    }
    sensor.bounds = bounds;
    for track in &mut sensor.tracks {
        let fed = series
            .iter()
            .enumerate()
            .filter(|(_, series)| series.measurement == track.measurement);
        track.series = fed.map(|(place, _)| place as u16).collect();
    }
    for (series, (width, days)) in series.iter_mut().zip(widths) {
        series.keep(width);
        if days > 0 || series.baseline.is_some() {
            series.remember(days, zones.time_zone_at(sensor.profile.details.zone));
        }
    }
    sensor.series = series;
}
