//! Streams of records as small data that shrinks well and prints in the notation of `tests/engine`.

use std::sync::Arc;

use citywatch_model::{
    Body, Duration, LinkState, Name, Observation, Record, RegistryChange, RuleSource, Sensor, Time,
    Value, Zones, name,
};
use proptest::prelude::*;

/// `2000-01-01T00:00:00Z`
pub const MIDNIGHT: i64 = 946_684_800_000;
const MINUTE: i64 = 60_000;
pub const PLACES: [(f64, f64); 5] = [
    (31.0, 117.0),
    (31.0005, 117.0),
    (31.0, 117.0005),
    (31.01, 117.0),
    (31.0102, 117.0),
];

/// Something that happens `after` minutes after what was before.
#[derive(Clone)]
pub struct Event {
    pub after: i64,
    pub what: What,
}

#[derive(Clone)]
pub enum What {
    /// Sensor, minutes that the event time lies back, values as (measurement, value, unit).
    Reading(usize, i64, Vec<(&'static str, i32, &'static str)>),
    Tick,
    Start,
    Link(LinkState),
    Register(Vec<Registered>),
    Remove(usize),
    /// The zone around `cell`.
    Zones(&'static str),
    /// Which rule set.
    Rules(usize),
}

#[derive(Clone)]
pub struct Registered {
    pub id: usize,
    pub kind: Option<&'static str>,
    pub zone: Option<&'static str>,
    pub stale: Option<i64>,
    pub interval: Option<(i64, Option<i64>)>,
    pub measures: Vec<&'static str>,
    pub min: Option<i32>,
    pub placed: bool,
}

/// `s0`, `s1`, …
pub fn sensor_id(id: usize) -> Name {
    name(&format!("s{id}"))
}

/// What the generated parts of a stream look like.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How many rule sets there are to change between.
    pub rule_sets: usize,
    /// Whether the registry changes.
    pub registry: bool,
    /// Minutes between two events; greater for streams over days.
    pub steps: &'static [i64],
    pub measurements: &'static [&'static str],
    /// Units of readings, those that are frequent several times.
    pub units: &'static [&'static str],
}

pub fn events(shape: Shape) -> impl Strategy<Value = Vec<Event>> {
    let event = (prop::sample::select(shape.steps), what(shape))
        .prop_map(|(after, what)| Event { after, what });
    prop::collection::vec(event, 1..40).prop_map(on_time_with_wrong_units)
}

/// What a late reading is behind one of a unit that nobody can convert, the texts do not say.
fn on_time_with_wrong_units(mut events: Vec<Event>) -> Vec<Event> {
    let wrong = |event: &Event| matches!(&event.what, What::Reading(_, _, values) if values.iter().any(|value| value.2 == "kPa"));
    if events.iter().any(wrong) {
        for event in &mut events {
            if let What::Reading(_, late, _) = &mut event.what {
                *late = 0;
            }
        }
    }
    events
}

fn what(shape: Shape) -> impl Strategy<Value = What> {
    let registry = u32::from(shape.registry);
    let sets = if shape.rule_sets > 1 { 2 } else { 0 };
    prop_oneof![
        40 => reading(shape),
        2 => Just(What::Tick),
        1 => Just(What::Start),
        1 => prop::sample::select(vec![LinkState::Up, LinkState::Down]).prop_map(What::Link),
        3 * registry => prop::collection::vec(registered(shape.measurements), 1..3).prop_map(|mut sensors| {
            sensors.sort_by_key(|sensor| sensor.id);
            sensors.dedup_by_key(|sensor| sensor.id);
            What::Register(sensors)
        }),
        registry => (0..5_usize).prop_map(What::Remove),
        registry => prop::sample::select(vec!["east", "west"]).prop_map(What::Zones),
        sets => (0..shape.rule_sets.max(1)).prop_map(What::Rules),
    ]
}

fn reading(shape: Shape) -> impl Strategy<Value = What> {
    let late = prop_oneof![12 => Just(0_i64), 3 => prop::sample::select(vec![5, 10, 15, 30, 60_i64]), 1 => Just(-5)];
    let number = prop_oneof![4 => (0..7_i32).prop_map(|five| five * 5), 1 => -5..40_i32];
    let unit = prop::sample::select(shape.units);
    let value = (prop::sample::select(shape.measurements), number, unit);
    let values =
        prop::collection::vec(value, 1..=shape.measurements.len()).prop_map(|mut values| {
            values.sort_by_key(|value| value.0);
            values.dedup_by_key(|value| value.0);
            values
        });
    (0..5_usize, late, values)
        .prop_map(|(sensor, late, values)| What::Reading(sensor, late, values))
}

