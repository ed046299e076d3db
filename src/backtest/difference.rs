//! What another set of rules changes: the alerts of both over the same readings, matched by rule and sensor
//! where they overlap in time. One alert matches at most one other.

use std::collections::BTreeMap;

use citywatch_model::{Level, Name, Time};
use serde::Serialize;
use utoipa::ToSchema;

use super::alerts::Alert;
use super::report::AlertLine;

/// Alerts of each kind that are listed one by one.
const LISTED: usize = 20;

/// The rules under test (after) against those that they would replace (before).
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[schema(as = BacktestDifference)]
pub struct Difference {
    /// Alerts of the rules that would be replaced.
    pub before: u64,
    /// Alerts of the rules under test.
    pub after: u64,
    /// Alerts that both raise at the same moment and that reach the same level.
    pub unchanged: u64,
    /// Alerts that only the rules under test raise.
    pub new: u64,
    /// Alerts that only the other rules raise.
    pub gone: u64,
    /// Alerts of both whose worst level differs.
    pub other_level: u64,
    /// Alerts of both that the rules under test raise sooner.
    pub earlier: u64,
    /// Alerts of both that the rules under test raise later.
    pub later: u64,
    /// Every rule that raised an alert before or after, by id.
    pub rules: Vec<RuleDifference>,
    /// The first 20 new alerts.
    pub first_new: Vec<AlertLine>,
    /// The first 20 that are gone.
    pub first_gone: Vec<AlertLine>,
    /// The first 20 at another level.
    pub first_other_level: Vec<Moved>,
    /// The first 20 that come sooner.
    pub first_earlier: Vec<Moved>,
    /// The first 20 that come later.
    pub first_later: Vec<Moved>,
}

/// The same for one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = BacktestRuleDifference)]
pub struct RuleDifference {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// Its alerts before.
    pub before: u64,
    /// Its alerts after.
    pub after: u64,
    /// Raised only after.
    pub new: u64,
    /// Raised only before.
    pub gone: u64,
    /// At another level.
    pub other_level: u64,
    /// Raised sooner.
    pub earlier: u64,
    /// Raised later.
    pub later: u64,
}

impl RuleDifference {
    /// Whether anything differs.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.new + self.gone + self.other_level + self.earlier + self.later > 0
    }
}

/// An alert that both sets raise, but not alike.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Moved {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: Name,
    /// The sensor.
    #[schema(value_type = String)]
    pub subject: Name,
    /// Raised by the other rules.
    pub before: Time,
    /// Raised by the rules under test.
    pub after: Time,
    /// Seconds from before to after; negative if it comes sooner.
    pub shift_s: f64,
    /// Worst level with the other rules.
    pub level_before: Level,
    /// Worst level with the rules under test.
    pub level_after: Level,
}

type Series<'a> = BTreeMap<(Name, Name), (Vec<&'a Alert>, Vec<&'a Alert>)>;

/// Compares the alerts of two sets of rules, each in the order in which they were raised.
pub fn difference(before: &[Alert], after: &[Alert]) -> Difference {
    let mut series: Series<'_> = BTreeMap::new();
    for alert in before {
        let entry = series.entry((alert.rule, alert.subject)).or_default();
        entry.0.push(alert);
    }
    for alert in after {
        let entry = series.entry((alert.rule, alert.subject)).or_default();
        entry.1.push(alert);
    }
    let mut found = Found::default();
    for (before, after) in series.values() {
        found.match_series(before, after);
    }
    found.into_difference(before, after)
}

#[derive(Default)]
struct Found<'a> {
    new: Vec<&'a Alert>,
    gone: Vec<&'a Alert>,
    both: Vec<(&'a Alert, &'a Alert)>,
}

impl<'a> Found<'a> {
    /// Both lists belong to one rule and sensor, so neither overlaps itself.
    fn match_series(&mut self, before: &[&'a Alert], after: &[&'a Alert]) {
        let (mut old, mut young) = (before.iter().peekable(), after.iter().peekable());
        while let (Some(&&left), Some(&&right)) = (old.peek(), young.peek()) {
            if overlap(left, right) {
                self.both.push((left, right));
                old.next();
                young.next();
            } else if left.raised < right.raised {
                self.gone.push(left);
                old.next();
            } else {
                self.new.push(right);
                young.next();
            }
        }
        self.gone.extend(old);
        self.new.extend(young);
    }

    fn into_difference(mut self, before: &[Alert], after: &[Alert]) -> Difference {
        let rank = |alert: &Alert| (alert.raised, alert.rule, alert.subject);
        self.new.sort_by_key(|alert| rank(alert));
        self.gone.sort_by_key(|alert| rank(alert));
        self.both.sort_by_key(|(_, after)| rank(after));
        let pairs = |keep: fn(&Alert, &Alert) -> bool| -> Vec<(&Alert, &Alert)> {
            let both = self.both.iter().copied();
            both.filter(|(before, after)| keep(before, after)).collect()
        };
        let other_level = pairs(|before, after| before.worst != after.worst);
        let earlier = pairs(|before, after| after.raised < before.raised);
        let later = pairs(|before, after| after.raised > before.raised);
        let alike =
            pairs(|before, after| before.raised == after.raised && before.worst == after.worst);
        let mut rules = Rules::default();
        rules.count(before.iter(), |rule| &mut rule.before);
        rules.count(after.iter(), |rule| &mut rule.after);
        rules.count(self.new.iter().copied(), |rule| &mut rule.new);
        rules.count(self.gone.iter().copied(), |rule| &mut rule.gone);
        rules.count(second(&other_level), |rule| &mut rule.other_level);
        rules.count(second(&earlier), |rule| &mut rule.earlier);
        rules.count(second(&later), |rule| &mut rule.later);
        Difference {
            before: before.len() as u64,
            after: after.len() as u64,
            unchanged: alike.len() as u64,
            new: self.new.len() as u64,
            gone: self.gone.len() as u64,
            other_level: other_level.len() as u64,
            earlier: earlier.len() as u64,
            later: later.len() as u64,
            rules: rules.0.into_values().collect(),
            first_new: lines(&self.new),
            first_gone: lines(&self.gone),
            first_other_level: moved(&other_level),
            first_earlier: moved(&earlier),
            first_later: moved(&later),
        }
    }
}

