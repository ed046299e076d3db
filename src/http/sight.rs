//! Which sensors somebody sees. A zone shows the sensors in it; a hazard those whose tag `hazard` names it and, where
//! there is no such tag, those that measure what a rule of the hazard looks at.

use std::collections::BTreeSet;

use citywatch_alerting::accounts::View;
use citywatch_model::{Name, Sensor, name};

use super::App;

/// What of the registry a view shows.
pub struct Sight<'a> {
    view: &'a View,
    /// What rules of its hazards look at.
    measurements: BTreeSet<Name>,
}

impl<'a> Sight<'a> {
    /// With the rules in force now.
    pub fn new(app: &App, view: &'a View) -> Sight<'a> {
        let mut measurements = BTreeSet::new();
        if view.is_bound_to_hazards() {
            let present = app.keeper.present();
            let rules = present.bundle.rules.rules.iter();
            let rules = rules.filter(|rule| view.sees_hazard(rule.info.hazard.as_str()));
            measurements.extend(rules.map(|rule| rule.info.measurement));
        }
        Sight { view, measurements }
    }

    /// Whether it shows that sensor; one that nobody registered only to those who see everything.
    pub fn sees(&self, sensor: Option<&Sensor>) -> bool {
        let Some(sensor) = sensor else {
            return self.view.is_whole();
        };
        self.view
            .sees_zone(sensor.zone.map_or("", |zone| zone.as_str()))
            && self.sees_hazard_of(sensor)
    }

    fn sees_hazard_of(&self, sensor: &Sensor) -> bool {
        if !self.view.is_bound_to_hazards() {
            return true;
        }
        match sensor.tags.get(&name("hazard")) {
            Some(hazard) => self.view.sees_hazard(hazard.as_str()),
            None => sensor
                .measurements
                .iter()
                .any(|measured| self.measurements.contains(measured)),
        }
    }
}
