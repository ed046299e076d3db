//! The dataflow gives what the single-threaded stage gives, for any stream, any number of workers and any cut.

use std::sync::Arc;

use citywatch_model::{
    Body, Duration, LinkState, Observation, Record, RegistryChange, RuleSource, Sensor, Time,
    Value, Zones, name,
};
use citywatch_rules::{Counts, Engine, EngineError};
use proptest::prelude::*;

use crate::support::{MIDNIGHT, engined, sources, sources_with, staged};

const RULES: [&str; 18] = [
    "{ id: plain, measurement: m, levels: { red: value >= 20 } }",
    "{ id: levels, measurement: m, unit: cm, levels: { blue: value >= 10 for 10m, yellow: rise(1h) >= 8, red: value >= 30 in 2 samples }, clear: value < 8 for 20m, hold: 5m }",
    "{ id: silent, measurement: m, levels: { blue: age > 30m, orange: age > 1h for 10m, red: age > 3h and value > 5 } }",
    "{ id: silent-2, measurement: h, where: { kind: pit }, hold: 10m, levels: { blue: age >= 45m } }",
    "{ id: both, measurement: m, levels: { orange: value >= 15 and h <= 10, red: value >= 25 and not (h > 10 in 2 samples) } }",
    "{ id: remote, measurement: m, where: { zone: east }, levels: { blue: \"value > sensor(s-0, m)\", red: \"value > 10 and sensor(s-1, h) >= 20 for 10m\" } }",
    "{ id: sums, measurement: m, levels: { blue: sum(1h) > 60, yellow: mean(30m) >= 20, orange: slope(2h) >= 20, red: stddev(1h) > 9 and count(1h) > 3 } }",
    "{ id: ends, measurement: h, unit: m, levels: { blue: \"change(m, 1h) > 5\", yellow: unchanged(40m) and span(40m) >= 20m, red: fall(1h) >= 0.15 or last(2h) - first(2h) < -0.2 } }",
    "{ id: plain, measurement: m, levels: { orange: max(2h) >= 30 and min(2h) <= 0 } }",
    // from here on the second stage has its part
    "{ id: near, measurement: m, hold: 5m, levels: { blue: \"near(m, 150m, max(value)) >= 25\", yellow: \"count_near(m, 150m, rise(1h) >= 5) >= 2\", red: \"near(h, 1km, mean(mean(30m))) > 20 for 10m\" } }",
    "{ id: zonal, measurement: m, levels: { orange: \"zone(m, sum(value)) > 60\", red: \"zone(h, max(value)) > 30 and value > 10 in 2 samples\" }, clear: value < 10 }",
    "{ id: pair, measurement: m, levels: { blue: value >= 15, yellow: value >= 25, orange: age > 1h }, escalate: { within: 150m } }",
    "{ id: three, measurement: d, levels: { blue: value >= 10, red: age > 2h }, escalate: { within: 300m, sensors: 3 } }",
    "{ id: rare, measurement: m, levels: { blue: age > 2 * interval, red: interval * 5 < age } }",
    "{ id: usual, measurement: m, levels: { blue: value > baseline(1d) + 10, red: \"value > baseline(h, 2d)\" } }",
    "{ id: nightly, measurement: night, levels: { blue: value > 15, orange: age > 2 * interval }, clear: age < 1h }",
    "{ id: net, measurement: total, levels: { blue: value > 20, red: \"value > sensor(balance, total) and zone(total, max(value)) > 30\" } }",
    "{ id: fire, measurement: fwi, levels: { blue: value > 5, red: ffmc > 80 } }",
];

const SERIES: [&str; 6] = [
    "{ id: doubled, measurement: d, value: \"m * 2 - min(h, 1h)\" }",
    "{ id: balance, measurement: total, align: 10m, value: \"sensor(s-0, m) + sensor(s-1, m) - sensor(s-2, d)\" }",
    "{ id: nights, measurement: night, where: { kind: pit }, daily: mean(m) from 02:30 to 04:00 }",
    "{ id: street, measurement: total, where: { kind: [pit, well] }, zones: sum(d), align: 20m }",
    "{ id: fires, measurement: fwi, fwi: { temperature: m, humidity: h, wind: d, rain: total } }",
    "{ id: street, measurement: total, zones: max(m) }",
];

/// Rule sets that share, change and drop rules and derived series.
fn rule_sets() -> Vec<Vec<RuleSource>> {
    let chosen = |places: &[usize]| -> Vec<String> {
        let rules = places.iter().map(|place| RULES[*place].to_owned());
        rules.collect()
    };
    let series =
        |places: &[usize]| -> Vec<&str> { places.iter().map(|place| SERIES[*place]).collect() };
    let all: Vec<usize> = (9..18).collect();
    vec![
        sources(&chosen(&[0, 1, 2, 3, 4, 5, 6, 7])),
        sources(&chosen(&[8, 1, 3, 5])),
        sources(&chosen(&[2, 4, 6, 7, 8, 9, 11])),
        sources(&[]),
        sources_with(&series(&[0, 1, 2, 3, 4]), &chosen(&all)),
        sources_with(
            &series(&[0, 2, 5]),
            &chosen(&[0, 5, 9, 10, 11, 12, 13, 15, 16]),
        ),
        sources_with(&series(&[1, 0]), &chosen(&[2, 10, 12, 14])),
    ]
}

