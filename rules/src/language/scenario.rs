//! Reading the `tests:` of a rule. Owns their notation; running them is not its affair.

use std::collections::{BTreeMap, BTreeSet};

use citywatch_model::{Name, Observation, RuleInfo, Sensor, Time, Value, name};

use super::fields::{self, pieces};
use super::notation::{Expected, MIDNIGHT, Scenario, split_moment};
use super::scenario_sensors;
use super::source::Source;
use super::yaml::{Map, Node};

const KEYS: [&str; 7] = [
    "name",
    "readings",
    "sensors",
    "zones",
    "time_zone",
    "expect",
    "until",
];

/// What the tests of a rule need to know about it.
pub(super) struct Subject<'r> {
    info: &'r RuleInfo,
    pub(super) selector: &'r [(Name, Vec<Name>)],
}

type Readings = BTreeMap<(Time, Name), Vec<Value>>;

/// Reads `tests:`; mistakes are reported.
pub(super) fn read(
    source: &mut Source<'_>,
    node: &Node,
    info: &RuleInfo,
    selector: &[(Name, Vec<Name>)],
) -> Vec<Scenario> {
    let subject = Subject { info, selector };
    let items = fields::list(source, node, "`tests`").unwrap_or_default();
    items
        .iter()
        .filter_map(|item| subject.test(source, item))
        .collect()
}

impl Subject<'_> {
    fn test(&self, source: &mut Source<'_>, node: &Node) -> Option<Scenario> {
        let map = fields::map(source, node, "a test")?;
        fields::keys(source, map, "a test", &KEYS);
        let label = match fields::get(map, "name") {
            Some(node) => fields::scalar(source, node, "`name`").map(|scalar| scalar.value.clone()),
            None => {
                source.report(map.span.clone(), "this test has no `name`");
                None
            }
        };
        let declared = self.declared(source, map);
        let zones = scenario_sensors::zones(source, map);
        let readings = self.readings(source, map);
        let mut undeclared: Vec<Sensor> = Vec::new();
        for (_, sensor) in readings.keys() {
            let known = declared
                .iter()
                .chain(&undeclared)
                .any(|known| known.id == *sensor);
            if !known {
                undeclared.push(self.matching(*sensor));
            }
        }
        let sensors = || declared.iter().chain(&undeclared);
        // a zone is the subject of a series over its sensors
        let mut around: BTreeSet<Name> = sensors().filter_map(|sensor| sensor.zone).collect();
        around.extend(
            zones
                .parents
                .iter()
                .flat_map(|(zone, parent)| [*zone, *parent]),
        );
        around.extend(zones.time_zones.keys());
        let expected = expected(source, map, |id| {
            around.contains(&id) || sensors().any(|known| known.id == id)
        });
        let until = until(
            source,
            map,
            readings.keys().next_back().map(|(time, _)| *time),
        )?;
        Some(Scenario {
            name: label?,
            file: source.file.to_owned(),
            line: source.line(map.span.start),
            observations: readings.into_iter().map(observation).collect(),
            declared,
            undeclared,
            zones,
            expected,
            until,
        })
    }

    fn readings(&self, source: &mut Source<'_>, map: &Map) -> Readings {
        let mut readings = Readings::new();
        let Some(node) = fields::get(map, "readings") else {
            return readings;
        };
        let Some(map) = fields::map(source, node, "`readings`") else {
            return readings;
        };
        for (id, node) in &map.entries {
            let sensor = name(&id.value);
            if let Node::Map(series) = node {
                for (key, node) in &series.entries {
                    let measurement = if key.value == "value" {
                        self.info.measurement
                    } else {
                        name(&key.value)
                    };
                    self.series(source, node, (sensor, measurement), &mut readings);
                }
            } else {
                self.series(source, node, (sensor, self.info.measurement), &mut readings);
            }
        }
        readings
    }

    /// `00:00 5 | 00:10 28`
    fn series(
        &self,
        source: &mut Source<'_>,
        node: &Node,
        of: (Name, Name),
        readings: &mut Readings,
    ) {
        let (sensor, measurement) = of;
        let unit = if measurement == self.info.measurement {
            self.info.unit
        } else {
            name("")
        };
        for piece in pieces(source, node, "a series of readings") {
            let value = split_moment(piece.text).and_then(|(time, value)| {
                let value = value
                    .parse::<f64>()
                    .ok()
                    .filter(|value| value.is_finite())?;
                Some((time, value))
            });
            let Some((time, value)) = value else {
                let help =
                    "write a time and a number such as `00:10 28`, further days as `2d 00:10 28`"
                        .to_owned();
                piece.report(source, format!("`{}` is not a reading", piece.text), help);
                continue;
            };
            let values = readings.entry((time, sensor)).or_default();
            if values.iter().any(|known| known.measurement == measurement) {
                let help = "a sensor has one value of a measurement at a time".to_owned();
                piece.report(
                    source,
                    format!("two values of `{measurement}` at one time"),
                    help,
                );
            } else {
                values.push(Value {
                    measurement,
                    value,
                    unit,
                });
            }
        }
    }
}

fn observation(((time, sensor), values): ((Time, Name), Vec<Value>)) -> Observation {
    Observation {
        sensor,
        time,
        arrival: time,
        flags: 0,
        values: values.into(),
    }
}

fn until(source: &mut Source<'_>, map: &Map, last: Option<Time>) -> Option<Time> {
    let Some(node) = fields::get(map, "until") else {
        if last.is_none() {
            let help = "give `readings:`, or the end of the clock as `until: \"01:00\"`".to_owned();
            source.report_with_help(map.span.clone(), "nothing happens in this test", help);
        }
        return last;
    };
    let scalar = fields::scalar(source, node, "`until`")?;
    let end = split_moment(&scalar.value)
        .filter(|(_, rest)| rest.is_empty())
        .map(|(time, _)| time);
    match end {
        None => {
            let help = "write a time such as \"01:00\", on a further day \"2d 01:00\"".to_owned();
            let message = format!("`{}` is not a time", scalar.value);
            source.report_with_help(scalar.span.clone(), message, help);
        }
        Some(end) if end < last.unwrap_or(MIDNIGHT) => {
            source.report(scalar.span.clone(), "`until` lies before the last reading");
        }
        Some(_) => {}
    }
    end
}

/// What `expect:` says. Subjects that this test does not declare are left to the end, when all files are read.
fn expected(source: &mut Source<'_>, map: &Map, is_known: impl Fn(Name) -> bool) -> Vec<Expected> {
    let Some(node) = fields::get(map, "expect") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for piece in pieces(source, node, "`expect`") {
        match Expected::read(piece.text) {
            Ok(one) => {
                if !is_known(one.subject) {
                    source.subjects.push((one.subject, piece.place(source)));
                }
                all.push(one);
            }
            Err(help) => piece.report(
                source,
                format!("`{}` is not a transition", piece.text),
                help,
            ),
        }
    }
    all
}