#[derive(Default)]
struct Rules(BTreeMap<Name, RuleDifference>);

impl Rules {
    fn count<'a>(
        &mut self,
        alerts: impl Iterator<Item = &'a Alert>,
        field: fn(&mut RuleDifference) -> &mut u64,
    ) {
        for alert in alerts {
            let rule = self.0.entry(alert.rule).or_insert(RuleDifference {
                rule: alert.rule,
                before: 0,
                after: 0,
                new: 0,
                gone: 0,
                other_level: 0,
                earlier: 0,
                later: 0,
            });
            *field(rule) += 1;
        }
    }
}

fn second<'a>(pairs: &[(&'a Alert, &'a Alert)]) -> impl Iterator<Item = &'a Alert> {
    pairs.iter().map(|(_, after)| *after)
}

/// An alert that ends at the moment at which the other begins does not overlap it; two that begin at the
/// same moment always do.
fn overlap(left: &Alert, right: &Alert) -> bool {
    let begins_before_end =
        |one: &Alert, other: &Alert| other.cleared.is_none_or(|cleared| one.raised < cleared);
    left.raised == right.raised
        || (begins_before_end(left, right) && begins_before_end(right, left))
}

fn lines(alerts: &[&Alert]) -> Vec<AlertLine> {
    let first = alerts.iter().take(LISTED);
    first.map(|alert| alert.line()).collect()
}

fn moved(pairs: &[(&Alert, &Alert)]) -> Vec<Moved> {
    let first = pairs.iter().take(LISTED);
    first
        .map(|(before, after)| Moved {
            rule: after.rule,
            subject: after.subject,
            before: before.raised,
            after: after.raised,
            shift_s: after.raised.since(before.raised).seconds(),
            level_before: before.worst,
            level_after: after.worst,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use citywatch_model::name;

    use super::*;

    /// `a 10-20 red`: rule, minutes, level; an end that is missing is open.
    fn alerts(text: &str) -> Vec<Alert> {
        let minute = |text: &str| {
            let minutes: Option<i64> = text.parse().ok();
            minutes.map(|minutes| Time::from_millis(minutes * 60_000))
        };
        let read = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (raised, cleared) = words[1].split_once('-').unwrap_or((words[1], ""));
            Alert {
                rule: name(words[0]),
                subject: name("s"),
                raised: minute(raised).unwrap_or_default(),
                cleared: minute(cleared),
                worst: words[2].parse().unwrap_or(Level::Blue),
            }
        };
        let lines = text.split(", ").filter(|line| !line.is_empty());
        lines.map(read).collect()
    }

    /// Unchanged, new, gone, at another level, earlier, later.
    fn counts(before: &str, after: &str) -> [u64; 6] {
        let found = difference(&alerts(before), &alerts(after));
        assert_eq!(
            found.before - found.gone,
            found.after - found.new,
            "every matched alert has a partner"
        );
        [
            found.unchanged,
            found.new,
            found.gone,
            found.other_level,
            found.earlier,
            found.later,
        ]
    }

    #[test]
    fn alerts_match_where_they_overlap() {
        assert_eq!(counts("", ""), [0; 6]);
        assert_eq!(counts("a 0-9 red", "a 0-5 red"), [1, 0, 0, 0, 0, 0]);
        assert_eq!(counts("a 0-9 red", "a 0-9 blue"), [0, 0, 0, 1, 0, 0]);
        assert_eq!(counts("a 5-9 red", "a 3-9 red"), [0, 0, 0, 0, 1, 0]);
        assert_eq!(counts("a 5-9 red", "a 8- blue"), [0, 0, 0, 1, 0, 1]);
        assert_eq!(counts("a 5- red", "a 99- red"), [0, 0, 0, 0, 0, 1]);
        // neighbours do not overlap, nor do alerts of different rules
        assert_eq!(counts("a 0-5 red", "a 5-9 red"), [0, 1, 1, 0, 0, 0]);
        assert_eq!(counts("a 0-9 red", "b 0-9 red"), [0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn a_long_alert_matches_the_first_of_the_short_ones() {
        let short = "a 0-10 red, a 20-30 red, a 40-50 red";
        assert_eq!(counts("a 0-100 red", short), [1, 2, 0, 0, 0, 0]);
        assert_eq!(counts(short, "a 5-100 red"), [0, 0, 2, 0, 0, 1]);
        assert_eq!(counts(short, "a 15- red"), [0, 0, 2, 0, 1, 0]);
    }

    #[test]
    fn lists_end_after_twenty_and_rules_are_counted() {
        let many: Vec<String> = (0..25)
            .map(|at| format!("a {}-{} red", at * 10, at * 10 + 5))
            .collect();
        let found = difference(&[], &alerts(&many.join(", ")));
        assert_eq!((found.new, found.first_new.len()), (25, 20));
        let rule = found.rules[0];
        assert_eq!((rule.before, rule.after, rule.new), (0, 25, 25));
        assert!(rule.differs());
    }
}
