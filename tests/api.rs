//! The road through the program: a reading in by HTTP, an alert, one click, a webhook and a CAP message out.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use serde_json::{Value, json};
use support::Service;

const RULES: &str = "
rules:
  - id: gas.test
    name: { zh: 燃气浓度, en: Gas concentration }
    hazard: gas
    measurement: methane
    unit: '%LEL'
    levels:
      orange: value >= 25
      red: value >= 50
    advice: { zh: 疏散并通风, en: Evacuate and ventilate }
";

const SENSORS: &str =
    "sensor_id,name,lat,lon,zone,measurements\ng-1,一号阀井,30.25,120.16,street-1,methane\n";

const ZONES: &str = "
zones:
  - { id: district, name: { zh: 测试区, en: Test District } }
  - id: street-1
    parent: district
    name: { zh: 一街道, en: Street One }
    polygon: [[30.2, 120.1], [30.2, 120.2], [30.3, 120.2]]
";

fn plans(port: u16) -> String {
    format!(
        "departments:\n  - id: gas-company\n    name: {{ zh: 燃气公司, en: Gas Company }}\n    channels:\n      \
         - {{ kind: webhook, url: 'http://127.0.0.1:{port}/hook', secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw }}\n      \
         - {{ kind: cap_mqtt, topic: 'citywatch/cap/{{hazard}}' }}\n\
         plans:\n  - id: gas\n    hazard: gas\n    levels:\n      orange: {{ tell: [gas-company] }}\n"
    )
}

/// An endpoint that takes webhooks: headers and body of each.
fn endpoint() -> (u16, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(message) = read_request(&mut reader) {
                    (&stream)
                        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                        .unwrap();
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, receiver)
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).ok()?))
}

