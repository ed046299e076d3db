//! The life of one rule at one of its sensors: histories of what was true when, from which proofs and levels
//! are told by looking back. Nothing is summed up on the way.

use std::collections::BTreeMap;

use citywatch_model::Level;
use citywatch_rules::ast::{Comparison, Condition, Expression, Proof, Rule};

use crate::sight::{Named, Sight};
use crate::truth::{Truth, all, any, not};

const NEVER: i64 = i64::MIN / 8;

/// What something was at which times, oldest first, in half milliseconds: a moment lies just behind its clock.
pub type History = Vec<(i64, Truth)>;

#[derive(Debug, Default, Clone)]
pub struct Life {
    pub level: Option<Level>,
    /// Of each comparison with a proof, by its slot.
    proofs: BTreeMap<usize, History>,
    /// Of each level.
    levels: BTreeMap<Level, History>,
    /// Moments that were looked at, by what they are about.
    looked_at: BTreeMap<String, i64>,
    /// Whether the registry changed something that must be looked at when the clock goes on.
    pub due: bool,
    /// `interval` when it was looked at.
    interval: Option<f64>,
}

impl Life {
    /// Evaluates everything, then moves the level.
    pub fn step(&mut self, rule: &Rule, sight: &Sight) {
        let (truths, clear) = self.look(rule, sight);
        self.level = self.moved(rule, &truths, clear);
        (self.interval, self.due) = (sight.interval, false);
        for (about, moment) in self.moments(rule, sight) {
            if sight.moment && moment <= sight.clock {
                self.looked_at.insert(about, moment);
            }
        }
    }

    /// Remembers what is true now.
    fn look(&mut self, rule: &Rule, sight: &Sight) -> (BTreeMap<Level, Truth>, Option<Truth>) {
        let mut truths = BTreeMap::new();
        for level in Level::ALL {
            if let Some(condition) = rule.condition(level) {
                let truth = self.truth(condition, sight);
                truths.insert(level, truth);
                self.remember_level(rule, level, truth, sight);
            }
        }
        let clear = rule
            .clear
            .as_ref()
            .map(|condition| self.truth(condition, sight));
        (truths, clear)
    }

    /// When the service starts or a link comes back, silence is no longer known to last.
    pub fn forget_silence(&mut self, rule: &Rule, clock: i64) {
        for comparison in conditions(rule).flat_map(comparisons) {
            if let (Some(proof), true) = (comparison.proof, is_age(comparison)) {
                self.proofs
                    .entry(proof.slot)
                    .or_default()
                    .push((2 * clock, Truth::Unknown));
            }
        }
        for (level, history) in &mut self.levels {
            if rule.condition(*level).is_some_and(names_age) {
                history.push((2 * clock, Truth::Unknown));
            }
        }
    }

    fn moved(
        &self,
        rule: &Rule,
        truths: &BTreeMap<Level, Truth>,
        clear: Option<Truth>,
    ) -> Option<Level> {
        let worst = truths
            .iter()
            .rev()
            .find(|(_, truth)| **truth == Truth::True)
            .map(|(level, _)| *level);
        if worst >= self.level {
            return worst;
        }
        let stays = Level::ALL.into_iter().rev().find(|level| {
            Some(*level) <= self.level
                && rule.condition(*level).is_some()
                && !self.left(rule, *level, truths[level])
        });
        if stays.is_none() && clear.is_some_and(|clear| clear != Truth::True) {
            return self.level;
        }
        stays
    }

    /// Whether `level` is false, and was for as long as `hold`.
    fn left(&self, rule: &Rule, level: Level, truth: Truth) -> bool {
        if truth != Truth::False {
            return false;
        }
        if rule.hold.millis() == 0 {
            return true;
        }
        let run = run(&self.levels[&level], Truth::False);
        run.last()
            .is_some_and(|(last, _)| last - run[0].0 >= 2 * rule.hold.millis())
    }

    /// `hold` counts evaluations of the rule, at the newest event time of all that it names.
    fn remember_level(&mut self, rule: &Rule, level: Level, truth: Truth, sight: &Sight) {
        let mut named = Named::default();
        for comparison in conditions(rule).flat_map(comparisons) {
            sight.gather(&comparison.left, &mut named);
            sight.gather(&comparison.right, &mut named);
        }
        named
            .series
            .extend(rule.inputs.iter().map(|input| (sight.subject, *input)));
        let with_age = rule.condition(level).is_some_and(names_age);
        let time = if with_age {
            Some(2 * sight.clock)
        } else {
            sight.newest_of(&named).map(|time| 2 * time)
        };
        let history = self.levels.entry(level).or_default();
        // time alone proves nothing about what does not name it
        let last = history.last().map(|(_, last)| *last);
        let stands = sight.moment && !with_age && truth == Truth::False && last == Some(truth);
        if let Some(time) = time.filter(|_| !stands) {
            remember(history, time, truth, gap(sight, with_age));
        }
    }

    fn truth(&mut self, condition: &Condition, sight: &Sight) -> Truth {
        match condition {
            Condition::All(parts) => {
                let parts: Vec<Truth> = parts.iter().map(|part| self.truth(part, sight)).collect();
                all(&parts)
            }
            Condition::Any(parts) => {
                let parts: Vec<Truth> = parts.iter().map(|part| self.truth(part, sight)).collect();
                any(&parts)
            }
            Condition::Not(inner) => not(self.truth(inner, sight)),
            Condition::Compare(comparison) => self.compare(comparison, sight),
        }
    }

