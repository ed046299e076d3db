//! A real mosquitto with the shipped configuration between sensors and the service: SIGKILL of the service and
//! restarts of the broker under load. What the sensors got acknowledged is in the history exactly once, and the
//! transitions are those of an undisturbed run. CITYWATCH_LINK_READINGS sets how many readings.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use citywatch_ingest::client::{ClientOptions, MqttClient};
use serde_json::json;
use support::Service;
use support::mosquitto::{Mosquitto, PASSWORD, Untuned};
use support::swing::{self, RULES, reading};

const PUBLISHERS: u64 = 5;
/// Readings a second, all publishers together.
const RATE: u64 = 8_000;
/// Ten times the service dies, and in between the broker is restarted twice.
const DISTURBANCES: [Disturbance; 12] = {
    let mut list = [Disturbance::KillService; 12];
    list[3] = Disturbance::RestartBroker;
    list[8] = Disturbance::RestartBroker;
    list
};

#[derive(Clone, Copy)]
enum Disturbance {
    KillService,
    RestartBroker,
}

fn readings() -> u64 {
    let set = std::env::var("CITYWATCH_LINK_READINGS").ok();
    set.map_or(200_000, |text| text.parse().unwrap())
}

fn link(broker: &Mosquitto) -> String {
    format!(
        "[engine]\nsave_every = \"100ms\"\n\n[[links]]\nname = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\n\
         client_id = \"citywatch-test\"\nuser = \"citywatch\"\npassword = \"{PASSWORD}\"\n\
         topics = [{{ template = \"citywatch/readings/#\" }}]\n",
        broker.port
    )
}

#[test]
fn nothing_is_lost_or_doubled_by_ten_kills_and_two_restarts_of_the_broker() {
    let readings = readings();
    let mut broker = Mosquitto::new();
    broker.start();
    let mut service = Service::new(&[("rules/test.yaml", RULES)], &link(&broker));
    service.start();
    // from here on the broker keeps for the service what comes
    support::wait_for("the link", || {
        (link_state(&service)["state"] == "up").then_some(())
    });

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (sent, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let url = broker.url("sensors");
            let (sent, acknowledged) = (sent.clone(), acknowledged.clone());
            runtime.spawn(publish(publisher, url, readings, sent, acknowledged))
        })
        .collect();
    let all_sent = || sent.load(Ordering::SeqCst) == readings;
    let between = readings / (DISTURBANCES.len() as u64 + 1);
    for (number, disturbance) in (1_u64..).zip(DISTURBANCES) {
        let sent = support::wait_for("readings on their way", || {
            Some(sent.load(Ordering::SeqCst)).filter(|sent| *sent >= number * between)
        });
        print!("{number}: {sent} sent; ");
        disturb(disturbance, &mut service, &mut broker, all_sent);
    }
    for publisher in publishers {
        runtime.block_on(publisher).unwrap();
    }
    assert_eq!(acknowledged.load(Ordering::SeqCst), readings);
    println!(
        "{readings} readings acknowledged to the sensors in {:?}",
        began.elapsed()
    );
    is_complete(&service, readings);
    println!("all in the history after {:?}", began.elapsed());
    assert!(service.terminate().success());
}

fn disturb(
    disturbance: Disturbance,
    service: &mut Service,
    broker: &mut Mosquitto,
    all_sent: impl Fn() -> bool,
) {
    match disturbance {
        Disturbance::KillService => {
            let link = support::wait_for("messages over the link", || {
                let link = link_state(service);
                (link["received"].as_u64() > Some(0) || all_sent()).then_some(link)
            });
            service.kill();
            println!(
                "service killed, {} of {} messages unacknowledged",
                link["unacknowledged"], link["received"]
            );
            service.start();
        }
        Disturbance::RestartBroker => {
            let stopped = Instant::now();
            assert!(broker.terminate().success());
            broker.start();
            println!("broker restarted in {:?}", stopped.elapsed());
        }
    }
}

fn is_complete(service: &Service, readings: u64) {
    let status = support::wait_for("the history", || {
        let status = service.get("/api/v1/status");
        (status["history"]["readings"].as_u64() >= Some(readings)
            && status["booked"].as_u64() >= status["journal"]["last"].as_u64())
        .then_some(status)
    });
    println!(
        "history: {}\nlink: {}",
        status["history"], status["links"][0]
    );
    assert_eq!(status["history"]["readings"], readings);
    assert_eq!(status["history"]["conflicts"], 0);
    assert_eq!(status["links"][0]["sessions_lost"], 0);
    assert_eq!(status["links"][0]["rejected"], 0);
    let missing = swing::missing(service, readings);
    assert_eq!(missing, Vec::<String>::new(), "{}", service.log());
    assert_eq!(swing::transitions(service), swing::undisturbed(readings));
}

fn link_state(service: &Service) -> serde_json::Value {
    service.get("/api/v1/status")["links"][0].clone()
}

/// One connection with its own sensors, so that each sensor's readings keep their order.
async fn publish(
    publisher: u64,
    url: String,
    readings: u64,
    sent: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
) {
    let options = ClientOptions {
        window: 100,
        longest_backoff: Duration::from_millis(500),
        ..ClientOptions::default()
    };
    let client = MqttClient::connect(&url, &format!("sensors-{publisher}"), options).unwrap();
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 * PUBLISHERS / RATE));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut receipts = tokio::task::JoinSet::new();
    for number in (0..readings).filter(|number| number % PUBLISHERS == publisher) {
        tick.tick().await;
        let (sensor, ts, value) = reading(number);
        let payload =
            json!({"sensor": sensor, "ts": ts, "measurement": "level", "value": value}).to_string();
        let topic = format!("citywatch/readings/{sensor}");
        let receipt = client.send(&topic, payload, false).await.unwrap();
        sent.fetch_add(1, Ordering::SeqCst);
        let acknowledged = acknowledged.clone();
        receipts.spawn(async move {
            receipt.await.unwrap();
            acknowledged.fetch_add(1, Ordering::SeqCst);
        });
    }
    receipts.join_all().await;
    client.close().await;
}

