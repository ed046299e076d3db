//! Which readings the second stage has to know. A reading counts from when a rule set names its measurement,
//! and is forgotten when none does any more.

use std::borrow::Cow;

use citywatch_model::{Name, Observation, Value};
use smallvec::SmallVec;
use ustr::UstrSet;

use crate::ast::{Method, RuleSet};
use crate::engine::core::Role;
use crate::engine::fit::tasks;
use crate::engine::program::Program;

/// The measurements that rules of the second stage and derived series name.
#[derive(Debug, Default)]
pub(super) struct Interest {
    named: UstrSet,
    /// A rule names `age`, which asks whether a sensor has ever said anything.
    all: bool,
}

impl Interest {
    pub(super) fn of(rules: &RuleSet) -> Interest {
        let mut interest = Interest::default();
        for program in tasks(rules, Role::Second).into_iter().map(Program::new) {
            let own = program.inputs.iter().map(|(measurement, _)| *measurement);
            let remote = program.remotes.iter().map(|remote| remote.measurement);
            interest.named.extend(own.chain(remote));
            interest.all |= program.uses_age;
        }
        for derive in &rules.derived {
            if let Method::Named { inputs, .. } = &derive.method {
                let measurements = inputs.iter().map(|(_, measurement)| *measurement);
                interest.named.extend(measurements);
            }
        }
        interest
    }

    pub(super) fn holds(&self, measurement: Name) -> bool {
        self.all || self.named.contains(&measurement)
    }

    /// The part of `observation` that matters.
    pub(super) fn part<'a>(&self, observation: &'a Observation) -> Option<Cow<'a, Observation>> {
        let values = &observation.values;
        if values.iter().all(|value| self.holds(value.measurement)) {
            return Some(Cow::Borrowed(observation));
        }
        let held = values.iter().filter(|value| self.holds(value.measurement));
        let values: SmallVec<[Value; 1]> = held.copied().collect();
        (!values.is_empty()).then(|| {
            Cow::Owned(Observation {
                values,
                ..*observation
            })
        })
    }
}