fn service(port: u16) -> Service {
    let viewer =
        "[[tokens]]\nname = \"screen\"\nrole = \"viewer\"\ntoken = \"viewer-token-0123456\"\n";
    let files = [
        ("rules/gas.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("zones.yaml", ZONES),
        ("plans.yaml", &plans(port)),
    ];
    let mut service = Service::new(&files, viewer);
    service.start();
    service
}

fn alert(service: &Service) -> Value {
    support::wait_for("the alert", || {
        service.get("/api/v1/alerts")["items"].get(0).cloned()
    })
}

#[test]
fn one_click_reaches_the_department_and_is_followed_until_it_is_lifted() {
    let (port, hooks) = endpoint();
    let service = service(port);
    let reading = br#"{"sensor":"g-1","value":31.5,"unit":"%LEL"}"#;
    let (status, accepted) = service.post("/api/v1/readings", reading);
    assert_eq!(
        (status, accepted["accepted"].as_u64()),
        (200, Some(1)),
        "{accepted}"
    );
    let raised = alert(&service);
    assert_eq!(raised["level"], "orange");
    assert_eq!(raised["subject_name"], "一号阀井");

    let id = raised["id"].as_i64().unwrap();
    let click = format!("/api/v1/alerts/{id}/warnings");
    let (status, entry) = service.post(&click, b"{}");
    assert_eq!(status, 201, "{entry}");
    let (head, body) = hooks
        .recv_timeout(std::time::Duration::from_secs(30))
        .unwrap();
    assert!(
        head.to_ascii_lowercase().contains("webhook-signature: v1,"),
        "{head}"
    );
    assert_eq!(body["type"], "warning.issued");
    assert!(
        body["data"]["headline"]["zh"]
            .as_str()
            .unwrap()
            .contains("橙色"),
        "{body}"
    );

    let (status, conflict) = service.post(&click, b"{}");
    assert_eq!(
        (status, conflict["type"].as_str()),
        (409, Some("urn:citywatch:problem:conflict"))
    );
    delivered(&service, id);

    let identifier = entry["warning"]["identifier"].as_str().unwrap();
    let (status, cap) = support::get(
        service.http,
        &format!("/cap/{identifier}.xml"),
        Some(support::TOKEN),
    )
    .unwrap();
    assert_eq!(status, 200);
    assert!(
        cap.contains("<severity>Severe</severity>") && cap.contains("<language>zh-CN</language>"),
        "{cap}"
    );
    let (_, feed) = support::get(service.http, "/feeds/cap.atom", Some(support::TOKEN)).unwrap();
    assert!(feed.contains(identifier), "{feed}");

    let lift = format!("/api/v1/warnings/{}/lift", entry["id"]);
    let (status, lifted) = service.post(&lift, b"{}");
    assert_eq!(status, 201, "{lifted}");
    let (_, body) = hooks
        .recv_timeout(std::time::Duration::from_secs(30))
        .unwrap();
    assert_eq!(body["type"], "warning.lifted");
    assert_eq!(
        body["data"]["references"].as_array().map(Vec::len),
        Some(1),
        "{body}"
    );
}

/// Waits until the department has it by both channels, then answers for it.
fn delivered(service: &Service, alert: i64) {
    let states = support::wait_for("the deliveries", || {
        let page = service.get(&format!("/api/v1/deliveries?alert={alert}"));
        let items = page["items"].as_array().unwrap().clone();
        let done = |item: &Value| matches!(item["state"].as_str(), Some("accepted" | "delivered"));
        (items.len() == 2 && items.iter().all(done)).then_some(items)
    });
    let webhook = states
        .iter()
        .find(|item| item["channel"] == "webhook")
        .unwrap();
    assert_eq!(webhook["state"], "delivered");
    let answer = json!({"word": "received", "by": "王工", "note": "已派人"}).to_string();
    let (status, answered) = service.post(
        &format!("/api/v1/deliveries/{}/answer", webhook["id"]),
        answer.as_bytes(),
    );
    assert_eq!(
        (status, answered["answer"].as_str()),
        (200, Some("received")),
        "{answered}"
    );
}

#[test]
fn acts_take_the_version_that_was_seen_and_every_refusal_is_a_problem_document() {
    let (port, _hooks) = endpoint();
    let service = service(port);
    service.post("/api/v1/readings", br#"[{"sensor":"g-1","value":60}]"#);
    let raised = alert(&service);
    let (id, version) = (
        raised["id"].as_i64().unwrap(),
        raised["version"].as_i64().unwrap(),
    );
    let path = format!("/api/v1/alerts/{id}/acknowledge");
    let body = json!({"note": "看到了", "version": version}).to_string();
    let (status, acknowledged) = service.post(&path, body.as_bytes());
    assert_eq!(
        (status, acknowledged["handling"].as_str()),
        (200, Some("acknowledged")),
        "{acknowledged}"
    );
    let (status, stale) = service.post(&path, body.as_bytes());
    assert_eq!(
        (status, stale["version"].as_i64()),
        (409, Some(version + 1)),
        "{stale}"
    );

    let close = format!("/api/v1/alerts/{id}/close");
    let (status, early) = service.post(&close, br#"{"note":"done"}"#);
    assert_eq!(status, 409, "{early}");

    let request = |method, path: &str, token| {
        support::request(service.http, method, path, token, Some(b"{}")).unwrap()
    };
    for (method, path, token, expected) in [
        ("GET", "/api/v1/alerts", None, 401),
        ("GET", "/api/v1/alerts", Some("nobody-knows-this"), 401),
        ("POST", path.as_str(), Some("viewer-token-0123456"), 403),
        (
            "GET",
            "/api/v1/alerts?colour=red",
            Some(support::TOKEN),
            400,
        ),
        ("GET", "/api/v1/alerts/999", Some(support::TOKEN), 404),
        ("GET", "/api/v1/nothing", Some(support::TOKEN), 404),
        ("DELETE", "/api/v1/alerts", Some(support::TOKEN), 405),
        (
            "POST",
            "/api/v1/alerts/999/close",
            Some(support::TOKEN),
            422,
        ),
    ] {
        let (status, answer) = request(method, path, token);
        assert_eq!(status, expected, "{method} {path}: {answer}");
        let problem: Value =
            serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{method} {path}: {answer}"));
        assert_eq!(problem["status"], expected, "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.len() > 10),
            "{problem}"
        );
    }
}
