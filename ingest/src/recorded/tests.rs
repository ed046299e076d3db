#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::sync::Mutex;

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;

/// What reading these files gives: observations in their order, then bad rows, then the report.
fn check(files: &[(&str, &[u8])]) -> String {
    let alone = read(files, 0);
    assert_eq!(read(files, 3), alone, "on several threads");
    alone
}

fn read(files: &[(&str, &[u8])], threads: usize) -> String {
    let folder = TempDir::new().unwrap();
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, _)| folder.path().join(name))
        .collect();
    for (path, (_, content)) in paths.iter().zip(files) {
        fs::write(path, content).unwrap();
    }
    let bad = Arc::new(Mutex::new(String::new()));
    let teller = || -> Option<OnBadRow> {
        let told = Arc::clone(&bad);
        Some(Box::new(move |row| {
            writeln!(told.lock().unwrap(), "{row}").unwrap()
        }))
    };
    let options = Options {
        on_bad_row: teller(),
        on_odd_row: teller(),
        threads,
        ..Options::default()
    };
    let text = match open(&paths, options) {
        Ok(mut recorded) => {
            let mut text = String::new();
            for observation in recorded.by_ref() {
                write!(text, "{} {}:", observation.time, observation.sensor).unwrap();
                for value in &observation.values {
                    write!(text, " {}={}{}", value.measurement, value.value, value.unit).unwrap();
                }
                assert_eq!(
                    (observation.arrival, observation.flags),
                    (observation.time, 0)
                );
                text.push('\n');
            }
            assert_eq!(recorded.progress().read(), recorded.progress().total());
            writeln!(text, "{}{:?}", bad.lock().unwrap(), recorded.report()).unwrap();
            text
        }
        Err(error) => format!("{error}\n"),
    };
    text.replace(&format!("{}/", folder.path().display()), "")
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn adjacent_rows_are_one_observation() {
    insta::assert_snapshot!(check(&[(
        "a.csv",
        b"\xef\xbb\xbftime,sensor_id,hazard,measurement,value,unit\n\
          2026-01-01T00:00:00Z,a,gas,co,1,ppm\n\
          2026-01-01T00:00:00Z,a,gas,t,2.5,Cel\n\
          2026-01-01T00:00:00Z,a,gas,co,3,ppm\n\
          2026-01-01T00:00:00Z,b,gas,co,4,ppm\n\
          2026-01-01T00:00:00Z,a,gas,t,5,Cel\n\
          2026-01-01T08:00:01+08:00,a,gas,t,6,Cel\n",
    )]));
}

#[test]
fn files_merge_by_time_and_late_rows_stay_late() {
    let first: &[u8] = b"time,sensor_id,measurement,value\n\
        2026-01-01T00:00:01Z,a,x,1\n2026-01-01T00:00:05Z,a,x,2\n2026-01-01T00:00:03Z,a,x,3\n2026-01-01T00:00:06Z,a,x,4\n";
    let second = gzipped(
        "{\"sensor\":\"b\",\"ts\":\"2026-01-01T00:00:01Z\",\"measurement\":\"x\",\"value\":1}\n\n\
         [{\"sensor\":\"b\",\"ts\":\"2026-01-01T00:00:04Z\",\"value\":2},{\"sensor\":\"c\",\"ts\":\"2026-01-01T00:00:05Z\",\"value\":3}]",
    );
    // gzip is known by its bytes, not by the name
    insta::assert_snapshot!(check(&[("a.csv", first), ("b.jsonl", &second)]));
    insta::assert_snapshot!(check(&[("b.ndjson.gz", &second), ("a.csv", first)]));
}

#[test]
fn bad_rows_are_told_and_counted() {
    let long = format!(
        "{{\"sensor\":\"a\",\"note\":\"{}\"}}\n",
        "x".repeat(300_000)
    );
    let lines = format!(
        "{long}{{\"sensor\":\"a\",\"value\":1}}\nnonsense\n{{\"sensor\":\"a\",\"ts\":1,\"value\":\"1\"}}\n{{\"sensor\":\"a\",\"ts\":1,\"value\":2}}"
    );
    insta::assert_snapshot!(check(&[
        (
            "a.csv",
            b"time,sensor_id,hazard,measurement,value,unit\n\
              yesterday,a,gas,co,1,ppm\n\
              2026-01-01T00:00:00Z,,gas,co,1,ppm\n\
              2026-01-01T00:00:00Z,a,gas,,1,ppm\n\
              2026-01-01T00:00:00Z,a,gas,co,,ppm\n\
              2026-01-01T00:00:00Z,a,gas,co,NaN,ppm\n\
              2026-01-01T00:00:00Z,a,gas,co,\"1,5\",ppm\n\
              2026-01-01T00:00:00Z,\xbe\xae,gas,co,1,ppm\n\
              2026-01-01T00:00:00Z,a\n\
              2026-01-01T00:00:00Z,a,gas,co,7,ppm\n",
        ),
        ("b.jsonl", lines.as_bytes()),
    ]));
}

