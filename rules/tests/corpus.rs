//! The corpora of the fuzz targets, replayed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use citywatch_rules::Stage;

#[path = "../fuzz/cases/language.rs"]
mod language;
#[path = "../fuzz/cases/snapshot.rs"]
mod snapshot;

fn replay(corpus: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut count = 0;
    for file in std::fs::read_dir(folder.join(corpus)).unwrap() {
        run(&std::fs::read(file.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{corpus}");
}

#[test]
fn language() {
    replay("language", language::run);
}

#[test]
fn snapshots() {
    replay("snapshot", snapshot::run);
}

/// Fuzzing begins with states that are sound.
#[test]
fn the_streams_can_be_resumed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/snapshot");
    for number in 0..12 {
        let bytes = std::fs::read(folder.join(format!("stream-{number}"))).unwrap();
        if let Err(error) = Stage::resume(&bytes) {
            panic!("stream-{number}: {error}; write them anew as fuzz/README.md says");
        }
    }
}
