//! A notation for records and transitions, and one `check` that runs them through the single-threaded stage and
//! through the dataflow with one to four workers and several cuts. Times are those of 2000-01-01.

use std::sync::{Arc, Mutex};

use citywatch_model::{
    Body, LinkState, Observation, Record, RegistryChange, RuleSource, Sensor, Time, Transition,
    Value, Zones, name,
};
use citywatch_rules::{Counts, Engine, Stage};

/// `2000-01-01T00:00:00Z`
pub const MIDNIGHT: i64 = 946_684_800_000;

/// One rule `r` over measurement `m`; `body` is the rest of its YAML in flow style.
pub fn rule(body: &str) -> String {
    format!("{{ id: r, measurement: m, {body} }}")
}

/// A rule file of some rules in flow style.
pub fn sources(rules: &[String]) -> Vec<RuleSource> {
    vec![RuleSource {
        file: "rules.yaml".to_owned(),
        text: format!("rules: [{}]", rules.join(", ")),
    }]
}

/// The same together with derived series in flow style.
pub fn sources_with(derive: &[&str], rules: &[String]) -> Vec<RuleSource> {
    let mut all = sources(rules);
    all.push(RuleSource {
        file: "derive.yaml".to_owned(),
        text: format!("derive: [{}]", derive.join(", ")),
    });
    all
}

/// `HH:MM[:SS]`, hours beyond 23 for later days.
pub fn time(text: &str) -> Time {
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = parts.get(2).copied().unwrap_or(0);
    Time::from_millis(MIDNIGHT + ((parts[0] * 60 + parts[1]) * 60 + seconds) * 1_000)
}

