//! Rule sets as a journal's record holds them: files, and modes that stand above what the files say. Owns how
//! the two become one set; reads no file and evaluates nothing.

use std::sync::Arc;

use citywatch_model::{Mode, RulesInForce};

use crate::ast::RuleSet;
use crate::language::compile;
use crate::problem::Problems;

/// Reads the rules that are in force, each with the mode that holds for it. Rules whose mode is off are in the
/// set, too.
///
/// # Errors
/// Every mistake of every file at once.
pub fn compile_in_force(rules: &RulesInForce) -> Result<RuleSet, Problems> {
    let mut set = compile(&rules.sources)?;
    for rule in &mut set.rules {
        if let Some(mode) = rules.modes.get(&rule.info.id) {
            Arc::make_mut(rule).info.mode = *mode;
        }
    }
    Ok(set)
}

/// The same as the engine needs it: without the rules that are off. Live and shadow are one to the engine, so
/// that a rule that passes from one to the other keeps its state.
pub(crate) fn for_engine(rules: &RulesInForce) -> Result<RuleSet, Problems> {
    let mut set = compile_in_force(rules)?;
    set.rules.retain(|rule| rule.info.mode != Mode::Off);
    for rule in &mut set.rules {
        if rule.info.mode != Mode::Live {
            Arc::make_mut(rule).info.mode = Mode::Live;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use citywatch_model::{RuleSource, name};

    use super::*;

    #[test]
    fn modes_stand_above_the_files_and_the_engine_sees_only_off() {
        let text = "rules:\n  - { id: a, measurement: m, levels: { red: value > 1 } }\n  - { id: b, measurement: m, levels: { red: value > 1 } }\n  - { id: c, measurement: m, levels: { red: value > 1 } }\n";
        let source = RuleSource {
            file: "r.yaml".to_owned(),
            text: text.to_owned(),
        };
        let plain = RulesInForce::from(vec![source]);
        let mut rules = plain.clone();
        rules.modes.insert(name("a"), Mode::Shadow);
        rules.modes.insert(name("b"), Mode::Off);
        let modes: Vec<Mode> = compile_in_force(&rules)
            .unwrap()
            .rules
            .iter()
            .map(|rule| rule.info.mode)
            .collect();
        assert_eq!(modes, [Mode::Shadow, Mode::Off, Mode::Live]);
        let mut all = compile(&plain.sources).unwrap().rules;
        all.remove(1);
        assert_eq!(for_engine(&rules).unwrap().rules, all);
    }
}
