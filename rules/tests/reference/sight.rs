//! What one rule sees at one of its sensors at one moment: expressions to numbers, comparisons to truths.
//! Looks at the world only; remembers nothing.

use std::collections::BTreeSet;

use citywatch_model::Name;
use citywatch_rules::ast::{Arithmetic, Comparison, Expression, Operator};

use crate::truth::{Truth, compare};
use crate::window::window;
use crate::world::{Touched, World};

pub struct Sight<'a> {
    pub world: &'a World,
    /// Whose values are seen.
    pub subject: Name,
    /// Values of this measurement are converted to this unit.
    pub converted: (Name, Name),
    /// A derived series: what it adds comes in its unit.
    pub derived: Option<(&'a Expression, Name)>,
    /// Measurements of the subject that the whole rule names.
    pub inputs: &'a [Name],
    /// What time is it?
    pub clock: i64,
    /// Whether this is a moment, which lies just behind `clock`.
    pub moment: bool,
    /// What this step brought.
    pub touched: &'a Touched,
    /// The sensor's usual time between two readings in seconds, if registered.
    pub interval: Option<f64>,
}

/// What a comparison names.
#[derive(Debug, Default)]
pub struct Named {
    pub series: BTreeSet<(Name, Name)>,
    pub age: bool,
}