#[test]
fn a_row_of_another_length_is_bad() {
    insta::assert_snapshot!(check(&[(
        "a.csv",
        b"time,sensor_id,measurement,value,unit,note\n\
          2026-01-01T00:00:00Z,a,depth,1,m,\n\
          2026-01-01T00:00:01Z,a,depth,0.3\n\
          2026-01-01T00:00:02Z,a,depth,1,5,m,\n\
          2026-01-01T00:00:03Z,a,depth,2,m,\"one, \"\"two\"\"\"\n",
    )]));
}

#[test]
fn a_stray_quote_spoils_its_line_only() {
    insta::assert_snapshot!(check(&[
        (
            "a.csv",
            b"\"time\",\"sensor_id\",\"hazard\",\"measurement\",\"value\"\n\
              2026-01-01T00:00:00Z,a,\"flood,depth,1\n\
              2026-01-01T00:00:01Z,a,flood,depth,2\n\
              \"2026-01-01T00:00:02Z\",\"a\",\"flood\",\"depth\",\"3\"\r\n\
              2026-01-01T00:00:03Z,a,5\" pipe,depth,4\n\
              2026-01-01T00:00:04Z,a,\"two\nlines\",depth,5\n\
              2026-01-01T00:00:05Z,a,flood,depth,6\n\
              2026-01-01T00:00:06Z,a,\"flood,depth,7",
        ),
        (
            "b.csv",
            b"time,sensor_id,measurement,value\n\"2026-01-01T00:00:00Z,b,depth,1\n2026-01-01T00:00:01Z,b,depth,2\n",
        ),
    ]));
}

#[test]
fn a_time_that_no_calendar_holds_is_bad() {
    let line = |ts: &str| format!("{{\"sensor\":\"a\",\"ts\":{ts},\"value\":1}}\n");
    let micros = line("1790000000000000") + &line("1790000000000") + &line("-1e18");
    let nanos = "[{\"sensor\":\"b\",\"ts\":1790000000000000000,\"values\":{\"x\":1}},\
                 {\"sensor\":\"b\",\"ts\":\"9999-12-30T21:59:59Z\",\"value\":2}]";
    let csv = b"time,sensor_id,measurement,value\n9999-12-31T23:59:59Z,c,x,1\n2026-01-01T00:00:00Z,c,x,2\n";
    insta::assert_snapshot!(check(&[
        ("a.jsonl", micros.as_bytes()),
        ("b.jsonl", nanos.as_bytes()),
        ("c.csv", csv),
    ]));
}

#[test]
fn a_mistyped_year_is_told() {
    let rows = |rows: &[(&str, &str)]| {
        let row = |(time, sensor): &(&str, &str)| format!("{time}T00:00:00Z,{sensor},x,1\n");
        let rows: String = rows.iter().map(row).collect();
        format!("time,sensor_id,measurement,value\n{rows}")
    };
    let typed = rows(&[
        ("2026-01-01", "a"),
        ("2026-01-01", "b"),
        ("2926-01-02", "a"),
        ("2026-01-02", "b"),
        ("2026-01-03", "a"),
    ]);
    let first = rows(&[("2062-01-01", "a"), ("2026-01-02", "a")]);
    // neither a pause of years nor one sensor behind the other is a slip
    let lawful = rows(&[
        ("2015-01-01", "a"),
        ("2020-01-01", "a"),
        ("2015-01-01", "b"),
    ]);
    let line = |ts: &str| format!("{{\"sensor\":\"a\",\"ts\":\"{ts}T00:00:00Z\",\"value\":1}}\n");
    let lines = line("2026-01-01") + &line("2926-01-02") + &line("2026-01-03");
    insta::assert_snapshot!(check(&[
        ("a.csv", typed.as_bytes()),
        ("b.csv", first.as_bytes()),
        ("c.csv", lawful.as_bytes()),
        ("d.jsonl", lines.as_bytes()),
    ]));
}

#[test]
fn a_damaged_file_ends_with_a_message() {
    let text = "time,sensor_id,measurement,value\n2026-01-01T00:00:01Z,a,x,1\n";
    let mut cut = gzipped(text);
    cut.truncate(cut.len() - 4);
    let shown = check(&[("a.csv.gz", &cut)]);
    assert!(
        shown.contains("2026-01-01T00:00:01Z a: x=1\na.csv.gz:"),
        "{shown}"
    );
    assert!(
        shown.contains("cannot be read further") && shown.contains("bad_rows: 1"),
        "{shown}"
    );
}

#[test]
fn files_that_are_no_data() {
    let cases = [
        check(&[("a.csv", b"time,sensor,value\n")]),
        check(&[("a.csv", b"")]),
        check(&[("a.csv", b"time,sensor_id,measurement,value,,value,\n")]),
        check(&[("a.parquet", b"")]),
        check(&[("a.jsonl", b"")]),
    ];
    insta::assert_snapshot!(cases.join(""));
    let missing = open(&[PathBuf::from("/nowhere/a.csv")], Options::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        missing.starts_with("recorded data /nowhere/a.csv: No such file"),
        "{missing}"
    );
}
