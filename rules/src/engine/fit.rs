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

/// A rule runs where its measurement is spoken, a series whose inputs may come one after the other where one of them is.
/// A rule that names `age` also runs where it is due: where the
/// registry declares the measurement, or declares nothing and the sensor has not said a word yet.
pub(super) fn applies(program: &Program, sensor: &SensorState) -> bool {
    let spoken = |(measurement, _): &(Name, Name)| sensor.track(*measurement).is_some();
    if let Task::Derive(derive) = &program.task
        && derive.method.gathers()
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

/// Gives each bound the series that its inputs are, keeping those that are held already. Of the programs `ahead`,
/// which have windows over other measurements than their own, those windows are filled before they run here: a
/// window is what it holds, from the first reading on.
pub(super) fn lay_series(
    sensor: &mut SensorState,
    programs: &[Option<Program>],
    ahead: &[u32],
    zones: &Zones,
) {
    let mut layout = Layout {
        old: std::mem::take(&mut sensor.series),
        series: Vec::new(),
        reach: Vec::new(),
    };
    let mut bounds = std::mem::take(&mut sensor.bounds);
    for bound in &mut bounds {
        if let Some(program) = &programs[bound.slot as usize] {
            bound.inputs = layout.lay(sensor, program, |_| true);
        }
    }
    for slot in ahead {
        if let Some(program) = &programs[*slot as usize]
            && bounds.iter().all(|bound| bound.slot != *slot)
            && sensor.is_selected(program, zones)
        {
            layout.lay(sensor, program, |input| program.looks_back_on(input));
        }
    }
    sensor.bounds = bounds;
    let Layout {
        mut series, reach, ..
    } = layout;
    for track in &mut sensor.tracks {
        let fed = series
            .iter()
            .enumerate()
            .filter(|(_, series)| series.measurement == track.measurement);
        track.series = fed.map(|(place, _)| place as u16).collect();
    }
    for (series, (width, days)) in series.iter_mut().zip(reach) {
        series.keep(width);
        if days > 0 || series.baseline.is_some() {
            series.remember(days, zones.time_zone_at(sensor.profile.details.zone));
        }
    }
    sensor.series = series;
}

/// The series of a sensor while they are laid anew.
struct Layout {
    /// Held so far, and not taken over yet.
    old: Vec<Series>,
    series: Vec<Series>,
    /// How far back each must reach: milliseconds for windows, days for baselines.
    reach: Vec<(i64, u16)>,
}

impl Layout {
    /// The places of the `wanted` inputs of a program that the sensor has spoken.
    fn lay(
        &mut self,
        sensor: &SensorState,
        program: &Program,
        wanted: impl Fn(usize) -> bool,
    ) -> SmallVec<[Option<u16>; 3]> {
        let mut inputs = SmallVec::new();
        for (input, (measurement, unit)) in program.inputs.iter().enumerate() {
            let spoken = sensor.track(*measurement).is_some();
            inputs.push((spoken && wanted(input)).then(|| self.place(sensor, *measurement, *unit)));
        }
        for window in &program.windows {
            if let Some(place) = inputs[window.input] {
                let (width, _) = &mut self.reach[usize::from(place)];
                *width = (*width).max(window.width_ms);
            }
        }
        for baseline in &program.baselines {
            if let Some(place) = inputs[baseline.input] {
                let (_, days) = &mut self.reach[usize::from(place)];
                *days = (*days).max(baseline.days);
            }
        }
        inputs
    }

    fn place(&mut self, sensor: &SensorState, measurement: Name, unit: Name) -> u16 {
        let same = |series: &Series| series.measurement == measurement && series.unit == unit;
        let place = self.series.iter().position(same).unwrap_or_else(|| {
            let held = self.old.iter().position(same);
            let held = held.map(|held| self.old.swap_remove(held));
            self.series
                .push(held.unwrap_or_else(|| sensor.open_series(measurement, unit)));
            self.reach.push((0, 0));
            self.series.len() - 1
        });
        place as u16
    }
}
