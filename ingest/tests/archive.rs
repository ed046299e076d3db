//! The archive against a scripted one: whatever the other side does, every point arrives with the value that the
//! history keeps, or is set aside because it was refused itself.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use citywatch_ingest::archive::{Archive, ArchiveConfig, ArchiveStatus, Sources};
use citywatch_ingest::{Clock, History, Journal, JournalConfig};
use citywatch_model::{Body, Observation, Time, Value, flags, name};
use parking_lot::Mutex;

#[path = "../../alerting/tests/support/http.rs"]
#[allow(dead_code, reason = "each test uses its own part")]
mod http;

use http::{Reply, Request, Server};

const LIMIT: Duration = Duration::from_secs(20);

/// Journal and history in a folder.
struct House {
    folder: tempfile::TempDir,
    journal: Journal,
    history: History,
}

impl House {
    async fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let (journal, history) = open(folder.path());
        House {
            folder,
            journal,
            history,
        }
    }

    async fn append(&self, bodies: Vec<Body>) {
        self.journal.append(bodies).await.unwrap();
    }

    fn config(&self, url: &str) -> ArchiveConfig {
        ArchiveConfig {
            batch_points: 100,
            flush_every: Duration::from_millis(20),
            timeout: Duration::from_millis(300),
            first_wait: Duration::from_millis(5),
            longest_wait: Duration::from_millis(50),
            ..ArchiveConfig::new(
                self.folder.path().join("archive"),
                url,
                "district",
                "readings",
            )
        }
    }

    fn archive(&self, config: ArchiveConfig) -> Archive {
        let sources = Sources {
            journal: self.journal.clone(),
            history: self.history.clone(),
            clock: Clock::wall(),
        };
        Archive::start(config, sources, &prometheus::Registry::new()).unwrap()
    }

    /// Until everything in the journal is archived or set aside.
    async fn caught_up(&self, archive: &Archive) -> ArchiveStatus {
        until(archive, "the archive to catch up", |status| {
            status.position == self.journal.last()
        })
        .await
    }
}

fn open(folder: &Path) -> (Journal, History) {
    let metrics = prometheus::Registry::new();
    let config = JournalConfig {
        free_space_mark: 0,
        ..JournalConfig::new(folder.join("journal"))
    };
    let journal = Journal::open(config, Clock::wall(), &metrics).unwrap();
    journal.stop_ticks();
    let history = History::open(folder.join("history"), &metrics).unwrap();
    let (follower, source) = (history.clone(), journal.clone());
    tokio::spawn(async move { follower.follow(&source).await });
    (journal, history)
}