fn observation() -> impl Strategy<Value = Body> {
    let late = prop_oneof![4 => Just(0_i64), 1 => 0..90_i64];
    let unit = prop_oneof![6 => Just(""), 3 => Just("cm"), 2 => Just("m"), 1 => Just("kPa")];
    let value = (prop_oneof![3 => -5..40_i32, 1 => 18..22_i32], unit);
    (
        0..6_usize,
        late,
        prop::option::weighted(0.8, value.clone()),
        prop::option::weighted(0.4, value),
    )
        .prop_map(|(sensor, late, m, h)| {
            let reading = |measurement: &str, (value, unit): (i32, &str)| {
                let scale = if unit == "m" { 0.01 } else { 1.0 };
                Value {
                    measurement: name(measurement),
                    value: f64::from(value) * scale,
                    unit: name(unit),
                }
            };
            let values = m
                .map(|m| reading("m", m))
                .into_iter()
                .chain(h.map(|h| reading("h", h)))
                .collect();
            // the event time is made absolute where the clock is known
            let time = Time::from_millis(late * 60_000);
            Body::Observation(Observation {
                sensor: name(&format!("s-{sensor}")),
                time,
                arrival: time,
                flags: 0,
                values,
            })
        })
}

fn registry() -> impl Strategy<Value = Body> {
    let sensor = (
        0..7_usize,
        prop::option::of(prop::sample::select(vec!["pit", "well"])),
        prop::option::of(prop::sample::select(vec!["east", "cell", "west"])),
        prop::option::of(5..200_i64),
        prop::option::of(prop::sample::subsequence(vec!["m", "h", "x"], 0..3)),
        prop::option::of(0..10_i32),
        prop::option::weighted(0.8, 0..6_u8),
        prop::option::weighted(0.7, (3..40_i64, prop::option::of(1..10_i64))),
    );
    let sensor = sensor.prop_map(
        |(id, kind, zone, stale, measurements, min, step, interval)| {
            let mut sensor = Sensor::unknown(name(&format!("s-{id}")));
            sensor
                .tags
                .extend(kind.map(|kind| (name("kind"), name(kind))));
            sensor.zone = zone.map(name);
            sensor.stale_after = stale.map(|minutes| Duration::from_secs(minutes * 60));
            sensor.measurements = measurements
                .unwrap_or_default()
                .into_iter()
                .map(name)
                .collect();
            sensor.min = min.map(f64::from);
            // 56 m a step to the north
            sensor.place = step.map(|step| (31.0 + f64::from(step) * 0.0005, 121.0));
            sensor.interval = interval.map(|(minutes, _)| Duration::from_secs(minutes * 60));
            let alarm = interval.and_then(|(_, alarm)| alarm);
            sensor.interval_alarm = alarm.map(|minutes| Duration::from_secs(minutes * 60));
            sensor
        },
    );
    let upsert = prop::collection::vec(sensor, 1..4);
    let remove = prop::option::weighted(0.2, 0..7_usize);
    let zones = prop::option::weighted(0.3, prop::sample::select(vec!["east", "west"]));
    (upsert, remove, zones).prop_map(|(upsert, remove, zones)| {
        Body::Registry(Arc::new(RegistryChange {
            upsert,
            remove: remove
                .map(|id| name(&format!("s-{id}")))
                .into_iter()
                .collect(),
            zones: zones.map(|zone| Zones {
                parents: [(name("cell"), name(zone))].into(),
                time_zones: [(name("east"), name("Asia/Shanghai"))].into(),
                ..Zones::default()
            }),
        }))
    })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        40 => observation().prop_filter("at least one value", |body| {
            matches!(body, Body::Observation(observation) if !observation.values.is_empty())
        }),
        4 => Just(Body::Tick),
        1 => Just(Body::Start),
        1 => prop::sample::select(vec![LinkState::Up, LinkState::Down]).prop_map(|state| Body::Link { link: name("main"), state }),
        2 => registry(),
        2 => (0..7_usize).prop_map(|set| Body::Rules(Arc::new(rule_sets()[set].clone().into()))),
    ]
}

