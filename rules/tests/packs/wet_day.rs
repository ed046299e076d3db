//! Rain that a city sees every few weeks: 20 mm over a day, a few centimetres in the underpass, streams that
//! swell slowly, drains half full. No pack has anything to say about it; five times as much rain is a flood.

use citywatch_model::{Observation, Registry, Time, Transition, Value, name};

use crate::{recorded, registry, run};

/// `2026-06-01T00:00:00Z`
const MIDNIGHT: i64 = 1_780_272_000_000;

/// Rain of each hour in mm: a wet morning, a dry noon, showers in the evening.
const RAIN: [f64; 24] = [
    0.0, 0.0, 0.2, 0.6, 1.2, 2.0, 3.1, 2.6, 1.4, 0.8, 0.3, 0.0, 0.0, 0.0, 0.0, 0.4, 1.6, 2.8, 1.8,
    0.7, 0.3, 0.2, 0.0, 0.0,
];

/// Water that gathers from the rain and runs off: each minute a share of it leaves.
struct Store {
    held: f64,
    per_mm: f64,
    leaves: f64,
}

impl Store {
    const fn new(per_mm: f64, leaves: f64) -> Store {
        Store {
            held: 0.0,
            per_mm,
            leaves,
        }
    }

    fn minute(&mut self, rain_mm: f64) -> f64 {
        self.held += rain_mm * self.per_mm - self.held * self.leaves;
        self.held
    }
}

/// What the instruments add: a number between -1 and 1 that repeats with the same day.
fn noise(minute: usize, sensor: usize) -> f64 {
    let mixed = (minute * 7_919 + sensor * 104_729).wrapping_mul(2_654_435_761) % 65_536;
    mixed as f64 / 32_768.0 - 1.0
}

fn district() -> Registry {
    let mut hill = registry::sensor("rain-hill", "rain_gauge", "5m");
    hill.tags.insert(name("terrain"), name("hill"));
    registry::of([
        hill,
        registry::sensor("rain-town", "rain_gauge", "5m"),
        registry::sensor("underpass", "underpass", "1m"),
        registry::sensor("road", "road", "1m"),
        registry::sensor("river", "river", "15m"),
        registry::sensor("brook", "river", "5m"),
        registry::sensor("drain", "sewer", "5m"),
    ])
}

fn observation(minute: usize, sensor: &str, values: &[(&str, f64, &str)]) -> Observation {
    let time = Time::from_millis(MIDNIGHT + minute as i64 * 60_000);
    let value = |&(measurement, value, unit): &(&str, f64, &str)| Value {
        measurement: name(measurement),
        value,
        unit: name(unit),
    };
    Observation {
        sensor: name(sensor),
        time,
        arrival: time,
        flags: 0,
        values: values.iter().map(value).collect(),
    }
}

/// The readings of a day with `times` the rain.
fn day(times: f64) -> Vec<Observation> {
    // centimetres in the underpass and on the road, metres in river and brook, per cent in the drain
    let mut underpass = Store::new(2.6, 0.03);
    let mut road = Store::new(1.2, 0.06);
    let mut river = Store::new(0.06, 0.001);
    let mut brook = Store::new(0.05, 0.008);
    let mut drain = Store::new(9.0, 0.02);
    let mut all = Vec::new();
    for minute in 0..24 * 60 {
        let rain = RAIN[minute / 60] / 60.0 * times;
        let five = rain * 5.0;
        let levels = [
            &mut underpass,
            &mut road,
            &mut river,
            &mut brook,
            &mut drain,
        ]
        .map(|store| store.minute(rain));
        let [underpass, road, river, brook, drain] = levels;
        // a lorry throws its wave against the gauge now and then
        let splash = if minute % 173 == 60 { 9.0 } else { 0.0 };
        let depth = (underpass + 0.6 * noise(minute, 1) + splash).max(0.0);
        let pump = f64::from(underpass > 4.0);
        let at_site = [
            ("water_depth", depth, "cm"),
            ("rainfall", rain, "mm"),
            ("pump_running", pump, ""),
        ];
        all.push(observation(minute, "underpass", &at_site));
        let depth = (road + 0.6 * noise(minute, 2)).max(0.0);
        all.push(observation(minute, "road", &[("water_depth", depth, "cm")]));
        if minute % 5 == 0 {
            for gauge in ["rain-hill", "rain-town"] {
                all.push(observation(minute, gauge, &[("rainfall", five, "mm")]));
            }
            let stage = 0.6 + brook + 0.02 * noise(minute, 3);
            all.push(observation(minute, "brook", &[("gage_height", stage, "m")]));
            let fill = (30.0 + drain + 3.0 * noise(minute, 4)).min(100.0);
            let free = 2.5 * (1.0 - fill / 100.0);
            let in_drain = [("fill", fill, "%"), ("cover_distance", free, "m")];
            all.push(observation(minute, "drain", &in_drain));
        }
        if minute % 15 == 0 {
            let stage = 2.1 + river + 0.01 * noise(minute, 5);
            all.push(observation(minute, "river", &[("gage_height", stage, "m")]));
        }
    }
    all
}

fn greatest(day: &[Observation], sensor: &str, measurement: &str) -> f64 {
    let own = day
        .iter()
        .filter(|observation| observation.sensor == sensor);
    let values = own.flat_map(|observation| &observation.values);
    let values = values.filter(|value| value.measurement == measurement);
    values.map(|value| value.value).fold(f64::MIN, f64::max)
}

#[test]
fn an_ordinary_wet_day_stays_quiet() {
    let day = day(1.0);
    // the day is wet, not dry
    for (sensor, measurement, least) in [
        ("underpass", "water_depth", 4.0),
        ("river", "gage_height", 2.6),
        ("drain", "fill", 50.0),
    ] {
        let greatest = greatest(&day, sensor, measurement);
        assert!(greatest >= least, "{sensor} {measurement} {greatest}");
    }
    let transitions = run::replay(&run::packs(), district(), day);
    assert!(
        transitions.is_empty(),
        "{}",
        run::written(&transitions).join("\n")
    );
}

#[test]
fn five_times_as_much_rain_is_a_flood() {
    let transitions = run::replay(&run::packs(), district(), day(5.0));
    for rule in [
        "flood.rainstorm",
        "flood.flash-rain",
        "flood.underpass-depth",
        "flood.river-rise",
        "flood.sewer-level",
    ] {
        let raised = transitions.iter().any(|transition| transition.rule == rule);
        assert!(raised, "{rule}: {}", run::written(&transitions).join("\n"));
    }
}

/// Six days before the hurricane, two of them with showers: gauges rose by up to 1.3 m a day and 0.34 m an hour.
#[test]
fn showers_before_the_hurricane_stay_quiet() {
    let end: Time = "2017-08-26T00:00:00Z".parse().unwrap();
    let mut observations = recorded::observations("flood_usgs_harvey_2017");
    observations.retain(|observation| observation.time < end);
    let transitions = run::replay(&run::packs(), registry::demo(), observations);
    // sensors whose recording has not begun are silent, and the silence rules say so
    let of_water = |found: &&Transition| !found.rule.ends_with("-silent");
    let told = run::written(transitions.iter().filter(of_water));
    assert!(told.is_empty(), "{}", told.join("\n"));
}
