//! Backtests on the own history of a service: through the API while it runs, by the command line while it is stopped.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Output;

use serde_json::{Value, json};
use support::{Service, TOKEN, wait_for};

const RULES: &str = "
derive:
  - { id: level.double, measurement: twice, value: level * 2 }
rules:
  - { id: level.high, measurement: level, levels: { orange: value >= 80 } }
  - { id: other, measurement: level, levels: { blue: value >= 90 } }
";

/// An hour of a reading a minute that swings between 0 and 100 every 20 minutes.
fn service() -> Service {
    let mut service = Service::new(&[("rules/r.yaml", RULES)], "");
    service.start();
    let readings: Vec<Value> = (0..60_u32)
        .map(|minute| {
            let ts = format!("2026-07-01T08:{minute:02}:00Z");
            let value = (minute % 20) * 5;
            json!({ "sensor": "s-1", "ts": ts, "measurement": "level", "value": value })
        })
        .collect();
    service.send(&Value::Array(readings));
    wait_for("the history", || {
        let status = service.get("/api/v1/status");
        (status["history"]["position"].as_u64() >= status["journal"]["last"].as_u64()).then_some(())
    });
    service
}

fn begin(service: &Service, body: &Value) -> (u16, Value) {
    service.post("/api/v1/backtests", body.to_string().as_bytes())
}

/// Begins a backtest and waits for its report.
fn report(service: &Service, body: &Value) -> Value {
    let (status, begun) = begin(service, body);
    assert_eq!(status, 202, "{begun}");
    let path = format!("/api/v1/backtests/{}", begun["id"]);
    wait_for("the report", || {
        let view = service.get(&path);
        (view["state"] != "running").then_some(view)
    })
}

#[test]
fn a_rule_is_tried_on_the_history_against_the_one_in_force() {
    let service = service();
    let before = service.get("/api/v1/alerts")["items"].clone();
    let text = "id: level.high\nmeasurement: level\nlevels: { orange: value >= 60 }\n";
    let labels =
        "event_id,start,end,sensor_id\nwave,2026-07-01T08:10:00Z,2026-07-01T08:19:00Z,s-1\n";
    let body = json!({ "text": text, "labels": labels });
    let view = report(&service, &body);
    assert_eq!(
        (&view["state"], &view["progress"], &view["by"]),
        (&json!("finished"), &json!(1.0), &json!("test")),
        "{view}"
    );
    let report = &view["report"];
    assert_eq!(report["data"]["readings"], 60);
    assert_eq!(report["transitions"]["raise"], 3);
    assert_eq!(report["labels"]["hits"], 1, "{}", report["labels"]);
    let first = json!({
        "time": "2026-07-01T08:12:00Z", "kind": "raise", "rule": "level.high", "subject": "s-1",
        "level": "orange", "value": 60.0,
    });
    assert_eq!(view["transitions"][0], first);
    assert!(report["difference"].is_object(), "{report}");
    assert_eq!(
        service.get("/api/v1/alerts")["items"],
        before,
        "nothing is put in force"
    );

    let text = "id: twice.high\nmeasurement: twice\nlevels: { red: value >= 190 }\n";
    let view = self::report(&service, &json!({ "text": text }));
    assert_eq!(
        view["report"]["transitions"]["raise"], 3,
        "a new rule hears of derived series: {view}"
    );
    let stretch = json!({ "from": "2026-07-01T08:20:00Z", "to": "2026-07-01T08:40:00Z" });
    let view = self::report(&service, &stretch);
    assert_eq!(view["report"]["data"]["readings"], 20);
    assert_eq!(
        view["report"]["transitions"]["raise"], 2,
        "the rules in force: {view}"
    );
    let files = json!({ "files": [{ "file": "rules/r.yaml", "text": RULES.replace("80", "99") }] });
    let view = self::report(&service, &files);
    assert_eq!(view["report"]["transitions"]["raise"], 3, "{view}");
    let list = service.get("/api/v1/backtests");
    let ids: Vec<u64> = (list.as_array().unwrap().iter())
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [4, 3, 2, 1]);
    assert!(list[0].get("report").is_none());
}

#[test]
fn what_cannot_be_tried_says_why() {
    let service = service();
    for (body, why) in [
        (
            json!({ "from": "2026-07-02T00:00:00Z", "to": "2026-07-01T00:00:00Z" }),
            "does not lie before",
        ),
        (json!({ "positions": 0 }), "at least 1"),
        (json!({ "text": "7" }), "not that of one rule"),
        (
            json!({ "text": RULES, "files": [{ "file": "rules/a.yaml", "text": RULES }] }),
            "either",
        ),
    ] {
        let (status, problem) = begin(&service, &body);
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 422 && detail.contains(why), "{problem}");
    }
    for body in [
        json!({ "text": "id: level.high\nmeasurement: level\nlevels: { red: valu > 1 }\n" }),
        json!({ "labels": "event,start\n1,2\n" }),
    ] {
        let (status, problem) = begin(&service, &body);
        let mistakes = problem["mistakes"].as_array().unwrap();
        assert!(status == 422 && !mistakes.is_empty(), "{problem}");
    }
    let gone = support::get(service.http, "/api/v1/backtests/7", Some(TOKEN));
    assert_eq!(gone.unwrap().0, 404);
    assert_eq!(service.get("/api/v1/backtests"), json!([]));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_services_own_history_is_read_while_it_is_stopped() {
    let rules =
        "rules:\n  - { id: t.high, measurement: level, unit: m, levels: { red: value >= 3 } }\n";
    let mut service = Service::new(&[("rules/t.yaml", rules)], "[storage]\nfolder = \"data\"\n");
    let config = service.config().display().to_string();
    let backtest = |more: &[&str]| {
        let mut command = support::citywatch(&["backtest", "--config", &config]);
        command
            .args(["--format", "jsonl"])
            .args(more)
            .output()
            .unwrap()
    };
    let errors = text(&backtest(&[]).stderr);
    assert!(errors.contains("holds no journal"), "{errors}");

    service.start();
    for (minute, level) in [(0, "2"), (1, "3.5"), (2, "1"), (3, "4.5")] {
        let reading = format!(
            "{{\"sensor\":\"r-1\",\"ts\":\"2026-01-01T00:0{minute}:00Z\",\"measurement\":\"level\",\"value\":{level},\"unit\":\"m\"}}"
        );
        assert_eq!(service.post("/api/v1/readings", reading.as_bytes()).0, 200);
    }
    let refused = backtest(&[]);
    let errors = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("the service is running") && errors.contains("HTTP API"),
        "{errors}"
    );

    // killed, so that the history may lack what the journal has
    service.kill();
    let lines = |output: &Output| {
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let in_force = lines(&backtest(&[]));
    assert_eq!(in_force.len(), 3, "{in_force:?}");
    assert!(in_force[0].starts_with("{\"time\":\"2026-01-01T00:01:00Z\",\"kind\":\"raise\""));
    assert_eq!(lines(&backtest(&["--to", "2026-01-01T00:03:00Z"])).len(), 2);

    // other rules are compared with those in force
    let higher = service.folder.path().join("higher.yaml");
    std::fs::write(&higher, rules.replace("value >= 3", "value >= 4")).unwrap();
    let output = backtest(&["--rules", higher.to_str().unwrap()]);
    assert_eq!(lines(&output).len(), 1);
    let report = text(&output.stderr);
    assert!(
        report.contains("2 alerts before, 1 after; 1 alike, 0 new, 1 gone"),
        "{report}"
    );

    // the service finds its folder as it left it
    service.start();
    assert_eq!(
        service.get("/api/v1/alerts")["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
