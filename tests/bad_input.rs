//! Bad input: each gets a message that says what, where and what to do; nothing panics, nothing good is lost.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use support::Service;

#[test]
fn payloads_are_refused_with_reasons_counted_and_kept() {
    let mut service = Service::new(&[], "");
    service.start();
    let mut huge = b"{\"sensor\":\"s\",\"value\":1,\"pad\":\"".to_vec();
    huge.resize(1_000_000, b'x');
    huge.extend_from_slice(b"\"}");
    let cases: [(&[u8], &str); 9] = [
        (b"{\"sensor\":\"s\",\"value\":1", "malformed_json"),
        (b"{\"sensor\":\"s\",\"value\":NaN}", "malformed_json"),
        (b"{\"sensor\":\"s\",\"value\":1e309}", "not_finite"),
        (b"{\"sensor\":\"s\",\"value\":\"12.5\"}", "number_as_string"),
        (b"{\"sensor\":\"s\",\"value\":null}", "not_a_number"),
        (b"{\"value\":1}", "no_sensor"),
        (b"{\"sensor\":\"\xb4\xb0\",\"value\":1}", "not_utf8"),
        (b"", "empty"),
        (&huge, "too_large"),
    ];
    for (payload, reason) in cases {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(60)]);
        let (status, problem) = service.post("/api/v1/readings", payload);
        assert_eq!(status, 422, "{shown}: {problem}");
        assert_eq!(
            problem["rejected"][0]["reason"], reason,
            "{shown}: {problem}"
        );
        assert!(problem["detail"].as_str().unwrap().len() > 20, "{problem}");
    }
    let rejected = service.get("/api/v1/readings/rejected?limit=100");
    let kept: Vec<&str> = rejected
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["rejections"][0]["reason"].as_str().unwrap())
        .collect();
    let newest_first: Vec<&str> = cases.iter().rev().map(|(_, reason)| *reason).collect();
    assert_eq!(kept, newest_first);
    let (_, metrics) = support::get(service.http, "/metrics", None).unwrap();
    assert!(
        metrics.contains("reason=\"malformed_json\"} 2"),
        "{metrics}"
    );
}

#[test]
fn a_body_above_the_limit_is_refused_with_the_limit() {
    let mut service = Service::new(&[], "");
    service.start();
    // just above it, so that all of it is in the sockets' buffers when the answer comes
    let body = vec![b' '; (1 << 20) + 1];
    for path in ["/api/v1/readings", "/api/v1/alerts/1/acknowledge"] {
        let (status, problem) = service.post(path, &body);
        assert_eq!(status, 413, "{path}: {problem}");
        assert_eq!(problem["type"], "urn:citywatch:problem:too-large");
        assert_eq!(
            (&problem["title"], &problem["status"]),
            (&json!("too large"), &json!(413))
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("1048576 bytes"), "{detail}");
    }
    let rejected = service.get("/api/v1/readings/rejected?limit=1");
    assert_eq!(rejected[0]["rejections"][0]["reason"], "too_large");
}

/// Logs in at the broker as MQTT 3.1.1 and answers what it says to a packet, the login's answer left out.
fn ask_broker(service: &Service, (user, token): (&str, &str), packet: &[u8]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat();
    let flags = [4, 0b1100_0010, 0, 60];
    let connect = [
        text("MQTT"),
        flags.to_vec(),
        text(user),
        text(user),
        text(token),
    ]
    .concat();
    let mut stream = TcpStream::connect(("127.0.0.1", service.mqtt)).unwrap();
    stream.write_all(&[0x10, connect.len() as u8]).unwrap();
    stream.write_all(&connect).unwrap();
    let mut accepted = [0; 4];
    stream.read_exact(&mut accepted).unwrap();
    assert_eq!(accepted, [0x20, 2, 0, 0], "{user}");
    stream.write_all(packet).unwrap();
    let mut answer = vec![0; 16];
    let length = stream.read(&mut answer).unwrap();
    answer.truncate(length);
    answer
}