    fn compare(&mut self, comparison: &Comparison, sight: &Sight) -> Truth {
        let truth = sight.plain(comparison);
        let Some(proof) = comparison.proof else {
            return truth;
        };
        let named = sight.named(comparison);
        let history = self.proofs.entry(proof.slot).or_default();
        let goes_on =
            truth == Truth::True && history.last().is_some_and(|(_, last)| *last == truth);
        if named.age {
            // silence begins just behind its moment, also where a rule comes late to it
            let begins = truth == Truth::True && !goes_on;
            history.push((
                sight.halves().max(2 * sight.clock + i64::from(begins)),
                truth,
            ));
        } else if sight.is_touched(&named) || !goes_on {
            // readings of others prove nothing, but may show that it has changed
            // what names nobody who ever spoke is at no time, before all others
            let instead = sight.newest_time().filter(|_| truth == Truth::True);
            let time = sight.newest_of(&named).or(instead).unwrap_or(NEVER);
            remember(history, 2 * time, truth, gap(sight, false));
        }
        match truth {
            Truth::True if proven(history, proof) => Truth::True,
            Truth::True | Truth::Unknown => Truth::Unknown,
            Truth::False => Truth::False,
        }
    }

    /// Times at which time alone may change something, each with what it is about.
    fn moments(&self, rule: &Rule, sight: &Sight) -> Vec<(String, i64)> {
        let mut moments = Vec::new();
        for (place, comparison) in conditions(rule).flat_map(comparisons).enumerate() {
            if !is_age(comparison) {
                continue;
            }
            let limit = if comparison.left == Expression::Age {
                &comparison.right
            } else {
                &comparison.left
            };
            if let (Some(limit), Some((base, _))) =
                (sight.milliseconds(limit), sight.silent_since())
            {
                moments.push((format!("flip {place}"), base + limit));
            }
            if let Some(Proof {
                slot,
                lasting: Some(lasting),
                ..
            }) = comparison.proof
                && let Some(history) = self.proofs.get(&slot)
                && let Some((since, _)) = run(history, Truth::True).first()
            {
                moments.push((
                    format!("proof {place}"),
                    since.div_euclid(2) + lasting.millis(),
                ));
            }
        }
        for level in Level::ALL {
            if rule.hold.millis() > 0
                && self.level.is_some()
                && rule.condition(level).is_some_and(names_age)
                && let Some(history) = self.levels.get(&level)
                && let Some((since, _)) = run(history, Truth::False).first()
            {
                moments.push((
                    format!("hold {level}"),
                    since.div_euclid(2) + rule.hold.millis(),
                ));
            }
        }
        moments
    }

    /// The next of them that was not looked at, not before the clock.
    pub fn next_moment(&self, rule: &Rule, sight: &Sight) -> Option<i64> {
        let moments = self.moments(rule, sight).into_iter();
        let open = moments.filter(|(about, moment)| self.looked_at.get(about) != Some(moment));
        let differs =
            names_interval(rule) && !self.levels.is_empty() && self.interval != sight.interval;
        let now = (differs || self.due).then_some(sight.clock);
        now.into_iter()
            .chain(open.map(|(_, moment)| moment.max(sight.clock)))
            .min()
    }
}

/// A gap longer than what counts as stale at that time starts everything anew.
fn remember(history: &mut History, time: i64, truth: Truth, gap: Option<i64>) {
    let last = history.last().map(|(last, _)| *last);
    if last.zip(gap).is_some_and(|(last, gap)| time - last > gap) {
        history.clear();
    }
    // what it named may be gone
    history.push((last.map_or(time, |last| last.max(time)), truth));
}

/// The end of the history as far as it is `wanted`.
fn run(history: &History, wanted: Truth) -> &[(i64, Truth)] {
    let start = history.iter().rposition(|(_, truth)| *truth != wanted);
    &history[start.map_or(0, |start| start + 1)..]
}

fn proven(history: &History, proof: Proof) -> bool {
    let run = run(history, Truth::True);
    let Some((last, _)) = run.last() else {
        return false;
    };
    let lasted = proof
        .lasting
        .is_none_or(|lasting| last - run[0].0 >= 2 * lasting.millis());
    lasted
        && proof
            .samples
            .is_none_or(|samples| run.len() >= samples as usize)
}

/// Time alone has no gaps.
fn gap(sight: &Sight, age: bool) -> Option<i64> {
    (!age).then(|| 2 * sight.world.stale_after(sight.subject))
}

pub fn conditions(rule: &Rule) -> impl Iterator<Item = &Condition> {
    rule.levels.iter().flatten().chain(&rule.clear)
}

pub fn comparisons(condition: &Condition) -> Vec<&Comparison> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().flat_map(comparisons).collect()
        }
        Condition::Not(inner) => comparisons(inner),
        Condition::Compare(comparison) => vec![comparison],
    }
}

pub fn names_interval(rule: &Rule) -> bool {
    let named = |side: &Expression| match side {
        Expression::Interval => true,
        Expression::Arithmetic(left, _, right) => {
            **left == Expression::Interval || **right == Expression::Interval
        }
        _ => false,
    };
    conditions(rule)
        .flat_map(comparisons)
        .any(|comparison| named(&comparison.left) || named(&comparison.right))
}

pub fn is_age(comparison: &Comparison) -> bool {
    comparison.left == Expression::Age || comparison.right == Expression::Age
}

pub fn names_age(condition: &Condition) -> bool {
    comparisons(condition).into_iter().any(is_age)
}
