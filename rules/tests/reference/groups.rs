//! What sensors around one another measure together.

use std::collections::BTreeSet;

use citywatch_model::Name;
use citywatch_rules::ast::{Aggregate, Contribution, Group, Reach};

use crate::sight::Sight;
use crate::truth::compare;
use crate::window::window;

impl Sight<'_> {
    /// Sensors that speak the measurement around the subject, stale ones too; `None` if the subject has no
    /// place or zone.
    pub fn members(&self, group: &Group) -> Option<BTreeSet<Name>> {
        let world = self.world;
        let own = world.profile(self.subject);
        let speakers = world
            .series
            .keys()
            .filter(|(_, measurement)| *measurement == group.measurement);
        let speakers = speakers.map(|(sensor, _)| *sensor);
        match group.reach {
            Reach::Near(metres) => {
                own.place?;
                let near = |other: &Name| {
                    *other != self.subject
                        && world
                            .distance(self.subject, *other)
                            .is_some_and(|distance| distance <= metres)
                };
                Some(speakers.filter(near).collect())
            }
            Reach::Zone => {
                let zone = own.zone?;
                let inside = |other: &Name| {
                    world
                        .profile(*other)
                        .zone
                        .is_some_and(|inner| world.inside(inner, zone))
                };
                Some(speakers.filter(inside).collect())
            }
        }
    }

    pub fn group(&self, group: &Group) -> Option<f64> {
        let contribution = |member: Name| {
            let readings = self.values(member, group.measurement);
            let (end, value) = *readings.last()?;
            if self.clock - end > self.world.stale_after(member) {
                return None;
            }
            match group.each {
                Contribution::Newest => Some(value),
                Contribution::Window(function, width) => {
                    window(function, &readings, width.millis(), end)
                }
            }
        };
        let values: Vec<f64> = self
            .members(group)?
            .into_iter()
            .filter_map(contribution)
            .collect();
        aggregated(group.aggregate, &values)
    }
}

pub fn aggregated(aggregate: Aggregate, values: &[f64]) -> Option<f64> {
    let all = values.iter().copied();
    match aggregate {
        Aggregate::Min => all.reduce(f64::min),
        Aggregate::Max => all.reduce(f64::max),
        Aggregate::Mean => (!values.is_empty()).then(|| all.sum::<f64>() / values.len() as f64),
        Aggregate::Sum => Some(all.sum()),
        Aggregate::Count(operator, limit) => {
            Some(all.filter(|value| compare(*value, operator, limit)).count() as f64)
        }
    }
}