fn shown(time: Time) -> String {
    let seconds = (time.millis() - MIDNIGHT) / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if seconds == 0 {
        format!("{hours:02}:{minutes:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}

/// `00:10 u-1 raise orange`, or `00:10 RULE u-1 raise orange` for a rule that is not `r`; a clear because nobody
/// watches any more ends with `unwatched`.
pub fn written(transition: &Transition) -> String {
    let Transition {
        time,
        kind,
        rule,
        subject,
        level,
        unwatched,
        ..
    } = transition;
    let rule = if *rule == "r" {
        String::new()
    } else {
        format!("{rule} ")
    };
    let why = if *unwatched { " unwatched" } else { "" };
    format!("{} {rule}{subject} {kind} {level}{why}", shown(*time))
}

/// Records from lines or `|`: `TIME SENSOR VALUE [@EVENT_TIME]`, where VALUE is `5`, `5[cm]` or `m=5,h=20`; or
/// `TIME tick`, `start`, `up`, `down`, `rules N`, `remove SENSOR`, `zones CELL>STREET CELL@TIME_ZONE`,
/// `sensor SENSOR [interval=1m] [alarm=10s] [stale=1h] [min=0] [max=9] [zone=Z] [at=LATITUDE,LONGITUDE]
/// [measures=m,h] [TAG=VALUE]`.
pub fn records(text: &str, rule_sets: &[Vec<RuleSource>]) -> Vec<Record> {
    let lines = text
        .split(['\n', '|'])
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(place, line)| {
            let mut words = line.split_whitespace();
            let clock = time(words.next().unwrap());
            let words: Vec<&str> = words.collect();
            Record {
                position: place as u64 + 1,
                clock,
                body: body(clock, &words, rule_sets),
            }
        })
        .collect()
}

fn body(clock: Time, words: &[&str], rule_sets: &[Vec<RuleSource>]) -> Body {
    match words[0] {
        "tick" => Body::Tick,
        "start" => Body::Start,
        "up" => Body::Link {
            link: name("main"),
            state: LinkState::Up,
        },
        "down" => Body::Link {
            link: name("main"),
            state: LinkState::Down,
        },
        "rules" => Body::Rules(Arc::new(
            rule_sets[words[1].parse::<usize>().unwrap()].clone().into(),
        )),
        "remove" => registry(RegistryChange {
            remove: vec![name(words[1])],
            ..RegistryChange::default()
        }),
        "zones" => {
            let mut zones = Zones::default();
            for word in &words[1..] {
                if let Some((inner, outer)) = word.split_once('>') {
                    zones.parents.insert(name(inner), name(outer));
                } else {
                    let (zone, time_zone) = word.split_once('@').unwrap();
                    zones.time_zones.insert(name(zone), name(time_zone));
                }
            }
            registry(RegistryChange {
                zones: Some(zones),
                ..RegistryChange::default()
            })
        }
        "sensor" => registry(RegistryChange {
            upsert: vec![sensor(&words[1..])],
            ..RegistryChange::default()
        }),
        id => Body::Observation(observation(id, clock, &words[1..])),
    }
}

fn registry(change: RegistryChange) -> Body {
    Body::Registry(Arc::new(change))
}

fn sensor(words: &[&str]) -> Sensor {
    let mut sensor = Sensor::unknown(name(words[0]));
    for (key, value) in words[1..].iter().map(|word| word.split_once('=').unwrap()) {
        match key {
            "interval" => sensor.interval = Some(value.parse().unwrap()),
            "alarm" => sensor.interval_alarm = Some(value.parse().unwrap()),
            "at" => {
                let (latitude, longitude) = value.split_once(',').unwrap();
                let place = (latitude.parse().unwrap(), longitude.parse().unwrap());
                sensor.place = Some(place);
            }
            "stale" => sensor.stale_after = Some(value.parse().unwrap()),
            "min" => sensor.min = Some(value.parse().unwrap()),
            "max" => sensor.max = Some(value.parse().unwrap()),
            "zone" => sensor.zone = Some(name(value)),
            "measures" => sensor.measurements = value.split(',').map(name).collect(),
            tag => {
                sensor.tags.insert(name(tag), name(value));
            }
        }
    }
    sensor
}

fn observation(id: &str, clock: Time, words: &[&str]) -> Observation {
    let time = words
        .get(1)
        .map_or(clock, |word| time(word.strip_prefix('@').unwrap()));
    let values = words[0].split(',').map(value).collect();
    Observation {
        sensor: name(id),
        time,
        arrival: clock,
        flags: 0,
        values,
    }
}

fn value(text: &str) -> Value {
    let (measurement, text) = text.split_once('=').unwrap_or(("m", text));
    let (number, unit) = text.split_once('[').unwrap_or((text, "]"));
    Value {
        measurement: name(measurement),
        value: number.parse().unwrap(),
        unit: name(unit.trim_end_matches(']')),
    }
}

/// What a stage makes of `records`.
pub fn staged(records: &[Record], end: Option<Time>) -> (Vec<Transition>, Counts) {
    let mut stage = Stage::new();
    let mut out = Vec::new();
    for record in records {
        stage.step(record, &mut out);
    }
    if let Some(end) = end {
        stage.finish(end, &mut out);
    }
    (out, stage.counts())
}

/// What the engine makes of `records`, cut into epochs of the given lengths, over and over.
pub fn engined(
    records: &[Record],
    end: Option<Time>,
    workers: usize,
    cuts: &[usize],
) -> (Vec<Transition>, Vec<Counts>) {
    let found = Arc::new(Mutex::new((Vec::new(), Vec::new(), Vec::new())));
    let keep = Arc::clone(&found);
    let on_epoch = move |epoch: citywatch_rules::Epoch| {
        let mut found = keep.lock().unwrap();
        found.0.extend(epoch.transitions);
        found.1.push(epoch.counts);
        found.2.push(epoch.position);
    };
    let engine = Engine::start(workers, Box::new(on_epoch)).unwrap();
    let mut rest = records;
    let mut ends = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (epoch, after) = rest.split_at((*cut).clamp(1, rest.len()));
        ends.push(epoch[epoch.len() - 1].position);
        engine.submit(epoch.into()).unwrap();
        rest = after;
    }
    engine.close(end).unwrap();
    let (transitions, counts, positions) = std::mem::take(&mut *found.lock().unwrap());
    ends.extend(end.and(ends.last().copied()).or(end.map(|_| 0)));
    assert_eq!(positions, ends, "epochs are reported in order, each once");
    (transitions, counts)
}

/// Checks the transitions of `events` under the rule sets, the first of which is in force from the beginning.
#[track_caller]
pub fn check_sets(
    rule_sets: &[Vec<RuleSource>],
    events: &str,
    end: Option<&str>,
    expected: &str,
) -> Counts {
    let first = events
        .split(['\n', '|'])
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap();
    let events = format!(
        "{} rules 0\n{events}",
        first.split_whitespace().next().unwrap()
    );
    for sources in rule_sets {
        citywatch_rules::compile(sources).unwrap_or_else(|problems| panic!("{problems}"));
    }
    let records = records(&events, rule_sets);
    let end = end.map(time);
    let (transitions, counts) = staged(&records, end);
    let got: Vec<String> = transitions.iter().map(written).collect();
    let wanted: Vec<&str> = expected
        .split(['\n', '|'])
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(got, wanted, "{events}");
    for (workers, cuts) in [(1, &[1][..]), (2, &[3, 1]), (4, &[1_000])] {
        let (engine, _) = engined(&records, end, workers, cuts);
        assert_eq!(engine, transitions, "{workers} workers, epochs of {cuts:?}");
    }
    let places: Vec<usize> = (1..records.len()).collect();
    let (resumed, state) = restarted(&records, end, &places);
    assert_eq!(resumed, transitions, "restarted after every record");
    assert_eq!(state, restarted(&records, end, &[]).1, "state after that");
    counts
}

/// What a stage makes of `records` if it is snapshotted and resumed before each of `places`, and its state after
/// that in a form that hangs on nobody's order.
pub fn restarted(
    records: &[Record],
    end: Option<Time>,
    places: &[usize],
) -> (Vec<Transition>, Vec<u8>) {
    let again = |stage: &Stage| {
        let snapshot = stage.snapshot().unwrap();
        Stage::resume(&snapshot.bytes).unwrap_or_else(|error| panic!("{error}"))
    };
    let mut stage = Stage::new();
    let mut out = Vec::new();
    for (place, record) in records.iter().enumerate() {
        if places.contains(&place) {
            stage = again(&stage);
        }
        stage.step(record, &mut out);
    }
    if let Some(end) = end {
        stage.finish(end, &mut out);
    }
    (out, again(&stage).snapshot().unwrap().bytes)
}

/// [`check_sets`] with one rule `r` over `m` and derived series.
#[track_caller]
pub fn check_with(derive: &[&str], body: &str, events: &str, expected: &str) -> Counts {
    let set = sources_with(derive, &[rule(body)]);
    check_sets(&[set], events, None, expected)
}

/// [`check_sets`] with one rule `r` over `m`.
#[track_caller]
pub fn check(body: &str, events: &str, expected: &str) -> Counts {
    check_sets(&[sources(&[rule(body)])], events, None, expected)
}

/// The same with an end of the clock.
#[track_caller]
pub fn check_until(body: &str, events: &str, end: &str, expected: &str) -> Counts {
    check_sets(&[sources(&[rule(body)])], events, Some(end), expected)
}
