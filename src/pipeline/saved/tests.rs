//! Which saved states a start may use: the newest that nothing has damaged, and none of another past.

#![allow(clippy::unwrap_used)]

use std::sync::mpsc;

use citywatch_model::{
    Body, Duration, Record, Registry, RuleSource, RulesInForce, Sensor, Time, name,
};
use citywatch_rules::{Engine, Epoch};

use super::*;

const RULE: &str =
    "rules:\n  - id: gas.high\n    measurement: methane\n    levels: { red: value >= 25 }\n";

fn facts() -> Facts {
    let source = RuleSource {
        file: "瓦斯.yaml".to_owned(),
        text: RULE.to_owned(),
    };
    let in_force = RulesInForce {
        version: 3,
        rule_versions: [(name("gas.high"), 2)].into(),
        ..vec![source].into()
    };
    let mut registry = Registry::default();
    let sensor = Sensor {
        name: "一号井".to_owned(),
        place: Some((31.2304, 121.4737)),
        interval: Some(Duration::from_secs(60)),
        stale_after: Some(Duration::from_millis(300_500)),
        min: Some(-0.1),
        ..Sensor::unknown(name("g-1"))
    };
    registry.sensors.insert(sensor.id, sensor);
    Facts::of(in_force, registry).unwrap()
}

/// The state of an engine that has read the record at `position`.
fn snapshot(position: Position) -> Snapshot {
    let (sender, epochs) = mpsc::channel();
    let on_epoch = move |epoch: Epoch| sender.send(epoch).unwrap();
    let engine = Engine::start(1, Box::new(on_epoch)).unwrap();
    let record = Record {
        position,
        clock: Time::from_millis(1_767_225_600_000),
        body: Body::Start,
    };
    engine.submit([record].into()).unwrap();
    engine.snapshot().unwrap();
    engine.close(None).unwrap();
    epochs.iter().find_map(|epoch| epoch.snapshot).unwrap()
}

fn states(folder: &tempfile::TempDir) -> SavedStates {
    SavedStates::new(folder.path().join("engine"))
}

fn positions(states: &SavedStates) -> Vec<Position> {
    states.usable().map(|saved| saved.position).collect()
}

#[test]
fn the_newest_states_come_first_and_say_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let states = states(&folder);
    assert_eq!(positions(&states), [0; 0], "the folder need not exist");
    let (facts, newest) = (facts(), snapshot(30));
    states.save(&facts, &snapshot(7)).unwrap();
    states.save(&facts, &snapshot(20)).unwrap();
    states.save(&facts, &newest).unwrap();
    assert_eq!(positions(&states), [30, 20], "two are kept");
    let saved = states.usable().next().unwrap();
    assert_eq!(saved.engine, newest.bytes);
    assert_eq!(*saved.facts.in_force, *facts.in_force);
    assert_eq!(*saved.facts.registry, *facts.registry);
}

#[test]
fn states_of_another_past_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let states = states(&folder);
    states.forget_after(0).unwrap();
    states.save(&facts(), &snapshot(20)).unwrap();
    states.save(&facts(), &snapshot(30)).unwrap();
    states.forget_after(30).unwrap();
    assert_eq!(positions(&states), [30, 20]);
    states.forget_after(29).unwrap();
    assert_eq!(positions(&states), [20]);
    states.save(&facts(), &snapshot(25)).unwrap();
    assert_eq!(positions(&states), [25, 20], "the new past is saved");
}

#[test]
fn every_damage_is_refused_and_the_older_state_serves() {
    let folder = tempfile::tempdir().unwrap();
    let states = states(&folder);
    states.save(&facts(), &snapshot(20)).unwrap();
    states.save(&facts(), &snapshot(30)).unwrap();
    let path = folder.path().join("engine/00000000000000000030.state");
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        fs::write(&path, &bad).unwrap();
        assert_eq!(positions(&states), [20], "byte {at} changed");
        fs::write(&path, &good[..at]).unwrap();
        assert_eq!(positions(&states), [20], "cut to {at} bytes");
    }
    fs::write(&path, &good).unwrap();
    fs::rename(&path, path.with_file_name("00000000000000000031.state")).unwrap();
    assert_eq!(positions(&states), [20], "a position that is not its own");
}

#[test]
fn what_was_not_finished_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let states = states(&folder);
    states.save(&facts(), &snapshot(20)).unwrap();
    let path = folder.path().join("engine/00000000000000000020.state");
    fs::rename(&path, path.with_extension("unfinished")).unwrap();
    assert_eq!(positions(&states), [0; 0]);
}

#[test]
fn what_was_not_finished_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let states = states(&folder);
    let names = || {
        let entries = fs::read_dir(folder.path().join("engine")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    states.save(&facts(), &snapshot(20)).unwrap();
    let engine = folder.path().join("engine");
    // a state cannot take the name of a folder
    fs::create_dir(engine.join("00000000000000000030.state")).unwrap();
    states.save(&facts(), &snapshot(30)).unwrap_err();
    let kept = ["00000000000000000020.state", "00000000000000000030.state"];
    assert_eq!(names(), kept.map(str::to_owned).into());
    fs::remove_dir(engine.join(kept[1])).unwrap();
    // as earlier versions and a kill leave them
    for left in ["00000000000000000025.unfinished", UNFINISHED] {
        fs::write(engine.join(left), "cut off").unwrap();
    }
    states.forget_after(20).unwrap();
    assert_eq!(names(), [kept[0].to_owned()].into());
}