pub fn registered(measurements: &'static [&'static str]) -> impl Strategy<Value = Registered> {
    let minutes = || prop::sample::select(vec![5, 10, 15, 30, 60, 120_i64]);
    let measures =
        prop::collection::vec(prop::sample::select(measurements), 0..3).prop_map(|mut measures| {
            measures.sort_unstable();
            measures.dedup();
            measures
        });
    let sensor = (
        0..5_usize,
        prop::option::of(prop::sample::select(vec!["pit", "well"])),
        prop::option::of(prop::sample::select(vec!["east", "cell", "west"])),
        prop::option::of(minutes()),
        prop::option::weighted(0.3, (minutes(), prop::option::of(minutes()))),
        measures,
        prop::option::weighted(0.2, 0..10_i32),
        prop::bool::weighted(0.8),
    );
    sensor.prop_map(
        |(id, kind, zone, stale, interval, measures, min, placed)| Registered {
            id,
            kind,
            zone,
            stale,
            interval,
            measures,
            min,
            placed,
        },
    )
}

/// The records of `first` and `events` in turn; the first is at midnight.
pub fn records(first: &[What], events: &[Event], rule_sets: &[Vec<RuleSource>]) -> Vec<Record> {
    let mut clock = MIDNIGHT;
    let first = first.iter().map(|what| (0, what));
    let all = first.chain(events.iter().map(|event| (event.after, &event.what)));
    let record = |(place, (after, what)): (usize, (i64, &What))| {
        clock += after * MINUTE;
        Record {
            position: place as u64 + 1,
            clock: Time::from_millis(clock),
            body: body(what, clock, rule_sets),
        }
    };
    all.enumerate().map(record).collect()
}

fn body(what: &What, clock: i64, rule_sets: &[Vec<RuleSource>]) -> Body {
    let change = |change: RegistryChange| Body::Registry(Arc::new(change));
    match what {
        What::Reading(sensor, late, values) => Body::Observation(Observation {
            sensor: sensor_id(*sensor),
            time: Time::from_millis(clock - late * MINUTE),
            arrival: Time::from_millis(clock),
            flags: 0,
            values: values.iter().map(value).collect(),
        }),
        What::Tick => Body::Tick,
        What::Start => Body::Start,
        What::Link(state) => Body::Link {
            link: name("main"),
            state: *state,
        },
        What::Register(sensors) => change(RegistryChange {
            upsert: sensors.iter().map(sensor).collect(),
            ..RegistryChange::default()
        }),
        What::Remove(id) => change(RegistryChange {
            remove: vec![sensor_id(*id)],
            ..RegistryChange::default()
        }),
        What::Zones(outer) => {
            let mut zones = Zones::default();
            zones.parents.insert(name("cell"), name(outer));
            zones.time_zones.insert(name("east"), name("Asia/Shanghai"));
            change(RegistryChange {
                zones: Some(zones),
                ..RegistryChange::default()
            })
        }
        What::Rules(set) => Body::Rules(Arc::new(rule_sets[*set].clone().into())),
    }
}

fn value((measurement, number, unit): &(&'static str, i32, &'static str)) -> Value {
    let scale = if *unit == "mm" { 10.0 } else { 1.0 };
    Value {
        measurement: name(measurement),
        value: f64::from(*number) * scale,
        unit: name(unit),
    }
}

fn sensor(registered: &Registered) -> Sensor {
    let minutes = |minutes: i64| Duration::from_secs(minutes * 60);
    let mut sensor = Sensor::unknown(sensor_id(registered.id));
    sensor
        .tags
        .extend(registered.kind.map(|kind| (name("kind"), name(kind))));
    sensor.zone = registered.zone.map(name);
    sensor.stale_after = registered.stale.map(minutes);
    sensor.interval = registered.interval.map(|(interval, _)| minutes(interval));
    sensor.interval_alarm = registered
        .interval
        .and_then(|(_, alarm)| alarm)
        .map(minutes);
    sensor.measurements = registered.measures.iter().map(|word| name(word)).collect();
    sensor.min = registered.min.map(f64::from);
    sensor.place = registered.placed.then(|| PLACES[registered.id]);
    sensor
}

impl Registered {
    pub fn called(self, id: usize) -> Registered {
        Registered { id, ..self }
    }
}
