//! Who would have been told what and when, by the plans.

use citywatch_alerting::directory::read_directory;
use citywatch_alerting::{Zone, Zones};
use citywatch_model::{Name, Registry, Sensor, name};

use super::{compile, readings, replay, task};
use crate::backtest::departments::Departments;
use crate::backtest::{Plans, Task};

const RULES: &str = "rules:
  - id: t
    hazard: flood
    measurement: m
    levels: { blue: value >= 1, yellow: value >= 2, orange: value >= 3, red: value >= 4 }
";

const DEPARTMENTS: &str = "departments:
  - { id: hq, channels: [{ kind: webhook, url: 'http://x.test/hq' }, { kind: cap_mqtt, topic: t/hq }] }
  - { id: east, zones: [east], channels: [{ kind: webhook, url: 'http://x.test/east' }] }
  - { id: mute }
";

fn registry() -> Registry {
    let sensor = |id: &str, zone: &str| Sensor {
        zone: Some(name(zone)),
        ..Sensor::unknown(name(id))
    };
    let sensors = [sensor("a", "east-1"), sensor("b", "west")];
    Registry {
        sensors: sensors.map(|sensor| (sensor.id, sensor)).into(),
        ..Registry::default()
    }
}

fn told(plan: &str, series: &str) -> Departments {
    let text = format!("{DEPARTMENTS}plans:\n{plan}");
    let directory = read_directory("plans.yaml", &text).unwrap();
    let inner = Zone {
        parent: Some(name("east")),
        ..Zone::default()
    };
    let zones = Zones([(name("east-1"), inner)].into());
    let (rules, registry) = (compile(RULES), registry());
    let task = Task {
        plans: Some(Plans {
            directory: &directory,
            zones: &zones,
        }),
        ..task(&rules, &registry)
    };
    replay(&task, &readings(series)).departments.unwrap()
}

/// Each message as `00:10 issued red to hq for a`, with a star if it needs no click.
fn messages(told: &Departments) -> Vec<String> {
    let shown = told.first.iter().map(|message| {
        let time = message.at.to_string();
        format!(
            "{} {} {} to {} for {}{}",
            &time[11..16],
            message.kind.word(),
            message.level,
            message.department,
            message.subject,
            if message.automatic { "*" } else { "" }
        )
    });
    shown.collect()
}

#[test]
fn a_plan_tells_at_each_rise_and_lifts_what_it_issued_by_itself() {
    let plan = "  - id: flood
    hazard: flood
    levels:
      blue: { tell: [hq], automatic: true }
      orange: { tell: [east, mute] }
";
    let told = told(
        plan,
        "a 00:00 1 | 00:10 3 | 00:20 1 | 00:30 3 | 00:40 0
         b 01:00 3 | 01:10 0",
    );
    assert_eq!(
        messages(&told),
        [
            "00:00 issued blue to hq for a*",
            // east answers for the zone around the sensor's own; mute has no channel
            "00:10 updated orange to east for a*",
            "00:10 updated orange to hq for a*",
            // falling to blue and rising to orange again tells nothing new
            "00:40 lifted orange to east for a*",
            "00:40 lifted orange to hq for a*",
            "01:00 issued orange to hq for b*",
            "01:10 lifted orange to hq for b*",
        ]
    );
    let hq = &told.departments[1];
    assert_eq!(hq.department, name("hq"));
    assert_eq!((hq.warnings.blue, hq.warnings.orange), (1, 2));
    assert_eq!((hq.automatic, hq.lifted), (3, 2));
    assert_eq!(hq.deliveries, 10, "two channels each");
    assert_eq!(hq.busiest_day.as_ref().unwrap().count, 5);
    let never: Vec<Name> = (told.departments.iter())
        .filter(|department| department.first_at.is_none())
        .map(|department| department.department)
        .collect();
    assert_eq!(never, [name("mute")]);
}

#[test]
fn a_clicked_warning_stays_until_a_person_lifts_it_or_it_lapses() {
    let plan = "  - { id: flood, hazard: flood, expires: 1h, levels: { blue: { tell: [hq] } } }\n";
    let spells = "b 00:00 1 | 00:10 0 | 00:20 1 | 00:30 0 | 01:00 1 | 01:10 0";
    assert_eq!(
        messages(&told(plan, spells)),
        [
            "00:00 issued blue to hq for b",
            // the spell at 00:20 is covered by the first warning, which lapses at 01:00
            "01:00 issued blue to hq for b",
        ]
    );
    let lifting = plan.replace("expires: 1h", "lift: automatic");
    assert_eq!(messages(&told(&lifting, spells)).len(), 6);
}

#[test]
fn who_is_told_of_nothing_is_told_with_the_reason() {
    let plan = "  - { id: flood, hazard: flood, levels: { red: { tell: [east] } } }\n";
    let of_flood = told(plan, "b 00:00 1 | 00:10 4");
    assert_eq!(of_flood.messages, 0);
    let reasons: Vec<String> = (of_flood.untold.iter())
        .map(|untold| {
            format!(
                "{} {} {}: {}",
                untold.rule, untold.level, untold.times, untold.reason
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "t blue 1: plan `flood` tells nobody at this level",
            "t red 1: no department of plan `flood` answers for the sensor's zone with a channel that may be used",
        ]
    );
    let other = told(&plan.replace("hazard: flood", "hazard: gas"), "b 00:00 4");
    assert!(other.untold[0].reason.starts_with("no plan"), "{other:?}");
}