#[test]
fn check_tells_what_a_broker_does_not_keep() {
    let mut tuned = Mosquitto::new();
    tuned.start();
    let untuned = Untuned::start();
    let nobody = support::free_port();
    let entry = |name: &str, port: u16, more: &str| {
        format!(
            "[[links]]\nname = \"{name}\"\nurl = \"mqtt://127.0.0.1:{port}\"\nclient_id = \"c-{name}\"\n{more}\
             topics = [{{ template = \"citywatch/readings/#\" }}]\n\n"
        )
    };
    let login = format!("user = \"citywatch\"\npassword = \"{PASSWORD}\"\n");
    let links = [
        entry("good", tuned.port, &login),
        entry("bad", untuned.port, "version = \"5\"\n"),
        entry("nobody", nobody, ""),
        entry("stranger", tuned.port, ""),
        entry(
            "forbidden",
            tuned.port,
            &login.replace("citywatch", "sensors"),
        ),
    ];
    let service = Service::new(&[], &links.concat());
    let output = support::run(&["check", "--config", &service.config().display().to_string()]);
    let (said, warned) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    println!("{said}\n{warned}");
    assert!(output.status.success(), "warnings are no problems");
    assert!(!warned.contains(PASSWORD));
    assert!(said.contains("link `good`: the session is kept, and 1500 of 1500"));
    assert!(!warned.contains("link `good`"));
    for words in [
        "link `bad`: warning: the broker keeps only ",
        "link `nobody`: warning: no connection",
        "link `stranger`: warning: broker",
        "link `forbidden`: warning: ",
    ] {
        assert!(warned.contains(words), "{words}");
    }
}

#[test]
fn senml_comes_in_by_every_door() {
    let broker = Untuned::start();
    let more = format!(
        "[topics]\nreadings = [\"citywatch/readings\", {{ template = \"lora/#\", format = \"senml\" }}]\n\n[[links]]\n\
         name = \"city\"\nurl = \"mqtt://127.0.0.1:{}\"\nclient_id = \"senml-test\"\nversion = \"5\"\n\
         topics = [{{ template = \"lora/#\", format = \"senml\" }}]\n",
        broker.port
    );
    let mut service = Service::new(&[], &more);
    service.start();
    support::wait_for("the link", || {
        (link_state(&service)["state"] == "up").then_some(())
    });
    let own = format!("mqtt://test:{}@127.0.0.1:{}", support::TOKEN, service.mqtt);
    for url in [own, format!("mqtt://127.0.0.1:{}", broker.port)] {
        let load = [
            "simulate",
            "--broker",
            &url,
            "--topic",
            "lora/x",
            "--format",
            "senml",
            "--sensors",
            "50",
            "--rate",
            "200",
            "--seconds",
            "1",
            "--batch",
            "2",
            "--connections",
            "1",
        ];
        let output = support::run(&load);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let pack =
        br#"[{"bn":"pit-7:","bt":1790000000,"n":"level","u":"m","v":0.3},{"n":"open","vb":true}]"#;
    let body = Some(("application/senml+json; charset=utf-8", &pack[..]));
    let answer = support::request_of(
        service.http,
        "POST",
        "/api/v1/readings",
        Some(support::TOKEN),
        body,
    );
    let (status, answer) = answer.unwrap();
    assert_eq!(status, 200, "{answer}");
    support::wait_for("the history", || {
        (service.get("/api/v1/status")["history"]["readings"] == 402).then_some(())
    });
    let path = "/api/v1/readings?sensor=pit-7&measurement=open&from=2026-09-21T00:00:00Z&to=2026-09-22T00:00:00Z";
    assert_eq!(service.get(path)[0]["last"], 1.0);
    assert_eq!(
        service
            .get("/api/v1/readings/rejected")
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(link_state(&service)["acknowledged"], 100);
    assert!(service.terminate().success());
}

#[test]
fn mistakes_in_a_link_are_told_with_their_lines() {
    let text = "[[links]]
name = \"a\"
url = \"http://broker\"
client_id = \"x\"
topics = [{ template = \"a\" }]

[[links]]
name = \"b\"
url = \"mqtt://broker\"
client_id = \"x\"
password = \"secret\"
topics = [{ template = \"a/{device}\" }]

[[links]]
name = \"c\"
url = \"mqtt://broker\"
client = \"x\"
client_id = \"y\"
topics = []

[[links]]
name = \"d\"
url = \"mqtts://broker\"
client_id = \"z\"
ca_file = \"nowhere.pem\"
topics = [{ template = \"a\", format = \"xml\" }, { template = \"b\", qos = 2 }]

[topics]
readings = [\"a\", { template = \"b\" }]
";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("citywatch.toml");
    std::fs::write(&path, text).unwrap();
    let output = support::run(&["check", "--config", &path.display().to_string()]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(!errors.contains("secret"));
    for (line, words) in [
        (2, "http://broker"),
        (8, "a password but no `user`"),
        (15, "no topics"),
        (17, "`client`"),
        (26, "`xml`"),
        (29, "a topic template, or {"),
    ] {
        let found = errors
            .lines()
            .any(|told| told.contains(&format!("citywatch.toml:{line}: ")) && told.contains(words));
        assert!(found, "line {line} {words}: {errors}");
    }
}
