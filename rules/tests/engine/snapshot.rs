//! What is refused as a snapshot, and that no bytes whatever bring the engine down.

use std::sync::Arc;

use citywatch_model::{Body, Record, Time};
use citywatch_rules::{Engine, EngineError, Snapshot, SnapshotError, Stage, compile};
use proptest::prelude::*;

use crate::equivalence::stream;
use crate::support::{MIDNIGHT, rule, sources, sources_with};

/// Rules and readings of every kind of state, and the snapshot after them.
fn snapshot(records: &[Record]) -> Vec<u8> {
    let mut stage = Stage::new();
    for record in records {
        stage.step(record, &mut Vec::new());
    }
    stage.snapshot().unwrap().bytes
}

fn empty() -> Vec<u8> {
    Stage::new().snapshot().unwrap().bytes
}

/// With a checksum that holds.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len().saturating_sub(4);
    let checksum = crc32fast::hash(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&checksum);
    bytes
}

fn refused(bytes: &[u8]) -> SnapshotError {
    Stage::resume(bytes).unwrap_err()
}

/// Whatever was read, the engine runs with it.
fn run(bytes: &[u8], records: &[Record]) {
    let Ok(mut stage) = Stage::resume(bytes) else {
        return;
    };
    let mut out = Vec::new();
    records
        .iter()
        .for_each(|record| stage.step(record, &mut out));
    let last = records[records.len() - 1].clock.millis();
    stage.finish(Time::from_millis(last + 86_400_000), &mut out);
    assert!(stage.snapshot().is_some());
}

#[test]
fn every_refusal_says_what_is_wrong_and_what_happens() {
    let good = empty();
    let with = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let no_rule = sources(&["{ id: r }".to_owned()]);
    let mut broken = empty();
    // an empty list of rule files becomes one with a file that is no rule file
    let text = &no_rule[0].text;
    let mut body = vec![1, 1, b'f', text.len() as u8];
    body.extend(text.as_bytes());
    let section = 42;
    // behind the version of the rules, one byte
    broken.splice(section + 1..=section + 1, body.clone());
    let length = u64::from_le_bytes(broken[34..42].try_into().unwrap()) + body.len() as u64 - 1;
    broken[34..42].copy_from_slice(&length.to_le_bytes());
    let end = section + length as usize;
    let inner =
        u64::from_le_bytes(broken[end - 8..end].try_into().unwrap()) + body.len() as u64 - 1;
    broken[end - 8..end].copy_from_slice(&inner.to_le_bytes());
    let errors = [
        refused(b"PNG"),
        refused(&good[..20]),
        refused(&with(8, 1)),
        refused(&sealed(with(10, 9))),
        refused(&with(40, 1)),
        refused(&sealed(with(30, 2))),
        refused(&sealed(with(29, 0))),
        refused(&sealed(broken)),
    ];
    assert!(errors.iter().all(SnapshotError::is_rebuilt_from_journal));
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn an_engine_without_workers_is_no_fault_of_the_snapshot() {
    let refused = Engine::resume(0, &empty(), Box::new(|_| {})).err().unwrap();
    assert!(matches!(
        refused,
        SnapshotError::Start(EngineError::NoWorkers)
    ));
    assert!(!refused.is_rebuilt_from_journal());
}

#[test]
fn rules_whose_texts_are_not_known_leave_no_snapshot() {
    let set = sources(&[rule("levels: { red: value > 1 }")]);
    let mut stage = Stage::new();
    stage.set_rules(compile(&set).unwrap().into());
    assert_eq!(stage.snapshot(), None);
    let record = Record {
        position: 1,
        clock: Time::from_millis(MIDNIGHT),
        body: Body::Rules(Arc::new(set.into())),
    };
    stage.step(&record, &mut Vec::new());
    let snapshot = stage.snapshot().unwrap();
    let head = Snapshot::inspect(&snapshot.bytes).unwrap();
    assert_eq!((head.position, head.clock), (1, record.clock));
    assert_eq!(
        format!("{snapshot:?}"),
        format!(
            "Snapshot(1, 2000-01-01T00:00:00Z, {} bytes)",
            snapshot.bytes.len()
        )
    );
}

#[test]
fn every_cut_is_refused() {
    let set = sources_with(
        &["{ id: d, measurement: d, value: m * 2 }"],
        &[rule("levels: { red: mean(1h) > 1 for 5m }")],
    );
    let record = Record {
        position: 1,
        clock: Time::from_millis(MIDNIGHT),
        body: Body::Rules(Arc::new(set.into())),
    };
    let good = snapshot(&[record]);
    for length in 0..good.len() {
        assert!(Stage::resume(&good[..length]).is_err(), "{length}");
        if length > 12 {
            assert!(
                Stage::resume(&sealed(good[..length].to_vec())).is_err(),
                "{length} with a checksum"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_is_refused(records in stream(), place in any::<prop::sample::Index>(), with in 1..=255_u8) {
        let mut bytes = snapshot(&records);
        let place = place.index(bytes.len());
        bytes[place] ^= with;
        prop_assert!(Stage::resume(&bytes).is_err());
    }

    #[test]
    fn changed_bytes_with_a_checksum_bring_nothing_down(
        records in stream(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = snapshot(&records);
        for (place, byte) in changes {
            // the head would be refused
            let place = 34 + place.index(bytes.len() - 34);
            bytes[place] = byte;
        }
        run(&sealed(bytes), &records);
    }

    #[test]
    fn any_bytes_bring_nothing_down(records in stream(), noise in prop::collection::vec(any::<u8>(), 0..400), sections in 0..6_u8) {
        let mut bytes = empty()[..34].to_vec();
        bytes[30] = sections;
        bytes.extend(noise);
        bytes.extend([0; 4]);
        run(&sealed(bytes), &records);
    }
}
