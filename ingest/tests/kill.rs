//! A process that appends under load is killed again and again: every answered reading must be in the
//! journal and in the history exactly once.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use citywatch_ingest::{
    Clock, Door, Form, History, HistoryCount, Intake, IntakeConfig, Journal, JournalConfig, Message,
};
use citywatch_model::{Body, Registry, Time, name};

const DIR: &str = "CITYWATCH_KILL_TEST_DIR";
const ROUND: &str = "CITYWATCH_KILL_TEST_ROUND";
const SENDERS: u64 = 16;
const ROUNDS: u64 = 10;

fn open(dir: &Path, metrics: &prometheus::Registry) -> (Journal, History) {
    let config = JournalConfig {
        free_space_mark: 0,
        ..JournalConfig::new(dir.join("journal"))
    };
    let journal = Journal::open(config, Clock::wall(), metrics).unwrap();
    (
        journal,
        History::open(dir.join("history"), metrics).unwrap(),
    )
}

/// Not a test of its own: the process that [`every_answered_reading_survives`] kills.
#[test]
fn child() {
    let (Ok(dir), Ok(round)) = (std::env::var(DIR), std::env::var(ROUND)) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let metrics = prometheus::Registry::new();
        let (journal, history) = open(Path::new(&dir), &metrics);
        let registry = Arc::new(Registry::default());
        let intake = Intake::new(
            journal.clone(),
            history.clone(),
            Clock::wall(),
            registry,
            IntakeConfig::default(),
            &metrics,
        )
        .unwrap();
        for sender in 0..SENDERS {
            tokio::spawn(send(intake.clone(), format!("{round}-{sender}")));
        }
        history.follow(&journal).await.unwrap();
    });
}

async fn send(intake: Intake, sensor: String) {
    static SENT: AtomicU64 = AtomicU64::new(0);
    for i in 0u64.. {
        let payload = format!(
            r#"{{"sensor":"{sensor}","ts":{},"value":{i}}}"#,
            1_600_000_000 + i
        );
        let message = Message {
            door: Door::Http,
            source: "test",
            topic: None,
            payload: payload.as_bytes(),
            form: Form::Usual,
            retained: false,
        };
        SENT.fetch_add(1, Ordering::Relaxed);
        intake.accept(message).await.unwrap();
        let mut out = std::io::stdout().lock();
        let sent = SENT.load(Ordering::Relaxed);
        writeln!(out, "answered {sensor} {i} {sent}").unwrap();
    }
}

#[test]
fn every_answered_reading_survives() {
    let dir = tempfile::tempdir().unwrap();
    let mut answered = HashSet::new();
    let mut unanswered = 0;
    for round in 0..ROUNDS {
        let before = answered.len();
        let sent = run_and_kill(dir.path(), round, &mut answered);
        unanswered += sent.saturating_sub((answered.len() - before) as u64);
    }
    println!(
        "{} readings answered, {unanswered} unanswered at {ROUNDS} kills",
        answered.len()
    );

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (journal, history) = open(dir.path(), &prometheus::Registry::new());
        let mut found: HashMap<(String, u64), u64> = HashMap::new();
        let mut reader = journal.reader(0);
        let (mut next, mut clock) = (1, Time::MIN);
        while let Some(records) = reader.try_next().unwrap() {
            for record in records.iter() {
                assert_eq!(record.position, next);
                assert!(record.clock >= clock);
                (next, clock) = (next + 1, record.clock);
                if let Body::Observation(observation) = &record.body {
                    let key = (
                        observation.sensor.to_string(),
                        observation.values[0].value as u64,
                    );
                    *found.entry(key).or_default() += 1;
                }
            }
        }
        for key in &answered {
            assert_eq!(found.get(key), Some(&1), "{key:?}");
        }
        journal.clone().close().await;
        history.follow(&journal).await.unwrap();
        let readings = found.len() as u64;
        assert_eq!(
            history.count(),
            HistoryCount {
                readings,
                duplicates: 0,
                conflicts: 0
            }
        );
        let range = (Time::MIN, Time::MAX);
        for sensor in history.sensors() {
            let kept = history
                .readings(sensor, name("value"), range, usize::MAX)
                .unwrap();
            let wanted = found.keys().filter(|(id, _)| sensor == id.as_str()).count();
            assert_eq!(kept.len(), wanted, "{sensor}");
        }
    });
}

/// Starts the child, kills it after some answers, and returns how many readings it had sent.
fn run_and_kill(dir: &Path, round: u64, answered: &mut HashSet<(String, u64)>) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    // a different place in the life of the child each time, from its first syncs to thousands of them
    let enough = 1 + round * round * 60;
    let (mut count, mut sent) = (0, 0);
    let mut line = String::new();
    while out.read_line(&mut line).unwrap() > 0 {
        // a line that was cut by the kill was not answered completely
        if let Some((_, rest)) = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once("answered "))
        {
            let mut words = rest.split(' ');
            let mut word = || words.next().unwrap();
            let key = (word().to_owned(), word().parse().unwrap());
            sent = sent.max(word().parse().unwrap());
            assert!(answered.insert(key));
            count += 1;
            if count == enough {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(
        count >= enough,
        "the child ended by itself after {count} answers"
    );
    sent
}
