//! The dataflow gives what the single-threaded stage gives, for any stream, any number of workers and any cut.

use std::sync::Arc;

use citywatch_model::{
    Body, Duration, LinkState, Observation, Record, RegistryChange, RuleSource, Sensor, Time,
    Value, name,
};
use citywatch_rules::{Counts, Engine, EngineError};
use proptest::prelude::*;

use crate::support::{MIDNIGHT, engined, sources, staged};

const RULES: [&str; 9] = [
    "{ id: plain, measurement: m, levels: { red: value >= 20 } }",
    "{ id: levels, measurement: m, unit: cm, levels: { blue: value >= 10 for 10m, yellow: rise(1h) >= 8, red: value >= 30 in 2 samples }, clear: value < 8 for 20m, hold: 5m }",
    "{ id: silent, measurement: m, levels: { blue: age > 30m, orange: age > 1h for 10m, red: age > 3h and value > 5 } }",
    "{ id: silent-2, measurement: h, where: { kind: pit }, hold: 10m, levels: { blue: age >= 45m } }",
    "{ id: both, measurement: m, levels: { orange: value >= 15 and h <= 10, red: value >= 25 and not (h > 10 in 2 samples) } }",
    "{ id: remote, measurement: m, where: { zone: east }, levels: { blue: \"value > sensor(s-0, m)\", red: \"value > 10 and sensor(s-1, h) >= 20 for 10m\" } }",
    "{ id: sums, measurement: m, levels: { blue: sum(1h) > 60, yellow: mean(30m) >= 20, orange: slope(2h) >= 20, red: stddev(1h) > 9 and count(1h) > 3 } }",
    "{ id: ends, measurement: h, unit: m, levels: { blue: \"change(m, 1h) > 5\", yellow: unchanged(40m) and span(40m) >= 20m, red: fall(1h) >= 0.15 or last(2h) - first(2h) < -0.2 } }",
    "{ id: plain, measurement: m, levels: { orange: max(2h) >= 30 and min(2h) <= 0 } }",
];

/// Rule sets that share, change and drop rules.
fn rule_sets() -> Vec<Vec<RuleSource>> {
    let set = |places: &[usize]| {
        sources(
            &places
                .iter()
                .map(|place| RULES[*place].to_owned())
                .collect::<Vec<_>>(),
        )
    };
    vec![
        set(&[0, 1, 2, 3, 4, 5, 6, 7]),
        set(&[8, 1, 3, 5]),
        set(&[2, 4, 6, 7, 8]),
        set(&[]),
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
    );
    let sensor = sensor.prop_map(|(id, kind, zone, stale, measurements, min)| {
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
        sensor
    });
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
            zone_parents: zones.map(|zone| [(name("cell"), name(zone))].into()),
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
        2 => (0..4_usize).prop_map(|set| Body::Rules(Arc::new(rule_sets()[set].clone()))),
    ]
}

/// Records whose clocks never fall; often several at one clock.
fn stream() -> impl Strategy<Value = Vec<Record>> {
    let step = prop_oneof![2 => Just(0_i64), 6 => 1..8_i64, 1 => 10..120_i64];
    prop::collection::vec((step, body()), 1..150).prop_map(|events| {
        let mut clock = MIDNIGHT;
        let rules = Body::Rules(Arc::new(rule_sets()[0].clone()));
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

fn totals(counts: &[Counts]) -> [u64; 6] {
    counts.iter().fold([0; 6], |sum, counts| {
        let parts = [
            counts.readings,
            counts.late,
            counts.repeats,
            counts.conflicts,
            counts.implausible,
            counts.unit_errors,
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
            prop_assert!(key(place - 1) < key(place), "{:?} before {:?}", &expected[place - 1], &expected[place]);
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
    let refused = engine.submit(record(Body::Rules(Arc::new(broken))));
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
