//! Any text is compiled or refused with messages that can be shown; what is read is printed and read again.

use citywatch_rules::ast::Condition;
use citywatch_rules::{RuleSource, compile};

/// Panics if the language stumbles over `data`.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let file = "any.yaml".to_owned();
    let text = text.to_owned();
    let rules = match compile(&[RuleSource { file, text }]) {
        Ok(rules) => rules,
        Err(problems) => {
            assert!(!problems.render(true).is_empty());
            return;
        }
    };
    for rule in &rules.rules {
        for condition in rule.levels.iter().flatten() {
            let measurement = rule.info.measurement.as_str();
            let printed = condition.to_string();
            let again = read(measurement, &printed).to_string();
            assert_eq!(again, printed);
        }
    }
}

/// Reads a printed condition of a rule over `measurement`.
fn read(measurement: &str, condition: &str) -> Condition {
    let quoted = |text: &str| text.replace('\'', "''");
    let text = format!(
        "rules:\n- id: again\n  measurement: '{}'\n  levels:\n    red: '{}'\n",
        quoted(measurement),
        quoted(condition)
    );
    let file = "again.yaml".to_owned();
    match compile(&[RuleSource { file, text }]) {
        Ok(rules) => rules.rules[0].levels[3].clone().expect("red was written"),
        Err(problems) => panic!("{condition}\n{problems}"),
    }
}