impl Sight<'_> {
    /// The time in half milliseconds; a moment lies just behind its clock.
    pub fn halves(&self) -> i64 {
        2 * self.clock + i64::from(self.moment)
    }

    fn unit_of(&self, measurement: Name) -> Name {
        match self.derived {
            Some((value, unit)) if value.adds(measurement) => unit,
            None if measurement == self.converted.0 => self.converted.1,
            _ => citywatch_model::name(""),
        }
    }

    pub fn values(&self, sensor: Name, measurement: Name) -> Vec<(i64, f64)> {
        self.world
            .values(sensor, measurement, self.unit_of(measurement))
    }

    fn newest_value(&self, sensor: Name, measurement: Name) -> Option<(i64, f64)> {
        self.world
            .newest(sensor, measurement, self.unit_of(measurement))
    }

    /// The newest event time among the rule's inputs at its sensor: where windows end.
    pub fn newest_time(&self) -> Option<i64> {
        let newest = |input: &Name| {
            self.values(self.subject, *input)
                .last()
                .map(|(time, _)| *time)
        };
        self.inputs.iter().filter_map(newest).max()
    }

    pub fn number(&self, expression: &Expression) -> Option<f64> {
        let number = match expression {
            Expression::Number(number) => *number,
            Expression::Newest(measurement) => self.newest(*measurement)?,
            Expression::Remote(sensor, measurement) => self.remote(*sensor, *measurement)?,
            Expression::Window {
                function,
                measurement,
                width,
            } => {
                let readings = self.values(self.subject, *measurement);
                window(*function, &readings, width.millis(), self.newest_time()?)?
            }
            Expression::Interval => self.interval?,
            Expression::Baseline { measurement, days } => self.baseline(*measurement, *days)?,
            Expression::Group(group) => self.group(group)?,
            Expression::Age => unreachable!("age stands alone in a comparison"),
            Expression::Negate(inner) => -self.number(inner)?,
            Expression::Arithmetic(left, operator, right) => {
                let (left, right) = (self.number(left)?, self.number(right)?);
                match operator {
                    Arithmetic::Add => left + right,
                    Arithmetic::Subtract => left - right,
                    Arithmetic::Multiply => left * right,
                    Arithmetic::Divide => left / right,
                }
            }
        };
        number.is_finite().then_some(number)
    }

    fn newest(&self, measurement: Name) -> Option<f64> {
        let (time, value) = self.newest_value(self.subject, measurement)?;
        // the rule's own value is what just arrived
        let own = measurement == self.converted.0;
        let arrived = own && self.touched.contains(&(self.subject, measurement));
        let age = self.newest_time()? - time;
        (arrived || age <= self.world.stale_after(self.subject)).then_some(value)
    }

    fn remote(&self, sensor: Name, measurement: Name) -> Option<f64> {
        let (time, value) = self.newest_value(sensor, measurement)?;
        let fresh = self.clock - time <= self.world.stale_after(sensor);
        fresh.then_some(value)
    }

    fn baseline(&self, measurement: Name, days: u16) -> Option<f64> {
        let (today, hour) = self.world.local(self.subject, self.newest_time()?);
        let unit = self.unit_of(measurement);
        let mut dates = BTreeSet::new();
        let mut values = Vec::new();
        for reading in self.world.readings(self.subject, measurement) {
            let Some(value) = crate::world::in_unit(reading.value, reading.unit, unit) else {
                continue;
            };
            let (date, local_hour) = reading.local;
            let ago = (today - date).get_days();
            if local_hour == hour && (1..=i32::from(days)).contains(&ago) {
                dates.insert(date);
                values.push(value);
            }
        }
        let enough = !values.is_empty() && 2 * dates.len() >= usize::from(days);
        enough.then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// What `comparison` is, without its proof.
    pub fn plain(&self, comparison: &Comparison) -> Truth {
        let Comparison {
            left,
            operator,
            right,
            ..
        } = comparison;
        if *left == Expression::Age {
            return self.age(*operator, right);
        }
        if *right == Expression::Age {
            return self.age(mirrored(*operator), left);
        }
        match (self.number(left), self.number(right)) {
            (Some(left), Some(right)) => compare(left, *operator, right).into(),
            (None, _) | (_, None) => Truth::Unknown,
        }
    }

    fn age(&self, operator: Operator, limit: &Expression) -> Truth {
        let (Some(limit), Some((base, heard))) = (self.milliseconds(limit), self.silent_since())
        else {
            return Truth::Unknown;
        };
        let age = self.clock - base;
        // a record at the very moment comes before it
        let age = age as f64 + if self.moment { 0.5 } else { -0.5 };
        if !heard && age < limit as f64 {
            return Truth::Unknown;
        }
        compare(age, operator, limit as f64).into()
    }

    /// A limit of age in milliseconds.
    pub fn milliseconds(&self, limit: &Expression) -> Option<i64> {
        self.number(limit)
            .map(|seconds| (seconds * 1_000.0).round() as i64)
    }

    /// Since when the rule's measurement is silent, and whether a reading began it.
    pub fn silent_since(&self) -> Option<(i64, bool)> {
        let known = *self.world.known.get(&self.subject)?;
        let (measurement, unit) = self.converted;
        let seen = self.world.seen(self.subject, measurement, unit);
        let newest = seen.iter().rfind(|reading| reading.newest);
        let base = newest.map_or(known, |newest| newest.arrival);
        match self.world.moved {
            Some(moved) if moved > base => Some((moved, false)),
            Some(_) | None => Some((base, newest.is_some())),
        }
    }

    /// What the comparison names, the subjects' own series and those of others.
    pub fn named(&self, comparison: &Comparison) -> Named {
        let mut named = Named::default();
        self.gather(&comparison.left, &mut named);
        self.gather(&comparison.right, &mut named);
        named
    }

    pub fn gather(&self, expression: &Expression, named: &mut Named) {
        match expression {
            Expression::Number(_) | Expression::Interval => {}
            Expression::Age => named.age = true,
            Expression::Newest(measurement)
            | Expression::Window { measurement, .. }
            | Expression::Baseline { measurement, .. } => {
                named.series.insert((self.subject, *measurement));
            }
            Expression::Remote(sensor, measurement) => {
                named.series.insert((*sensor, *measurement));
            }
            Expression::Group(group) => {
                let members = self.members(group).unwrap_or_default();
                named.series.extend(
                    members
                        .into_iter()
                        .map(|member| (member, group.measurement)),
                );
            }
            Expression::Negate(inner) => self.gather(inner, named),
            Expression::Arithmetic(left, _, right) => {
                self.gather(left, named);
                self.gather(right, named);
            }
        }
    }

    /// The newest event time of what was named.
    pub fn newest_of(&self, named: &Named) -> Option<i64> {
        let newest = |(sensor, measurement): &(Name, Name)| {
            self.values(*sensor, *measurement)
                .last()
                .map(|(time, _)| *time)
        };
        named.series.iter().filter_map(newest).max()
    }

    pub fn is_touched(&self, named: &Named) -> bool {
        !named.series.is_disjoint(self.touched)
    }
}

pub fn mirrored(operator: Operator) -> Operator {
    match operator {
        Operator::Greater => Operator::Less,
        Operator::GreaterEqual => Operator::LessEqual,
        Operator::Less => Operator::Greater,
        Operator::LessEqual => Operator::GreaterEqual,
        Operator::Equal | Operator::NotEqual => operator,
    }
}