async fn until(
    archive: &Archive,
    what: &str,
    wanted: impl Fn(&ArchiveStatus) -> bool,
) -> ArchiveStatus {
    let deadline = Instant::now() + LIMIT;
    loop {
        let status = archive.status();
        if wanted(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "waited for {what}: {status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn reading(sensor: &str, millis: i64, value: f64) -> Body {
    let time = Time::from_millis(1_790_000_000_000 + millis);
    let value = Value {
        measurement: name("methane"),
        value,
        unit: name("%LEL"),
    };
    Body::Observation(Observation {
        sensor: name(sensor),
        time,
        arrival: time,
        flags: 0,
        values: [value].into(),
    })
}

/// `count` readings of five sensors.
fn readings(count: i64) -> Vec<Body> {
    (0..count)
        .map(|n| reading(&format!("s-{}", n % 5), n, n as f64))
        .collect()
}

/// What an archive holds: the fields of each series and time, the last that were written.
type Held = Arc<Mutex<BTreeMap<String, String>>>;

fn take(held: &Held, request: &Request) {
    for line in String::from_utf8(request.body.clone()).unwrap().lines() {
        let (rest, time) = line.rsplit_once(' ').unwrap();
        let (series, fields) = rest.rsplit_once(' ').unwrap();
        held.lock()
            .insert(format!("{series} {time}"), fields.to_owned());
    }
}

/// An archive that takes everything for which `other` has no other answer.
async fn archive_that(
    other: impl Fn(usize, &str) -> Option<Reply> + Send + Sync + 'static,
) -> (Server, Held) {
    let held = Held::default();
    let (kept, requests) = (held.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let number = requests.fetch_add(1, Ordering::SeqCst);
        let body = String::from_utf8_lossy(&request.body).into_owned();
        other(number, &body).unwrap_or_else(|| {
            take(&kept, request);
            no_content()
        })
    })
    .await;
    (server, held)
}

fn no_content() -> Reply {
    Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
}

fn refusal(status: &str, message: &str) -> Reply {
    Reply::answer(
        status,
        "",
        &format!("{{\"code\":\"invalid\",\"message\":\"{message}\"}}"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_carry_what_the_history_keeps() {
    let house = House::new().await;
    let (mut server, held) = archive_that(|_, _| None).await;
    let mut odd = reading("井 3, 东", 0, 7.5);
    if let Body::Observation(observation) = &mut odd {
        observation.flags = flags::NO_TIME;
        observation.values.push(Value {
            measurement: name("water depth"),
            value: -0.5,
            unit: name(""),
        });
    }
    house
        .append(vec![
            reading("a", 1, 1.0),
            reading("a", 1, 1.0),
            reading("a", 1, 2.0),
            Body::Start,
            odd,
        ])
        .await;
    let config = ArchiveConfig {
        token: "secret-token".to_owned(),
        ..house.config(&server.url)
    };
    let archive = house.archive(config);
    house.caught_up(&archive).await;
    // long after, and in a portion of its own: another value for what is there already
    house
        .append(vec![reading("a", 1, 3.0), reading("a", 2, 4.0)])
        .await;
    let status = house.caught_up(&archive).await;
    assert_eq!((status.refused, status.last_error), (0, None));
    archive.stop().await;
    let request = server.next().await;
    assert_eq!(
        request.line,
        "POST /api/v2/write?bucket=readings&org=district&precision=ms HTTP/1.1"
    );
    assert_eq!(request.header("authorization"), "Token secret-token");
    let lines: Vec<String> = held
        .lock()
        .iter()
        .map(|(key, fields)| format!("{key}: {fields}"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    reading,measurement=methane,sensor=a,unit=%LEL 1790000000001: value=1
    reading,measurement=methane,sensor=a,unit=%LEL 1790000000002: value=4
    reading,measurement=methane,sensor=井\ 3\,\ 东,unit=%LEL 1790000000000: flags=1i,value=7.5
    reading,measurement=water\ depth,sensor=井\ 3\,\ 东 1790000000000: flags=1i,value=-0.5
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_point_is_found_and_the_others_arrive() {
    let house = House::new().await;
    let (server, held) = archive_that(|_, body| {
        body.contains("sensor=bad")
            .then(|| refusal("400 Bad Request", "unable to parse 'bad'"))
    })
    .await;
    let mut bodies = readings(250);
    bodies.insert(30, reading("bad", 1, -1.0));
    bodies.insert(200, reading("bad", 2, -2.0));
    bodies.insert(201, reading("ends in \\", 3, -3.0));
    house.append(bodies).await;
    let archive = house.archive(house.config(&server.url));
    let status = house.caught_up(&archive).await;
    assert_eq!(held.lock().len(), 250);
    assert_eq!(status.refused, 3);
    let refused = archive.refused(10).unwrap();
    let mut seen: Vec<(&str, Option<f64>)> = refused
        .iter()
        .map(|point| (point.sensor.as_str(), point.value))
        .collect();
    seen.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap());
    assert_eq!(
        seen,
        [
            ("bad", Some(-1.0)),
            ("bad", Some(-2.0)),
            ("ends in \\", Some(-3.0))
        ]
    );
    let said = |sensor: &str| {
        &refused
            .iter()
            .find(|point| point.sensor == sensor)
            .unwrap()
            .reason
    };
    assert!(said("bad").contains("400") && said("bad").contains("unable to parse"));
    assert!(said("ends in \\").contains("backslash"));
    archive.stop().await;

    // what was set aside stays so, and is not tried again
    let archive = house.archive(house.config(&server.url));
    house.append(vec![reading("a", 9, 9.0)]).await;
    let status = house.caught_up(&archive).await;
    assert_eq!((status.refused, status.written), (3, 1));
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_refuses_everything_gets_nothing_set_aside() {
    let house = House::new().await;
    let wrong = Arc::new(AtomicUsize::new(1));
    let state = wrong.clone();
    let (server, held) = archive_that(move |_, body| {
        let all = state.load(Ordering::SeqCst) == 1;
        (all || body.contains("sensor=bad")).then(|| refusal("400 Bad Request", "not here"))
    })
    .await;
    house.append(vec![reading("bad", 0, 0.0)]).await;
    house.append(readings(20)).await;
    let archive = house.archive(house.config(&server.url));
    let status = until(&archive, "a failure", |status| status.last_error.is_some()).await;
    let reason = status.last_error.unwrap().reason;
    assert!(
        reason.contains("refuses every point") && reason.contains("not here"),
        "{reason}"
    );
    assert!(status.waiting_since.is_some());
    assert_eq!((status.position, status.refused), (0, 0));
    wrong.store(0, Ordering::SeqCst);
    let status = house.caught_up(&archive).await;
    assert_eq!((status.refused, held.lock().len()), (1, 20));
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_point_alone_waits_for_company() {
    let house = House::new().await;
    let (server, held) = archive_that(|_, body| {
        body.contains("sensor=bad")
            .then(|| refusal("400 Bad Request", "no"))
    })
    .await;
    house.append(vec![reading("bad", 0, 0.0)]).await;
    let archive = house.archive(house.config(&server.url));
    until(&archive, "a failure", |status| status.last_error.is_some()).await;
    house.append(vec![reading("good", 0, 0.0)]).await;
    let status = house.caught_up(&archive).await;
    assert_eq!((status.refused, held.lock().len()), (1, 1));
    until(&archive, "all to be well", |status| {
        status.waiting_since.is_none()
    })
    .await;
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_were_read_and_refused_are_set_aside_without_company() {
    let house = House::new().await;
    let (server, _) = archive_that(|_, _| {
        Some(refusal(
            "422 Unprocessable Entity",
            "points beyond retention policy",
        ))
    })
    .await;
    house.append(readings(7)).await;
    let archive = house.archive(house.config(&server.url));
    assert_eq!(house.caught_up(&archive).await.refused, 7);
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_on_the_way_all_points_arrive() {
    let house = House::new().await;
    let (server, held) = archive_that(|number, _| match number % 8 {
        0 => Some(refusal("503 Service Unavailable", "starting")),
        1 => Some(Reply::answer(
            "429 Too Many Requests",
            "retry-after: 1\r\n",
            "",
        )),
        2 => Some(Reply::Stall(Vec::new())),
        3 => Some(Reply::Stall(b"HTTP/1.1 204 No Con".to_vec())),
        4 => Some(refusal("401 Unauthorized", "unauthorized access")),
        5 => Some(refusal(
            "404 Not Found",
            "bucket \\\"readings\\\" not found",
        )),
        6 => Some(Reply::answer("302 Found", "location: /login\r\n", "")),
        _ => None,
    })
    .await;
    house.append(readings(250)).await;
    let archive = house.archive(house.config(&server.url));
    let status = house.caught_up(&archive).await;
    assert_eq!((status.refused, status.written), (0, 250));
    assert!(status.last_error.is_some());
    assert_eq!(held.lock().len(), 250);
    assert!(
        held.lock()
            .contains_key("reading,measurement=methane,sensor=s-4,unit=%LEL 1790000000249")
    );
    until(&archive, "all to be well", |status| {
        status.waiting_since.is_none()
    })
    .await;
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_between_write_and_cursor_repeats_points_and_loses_none() {
    let house = House::new().await;
    let held = Held::default();
    let kept = held.clone();
    // takes the points, and the answer never comes
    let mut silent = Server::start(move |request| {
        take(&kept, request);
        Reply::Stall(Vec::new())
    })
    .await;
    house.append(readings(50)).await;
    let archive = house.archive(ArchiveConfig {
        timeout: Duration::from_secs(60),
        ..house.config(&silent.url)
    });
    silent.next().await;
    let begun = Instant::now();
    archive.stop().await;
    assert!(begun.elapsed() < LIMIT, "a silent archive held up the end");
    assert_eq!((held.lock().len(), archive.status().position), (50, 0));

    let (server, again) = archive_that(|_, _| None).await;
    let archive = house.archive(house.config(&server.url));
    house.append(vec![reading("z", 0, 0.0)]).await;
    house.caught_up(&archive).await;
    archive.stop().await;
    let first = held.lock().clone();
    let again = again.lock().clone();
    assert!(
        first
            .iter()
            .all(|(key, fields)| again.get(key) == Some(fields))
    );
    assert_eq!(again.len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_archive_is_told_and_found_again() {
    let house = House::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    house.append(readings(3)).await;
    let archive = house.archive(house.config(&url));
    let status = until(&archive, "a failure", |status| status.last_error.is_some()).await;
    assert!(status.last_error.unwrap().reason.contains("refused"));
    assert_eq!(status.behind_records, 3);
    archive.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_archive_or_another_journal_begins_at_the_start() {
    let house = House::new().await;
    let (server, held) = archive_that(|_, _| None).await;
    house.append(readings(10)).await;
    let archive = house.archive(house.config(&server.url));
    assert_eq!(house.caught_up(&archive).await.written, 10);
    archive.stop().await;
    let other = ArchiveConfig {
        bucket: "other".to_owned(),
        ..house.config(&server.url)
    };
    let archive = house.archive(other);
    assert_eq!(house.caught_up(&archive).await.written, 10);
    archive.stop().await;

    // as after the restore of an old backup, with other records at the old positions
    let elsewhere = House::new().await;
    elsewhere
        .append((0..12).map(|n| reading("new", n + 500, 1.0)).collect())
        .await;
    let config = ArchiveConfig {
        dir: house.folder.path().join("archive"),
        ..elsewhere.config(&server.url)
    };
    let archive = elsewhere.archive(config);
    assert_eq!(elsewhere.caught_up(&archive).await.written, 12);
    archive.stop().await;
    assert_eq!(held.lock().len(), 22);
}
