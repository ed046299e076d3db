//! What rules wait for and no reading brought: a measurement that nobody sent, or no selected sensor, or not the named
//! one. Without it a misspelt name looks like a quiet district.

use std::collections::BTreeSet;
use std::sync::Arc;

use citywatch_model::{Mode, Name, Registry};
use citywatch_rules::ast::{Derive, Method, RuleSet};

use super::report::Unseen;
use super::seen::Seen;
use crate::selection::selects;

/// What each rule that is not off lacked, in the order of the rules.
pub fn unseen(rules: &RuleSet, registry: &Registry, seen: &Seen) -> Vec<Unseen> {
    let search = Search {
        rules,
        registry,
        seen,
    };
    let rules = rules
        .rules
        .iter()
        .filter(|rule| rule.info.mode != Mode::Off);
    let lacking = rules.flat_map(|rule| {
        let own = Wanted {
            measurement: rule.info.measurement,
            from: Whose::Selected(&rule.selector),
        };
        let mut lacking = BTreeSet::new();
        search.look(own, &mut BTreeSet::new(), &mut lacking);
        for (sensor, measurement) in &rule.remote {
            let remote = Wanted {
                measurement: *measurement,
                from: Whose::Sensor(*sensor),
            };
            search.look(remote, &mut BTreeSet::new(), &mut lacking);
        }
        let unseen = move |(measurement, sensor)| Unseen {
            rule: rule.info.id,
            measurement,
            sensor,
        };
        lacking.into_iter().map(unseen)
    });
    lacking.collect()
}

struct Search<'a> {
    rules: &'a RuleSet,
    registry: &'a Registry,
    seen: &'a Seen,
}

/// A measurement, and whose.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    measurement: Name,
    from: Whose<'a>,
}

#[derive(Clone, Copy)]
enum Whose<'a> {
    Selected(&'a [(Name, Vec<Name>)]),
    Sensor(Name),
}

type Lacking = BTreeSet<(Name, Option<Name>)>;

impl Search<'_> {
    /// Adds what no reading brought; a derived series lacks what the series lack that it is made of.
    fn look(&self, wanted: Wanted<'_>, followed: &mut BTreeSet<Name>, lacking: &mut Lacking) {
        if self.came(wanted) {
            return;
        }
        let derived = self.rules.derived.iter();
        let makes = |derive: &&Arc<Derive>| derive.makes().contains(&wanted.measurement);
        let derived: Vec<_> = derived.filter(makes).collect();
        for derive in &derived {
            if followed.insert(derive.id) {
                let parts = parts(derive).into_iter();
                parts.for_each(|part| self.look(part, followed, lacking));
            }
        }
        if derived.is_empty() {
            let sensor = match wanted.from {
                Whose::Sensor(sensor) => Some(sensor),
                Whose::Selected(_) => None,
            };
            lacking.insert((wanted.measurement, sensor));
        }
    }

    fn came(&self, wanted: Wanted<'_>) -> bool {
        let mut senders = self.seen.senders_of(wanted.measurement);
        match wanted.from {
            Whose::Sensor(sensor) => senders.any(|sender| sender == sensor),
            Whose::Selected(selector) => {
                senders.any(|sender| selects(selector, sender, self.registry))
            }
        }
    }
}

/// What a derived series is made of.
fn parts(derive: &Derive) -> Vec<Wanted<'_>> {
    let selected = |measurement: Name| Wanted {
        measurement,
        from: Whose::Selected(&derive.selector),
    };
    match &derive.method {
        Method::Each { inputs, .. } => inputs.iter().copied().map(selected).collect(),
        Method::Named { inputs, .. } => {
            let named = |(sensor, measurement): &(Name, Name)| Wanted {
                measurement: *measurement,
                from: Whose::Sensor(*sensor),
            };
            inputs.iter().map(named).collect()
        }
        Method::Zones { of, .. } | Method::Daily { of, .. } => vec![selected(*of)],
        Method::FireWeather(fire) => {
            let inputs = [fire.temperature, fire.humidity, fire.wind, fire.rain];
            inputs.map(selected).to_vec()
        }
    }
}