/// Records whose clocks never fall; often several at one clock.
pub fn stream() -> impl Strategy<Value = Vec<Record>> {
    let step = prop_oneof![2 => Just(0_i64), 6 => 1..8_i64, 1 => 10..120_i64];
    let first = prop::sample::select(vec![0_usize, 4, 4, 5]);
    (first, prop::collection::vec((step, body()), 1..150)).prop_map(|(first, events)| {
        let mut clock = MIDNIGHT;
        let rules = Body::Rules(Arc::new(rule_sets()[first].clone().into()));
        let events = std::iter::once((0, rules)).chain(events);
        let record = |(place, (step, mut body)): (usize, (i64, Body))| {
            clock += step * 60_000;
            if let Body::Observation(observation) = &mut body {
                observation.time = Time::from_millis(clock - observation.time.millis());
                observation.arrival = Time::from_millis(clock);
            }
            Record {
                position: place as u64 + 1,
                clock: Time::from_millis(clock),
                body,
            }
        };
        events.enumerate().map(record).collect()
    })
}

#[test]
fn an_epoch_names_every_sensor_that_it_could_not_judge() {
    let rules =
        sources(&["{ id: r, measurement: m, unit: cm, levels: { red: value >= 20 } }".to_owned()]);
    let mut bodies = vec![Body::Rules(Arc::new(rules.into()))];
    for (minutes, unit) in [(10, "cm"), (5, "cm"), (20, "kPa")] {
        bodies.extend((0..60).map(|sensor| {
            let value = Value {
                measurement: name("m"),
                value: 1.0,
                unit: name(unit),
            };
            let time = Time::from_millis(MIDNIGHT + minutes * 60_000);
            Body::Observation(Observation {
                sensor: name(&format!("s-{sensor}")),
                time,
                arrival: time,
                flags: 0,
                values: [value].into_iter().collect(),
            })
        }));
    }
    let clock = Time::from_millis(MIDNIGHT + 30 * 60_000);
    let records: Vec<_> = (1..)
        .zip(bodies)
        .map(|(position, body)| Record {
            position,
            clock,
            body,
        })
        .collect();
    for workers in [1, 2] {
        let (_, counts) = engined(&records, None, workers, &[records.len()]);
        let named = (counts[0].unjudged_newest.len(), counts[0].unit_newest.len());
        assert_eq!(named, (60, 60), "with {workers} workers");
    }
}

fn totals(counts: &[Counts]) -> [u64; 7] {
    counts.iter().fold([0; 7], |sum, counts| {
        let parts = [
            counts.readings,
            counts.late,
            counts.repeats,
            counts.conflicts,
            counts.implausible,
            counts.unit_errors,
            counts.weather_errors,
        ];
        std::array::from_fn(|place| sum[place] + parts[place])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_equals_stage(
        records in stream(),
        workers in 1..=4_usize,
        cuts in prop::collection::vec(1..60_usize, 1..5),
        end in prop::option::of(0..600_i64),
    ) {
        let last = records[records.len() - 1].clock.millis();
        let end = end.map(|minutes| Time::from_millis(last + minutes * 60_000));
        let (expected, counts) = staged(&records, end);
        let (transitions, engine_counts) = engined(&records, end, workers, &cuts);
        prop_assert_eq!(&transitions, &expected);
        prop_assert_eq!(totals(&engine_counts), totals(&[counts]));
        let key = |place: usize| { let t = &expected[place]; (t.time, t.position, t.rule, t.subject) };
        for place in 1..expected.len() {
            prop_assert!(key(place - 1) <= key(place), "{:?} before {:?}", &expected[place - 1], &expected[place]);
        }
    }
}

#[test]
fn a_rule_set_that_does_not_compile_is_refused_and_the_engine_goes_on() {
    let engine = Engine::start(2, Box::new(|_| {})).unwrap();
    let broken = sources(&["{ id: r, measurement: m, levels: { red: value >> 5 } }".to_owned()]);
    let record = |body| {
        [Record {
            position: 7,
            clock: Time::from_millis(MIDNIGHT),
            body,
        }]
        .into()
    };
    let refused = engine.submit(record(Body::Rules(Arc::new(broken.into()))));
    assert!(
        matches!(refused, Err(EngineError::Rules { position: 7, .. })),
        "{refused:?}"
    );
    engine.submit(record(Body::Tick)).unwrap();
    engine.close(None).unwrap();
}

#[test]
fn a_receiver_that_panics_stops_the_engine_and_nobody_waits_for_ever() {
    for workers in [1, 3] {
        let engine = Engine::start(
            workers,
            Box::new(|_| panic!("a receiver that panics, on purpose")),
        )
        .unwrap();
        let record = Record {
            position: 1,
            clock: Time::from_millis(MIDNIGHT),
            body: Body::Tick,
        };
        let submitted = (0..1_000_000).try_for_each(|_| engine.submit([record.clone()].into()));
        assert!(
            matches!(submitted, Err(EngineError::Stopped)),
            "{workers} workers"
        );
        assert!(
            matches!(engine.close(None), Err(EngineError::Stopped)),
            "{workers} workers"
        );
    }
}

#[test]
fn an_engine_without_workers_is_refused() {
    assert!(matches!(
        Engine::start(0, Box::new(|_| {})),
        Err(EngineError::NoWorkers)
    ));
}