#[test]
fn roles_hold_at_the_broker() {
    let token = |name: &str, role: &str| {
        format!(
            "[[tokens]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken = \"{name}-token-0123456789\"\n"
        )
    };
    let tokens = token("device", "device") + &token("viewer", "viewer");
    let mut service = Service::new(&[], &tokens);
    service.start();
    let device = ("device", "device-token-0123456789");
    let viewer = ("viewer", "viewer-token-0123456789");
    let subscribe = b"\x82\x14\x00\x01\x00\x0fcitywatch/cap/#\x01";
    let publish = b"\x32\x1f\x00\x14citywatch/readings/s\x00\x02{\"a\":1}";
    let login = |who, packet: &[u8]| ask_broker(&service, who, packet);
    assert_eq!(login(viewer, subscribe), [0x90, 3, 0, 1, 1]);
    assert_eq!(login(device, subscribe), [0x90, 3, 0, 1, 0x80]);
    assert_eq!(
        login(("test", support::TOKEN), subscribe),
        [0x90, 3, 0, 1, 1]
    );
    assert_eq!(login(device, publish), [0x40, 2, 0, 2]);
    assert_eq!(login(viewer, publish), [0; 0]);
    let log = service.log();
    assert!(
        log.contains("subscription refused") && log.contains("citywatch/cap/#"),
        "{log}"
    );
    let (_, metrics) = support::get(service.http, "/metrics", None).unwrap();
    for act in ["subscribe", "publish"] {
        let line = format!("citywatch_broker_refused_total{{act=\"{act}\"}} 1");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[test]
fn the_good_part_of_a_bad_payload_is_kept_and_unknown_sensors_are_listed() {
    let mut service = Service::new(&[], "");
    service.start();
    let payload = json!([
        {"sensor": "new-1", "ts": 1_767_225_600, "values": {"level": 1.5, "note": "wet"}},
        {"sensor": "new-2", "value": "7"},
        {"sensor": "new-3", "ts": "2026-01-01T08:00:00+08:00", "measurement": "level", "value": 3},
    ]);
    let (status, answer) = service.post("/api/v1/readings", payload.to_string().as_bytes());
    assert_eq!(
        (status, answer["accepted"].as_u64()),
        (200, Some(2)),
        "{answer}"
    );
    assert_eq!(answer["rejected"].as_array().unwrap().len(), 2, "{answer}");
    let unknown = service.get("/api/v1/sensors/unknown");
    let ids: Vec<&str> = unknown
        .as_array()
        .unwrap()
        .iter()
        .map(|sensor| sensor["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["new-1", "new-3"]);
    let newest = support::wait_for("the history", || {
        let (status, body) =
            support::get(service.http, "/api/v1/sensors/new-3", Some(support::TOKEN)).unwrap();
        (status == 200).then(|| serde_json::from_str::<Value>(&body).unwrap())
    });
    assert_eq!(
        newest["newest"][0]["time"], "2026-01-01T00:00:00Z",
        "{newest}"
    );
    assert_eq!(newest["newest"][0]["flags"], json!(["unknown_sensor"]));
}

#[test]
fn a_unit_that_cannot_be_converted_is_counted_and_shown() {
    let rules =
        "rules:\n  - { id: t.depth, measurement: depth, unit: cm, levels: { red: value >= 27 } }\n";
    let mut service = Service::new(&[("rules/t.yaml", rules)], "");
    service.start();
    service.post(
        "/api/v1/readings",
        br#"{"sensor":"u-1","measurement":"depth","value":30,"unit":"kg"}"#,
    );
    service.post(
        "/api/v1/readings",
        br#"{"sensor":"u-2","measurement":"depth","value":0.3,"unit":"m"}"#,
    );
    let errors = support::wait_for("the unit error", || {
        let status = service.get("/api/v1/status");
        let errors = status["unit_errors"].as_array().unwrap().clone();
        (!errors.is_empty()).then_some(errors)
    });
    assert_eq!(
        (errors[0]["sensor"].as_str(), errors[0]["unit"].as_str()),
        (Some("u-1"), Some("kg"))
    );
    let alert = support::wait_for("the alert", || {
        service.get("/api/v1/alerts")["items"].get(0).cloned()
    });
    assert_eq!(
        (alert["subject"].as_str(), alert["value"].as_f64()),
        (Some("u-2"), Some(30.0))
    );
}

#[test]
fn a_sensor_whose_readings_raise_nothing_is_named() {
    let rules = "rules:\n  - { id: t.gas, measurement: methane, levels: { red: value >= 50 } }\n";
    let sensors = "sensor_id,max,measurements\ngd-1,100,methane\ngd-2,200,methane\n";
    let mut service = Service::new(&[("rules/t.yaml", rules), ("sensors.csv", sensors)], "");
    service.start();
    for (sensor, ts, value) in [
        ("gd-1", "2026-07-01T00:00:00Z", 105),
        ("gd-1", "2026-07-01T00:00:10Z", 106),
        ("gd-2", "2026-07-01T00:00:10Z", 1),
        ("gd-2", "2026-07-01T00:00:00Z", 105),
    ] {
        service
            .send(&json!({ "sensor": sensor, "ts": ts, "measurement": "methane", "value": value }));
    }
    assert!(service.alerts("").is_empty());
    let status = service.get("/api/v1/status");
    let wanted = json!([
        { "kind": "implausible", "sensor": "gd-1", "measurement": "methane", "value": 106.0,
          "time": "2026-07-01T00:00:10Z", "times": 2 },
        { "kind": "late", "sensor": "gd-2", "measurement": "methane", "value": 105.0,
          "time": "2026-07-01T00:00:00Z", "times": 1 },
    ]);
    assert_eq!(status["unjudged"], wanted);
    let log = service.log();
    assert!(log.contains("outside of min and max"), "{log}");
    assert!(log.contains("look at the sensor's clock"), "{log}");
}

#[test]
fn a_taken_port_is_told_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for section in ["http", "broker"] {
        let mut service = Service::new(&[], "");
        let own = if section == "http" {
            service.http
        } else {
            service.mqtt
        };
        let text = std::fs::read_to_string(service.config())
            .unwrap()
            .replace(&own.to_string(), &port.to_string());
        std::fs::write(service.config(), text).unwrap();
        let output = support::citywatch(&["run", "--config"])
            .arg(service.config())
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(
            message.contains(&port.to_string()) && message.contains(&format!("[{section}] listen")),
            "{message}"
        );
        service.http = 0;
    }
}

#[test]
fn a_folder_has_one_owner() {
    let mut service = Service::new(&[], "");
    service.start();
    let text = std::fs::read_to_string(service.config()).unwrap();
    let other = service.folder.path().join("other.toml");
    let moved = text
        .replace(&service.http.to_string(), "0")
        .replace(&service.mqtt.to_string(), "0");
    std::fs::write(&other, moved).unwrap();
    let output = support::citywatch(&["run", "--config"])
        .arg(&other)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && message.contains("owns the data folder"),
        "{message}"
    );
}
