//! Bodies for tests of this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use citywatch_model::{
    Body, Duration, LinkState, Mode, Observation, RegistryChange, RuleSource, RulesInForce, Sensor,
    Time, Value, name,
};
use proptest::prelude::*;

/// One methane reading.
pub(crate) fn reading(sensor: &str, value: f64) -> Body {
    reading_at(sensor, 1_790_000_000_000, value)
}

/// One methane reading measured and arrived at `millis`.
pub(crate) fn reading_at(sensor: &str, millis: i64, value: f64) -> Body {
    Body::Observation(observation_at(sensor, millis, value))
}

/// One methane observation measured and arrived at `millis`.
pub(crate) fn observation_at(sensor: &str, millis: i64, value: f64) -> Observation {
    Observation {
        sensor: name(sensor),
        time: Time::from_millis(millis),
        arrival: Time::from_millis(millis),
        flags: 0,
        values: [Value {
            measurement: name("methane"),
            value,
            unit: name("%LEL"),
        }]
        .into_iter()
        .collect(),
    }
}

/// Any body at all.
pub(crate) fn arbitrary_body() -> impl Strategy<Value = Body> {
    let text = "[a-z甲乙]{1,6}";
    let value =
        (text, -1e300f64..1e300, "[%a-z]{0,3}").prop_map(|(measurement, value, unit)| Value {
            measurement: name(&measurement),
            value,
            unit: name(&unit),
        });
    let time = || (Time::MIN.millis()..=Time::MAX.millis()).prop_map(Time::from_millis);
    let observation = (
        text,
        time(),
        time(),
        0u8..16,
        prop::collection::vec(value, 1..4),
    )
        .prop_map(|(sensor, time, arrival, flags, values)| {
            Body::Observation(Observation {
                sensor: name(&sensor),
                time,
                arrival,
                flags,
                values: values.into(),
            })
        });
    let sensor = (text, any::<Option<(u16, i8)>>(), 0i64..1_000_000, text).prop_map(
        |(id, place, interval, tag)| Sensor {
            place: place.map(|(a, b)| (f64::from(a) / 7.0, f64::from(b) / 3.0)),
            interval: Some(Duration::from_millis(interval)),
            tags: BTreeMap::from([(name("kind"), name(&tag))]),
            ..Sensor::unknown(name(&id))
        },
    );
    let registry = prop::collection::vec(sensor, 0..3).prop_map(|upsert| {
        Body::Registry(Arc::new(RegistryChange {
            upsert,
            remove: vec![name("gone")],
            zones: None,
        }))
    });
    prop_oneof![
        8 => observation,
        1 => Just(Body::Tick),
        1 => Just(Body::Start),
        1 => text.prop_map(|link| Body::Link { link: name(&link), state: LinkState::Up }),
        1 => text.prop_map(|link| Body::Link { link: name(&link), state: LinkState::Down }),
        1 => registry,
        1 => (text, 0i64..9).prop_map(|(file, version)| Body::Rules(Arc::new(rules(file, version)))),
    ]
}

fn rules(file: String, version: i64) -> RulesInForce {
    RulesInForce {
        version,
        rule_versions: BTreeMap::from([(name(&file), version)]),
        modes: BTreeMap::from([(name(&file), Mode::Shadow)]),
        sources: vec![RuleSource {
            file,
            text: "rules: []".to_owned(),
        }],
    }
}

/// A file system of 24 MiB that is gone when this is dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a word to the tester, where this user may not mount.
    pub(crate) fn mount(dir: &Path) -> Option<SmallDisk> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m", "citywatch-test"])
            .arg(dir)
            .output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(dir.to_owned()));
        }
        eprintln!("skipped: a tmpfs cannot be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}
