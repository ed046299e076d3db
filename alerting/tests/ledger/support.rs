//! A ledger in a temporary folder, with the departments and plans of a small district and a clock that tests set.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use citywatch_alerting::ledger::{Actor, Applied, Call, Change, Epoch};
use citywatch_alerting::links::{LinkKey, SignedLinks};
use citywatch_alerting::{Directory, Ledger, LedgerError, Settings, Zone, Zones, directory};
use citywatch_model::{
    Level, Mode, Name, RuleInfo, Sensor, Text, Time, Transition, TransitionKind, name,
};

pub const START: &str = "2026-11-22T00:00:00Z";

/// What stays when the ledger is closed and opened again.
pub struct Place {
    folder: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    /// Of the ledger that was opened last.
    metrics: Mutex<prometheus::Registry>,
}

impl Place {
    pub fn new() -> Place {
        let start: Time = START.parse().unwrap();
        Place {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicI64::new(start.millis())),
            metrics: Mutex::default(),
        }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ledger.sqlite")
    }

    pub async fn try_open(&self, plans: &str) -> Result<Ledger, LedgerError> {
        let directory =
            directory::read_directory("plans.yaml", plans).expect("the test's plans are right");
        self.open_with(directory).await
    }

    pub async fn open_with(&self, directory: Directory) -> Result<Ledger, LedgerError> {
        let clock = Arc::clone(&self.clock);
        let settings = Settings {
            sender: "citywatch@example.gov.cn".to_owned(),
            clock: Arc::new(move || Time::from_millis(clock.load(Ordering::SeqCst))),
            public_url: Some("https://warn.example.gov.cn".to_owned()),
            links: Some(SignedLinks::new(
                LinkKey::from_bytes([7; 32]),
                "https://warn.example.gov.cn",
            )),
            ..Settings::default()
        };
        let metrics = prometheus::Registry::new();
        *self.metrics.lock().unwrap() = metrics.clone();
        let ledger = Ledger::open(self.file(), Arc::new(directory), settings, &metrics).await?;
        ledger.set_zones(Arc::new(zones()));
        Ok(ledger)
    }

    pub async fn open(&self, plans: &str) -> Ledger {
        self.try_open(plans).await.unwrap()
    }

    /// What the ledger that was opened last shows.
    pub fn metrics(&self) -> prometheus::Registry {
        self.metrics.lock().unwrap().clone()
    }

    /// Moves the service's clock on.
    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

/// A district with one street in it.
fn zones() -> Zones {
    let zone = |zh: &str, en: &str, parent: Option<&str>, polygon: Vec<(f64, f64)>| Zone {
        name: Text {
            zh: zh.to_owned(),
            en: en.to_owned(),
        },
        parent: parent.map(name),
        polygon,
        geocodes: Vec::new(),
    };
    let square = vec![
        (31.86, 117.27),
        (31.86, 117.29),
        (31.84, 117.29),
        (31.84, 117.27),
    ];
    Zones(
        [
            (
                name("east"),
                zone("东区", "East district", None, Vec::new()),
            ),
            (
                name("renmin"),
                zone("人民街道", "Renmin Street", Some("east"), square),
            ),
            (
                name("west"),
                zone("西区", "West district", None, Vec::new()),
            ),
        ]
        .into(),
    )
}

/// A transition of the rule `flood.underpass-depth`.
pub fn change(
    position: u64,
    kind: TransitionKind,
    subject: &str,
    level: Level,
    value: f64,
) -> Change {
    let rule = name("flood.underpass-depth");
    let start: Time = START.parse().unwrap();
    Change {
        transition: Transition {
            time: start + citywatch_model::Duration::from_secs(position as i64),
            position,
            kind,
            rule,
            subject: name(subject),
            level,
            value: Some(value),
            unwatched: false,
        },
        rule: Arc::new(rule_info(rule)),
        rule_version: 1,
        sensor: Some(Arc::new(Sensor {
            name: "人民路下穿通道".to_owned(),
            place: Some((31.85, 117.28)),
            zone: Some(name("renmin")),
            ..Sensor::unknown(name(subject))
        })),
    }
}

pub fn rule_info(id: Name) -> RuleInfo {
    RuleInfo {
        id,
        name: Text {
            zh: "下穿通道积水".to_owned(),
            en: "Underpass water depth".to_owned(),
        },
        hazard: name("flood"),
        measurement: name("water_depth"),
        unit: name("cm"),
        advice: Text {
            zh: "封闭通道，启动排水泵".to_owned(),
            en: "Close the underpass, start the pumps".to_owned(),
        },
        source: "Beijing practice, closed at 27 cm".to_owned(),
        plan: None,
        mode: Mode::Live,
    }
}

pub fn raise(position: u64, subject: &str, level: Level) -> Change {
    change(position, TransitionKind::Raise, subject, level, 22.5)
}

pub fn relevel(position: u64, subject: &str, level: Level) -> Change {
    change(position, TransitionKind::Change, subject, level, 28.0)
}

pub fn clear(position: u64, subject: &str, level: Level) -> Change {
    change(position, TransitionKind::Clear, subject, level, 3.0)
}

/// The rule or the sensor was changed or removed.
pub fn unwatch(position: u64, subject: &str, level: Level) -> Change {
    let mut change = change(position, TransitionKind::Clear, subject, level, 28.0);
    change.transition.unwatched = true;
    change
}

/// The changes as one epoch that ends at the last of them.
pub async fn apply(ledger: &Ledger, changes: Vec<Change>) -> Applied {
    ledger.apply(epoch(changes)).await.unwrap()
}

pub fn epoch(changes: Vec<Change>) -> Epoch {
    let last = changes
        .last()
        .map(|change| change.transition.clone())
        .unwrap();
    Epoch {
        position: last.position,
        clock: last.time,
        changes,
        lit: Vec::new(),
    }
}

/// A duty officer's call.
pub fn call() -> Call {
    let actor = Actor {
        name: "lin".to_owned(),
        role: "officer".to_owned(),
        from: "127.0.0.1".to_owned(),
    };
    Call {
        actor,
        ..Call::default()
    }
}

/// Waits until `look` finds something; fails after 10 s.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let limit = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < limit,
            "not within 10 s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
