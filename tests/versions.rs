//! What is in force as versions: changed through the API and the command line, refused when it is wrong, and right
//! after any restart.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use serde_json::{Value, json};
use support::{Service, TOKEN, wait_for};

const RULES: &str = "# 阈值 of the district
rules:
  - id: gas.high        # pits
    measurement: methane
    levels: { orange: value >= 25 }
    tests:
      - name: at 25
        readings: { g: \"00:00 24 | 00:01 25\" }
        expect: \"00:01 g raise orange\"

  # and water
  - id: water.high
    measurement: depth
    levels:
      red: value >= 3
";

const SENSORS: &str = "sensor_id,name,measurements\ng-1,一号,methane\nw-1,二号,depth\n";

fn service() -> Service {
    let mut service = Service::new(&[("rules/r.yaml", RULES), ("sensors.csv", SENSORS)], "");
    service.start();
    service
}

fn call(service: &Service, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let sent = support::request(
        service.http,
        method,
        path,
        Some(TOKEN),
        Some(body.as_bytes()),
    );
    let (status, answer) = sent.unwrap();
    (
        status,
        serde_json::from_str(&answer).unwrap_or(Value::String(answer)),
    )
}

fn send(service: &Service, sensor: &str, measurement: &str, value: f64) {
    service.send(&json!({ "sensor": sensor, "measurement": measurement, "value": value }));
}

#[test]
fn one_rule_is_edited_and_the_others_go_on() {
    let service = service();
    let rules = service.get("/api/v1/rules");
    assert_eq!(rules.as_array().unwrap().len(), 2, "{rules}");
    assert_eq!(
        (&rules[0]["id"], &rules[0]["version"], &rules[0]["mode"]),
        (&json!("gas.high"), &json!(1), &json!("live"))
    );
    send(&service, "g-1", "methane", 30.0);
    send(&service, "w-1", "depth", 4.0);
    assert_eq!(service.alerts("rule=gas.high")[0]["rule_version"], 1);

    let text = service.get("/api/v1/rules/water.high")["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        text,
        "id: water.high\nmeasurement: depth\nlevels:\n  red: value >= 3\n"
    );
    let put = json!({ "text": text.replace(">= 3", ">= 5"), "reason": "命令 7", "version": 1 });
    let (status, answer) = call(&service, "PUT", "/api/v1/rules/water.high", &put);
    assert_eq!(
        (status, &answer["version"]["id"]),
        (200, &json!(2)),
        "{answer}"
    );
    let lines = answer["difference"]["files"][0]["lines"].as_str().unwrap();
    assert!(
        lines.contains("-      red: value >= 3") && lines.contains("+      red: value >= 5"),
        "{lines}"
    );
    let (status, stale) = call(&service, "PUT", "/api/v1/rules/water.high", &put);
    assert_eq!((status, &stale["version"]), (409, &json!(2)), "{stale}");
    // only the edited rule begins anew
    wait_for("the edited rule's alert to be unwatched", || {
        (service.alerts("state=active").len() == 1).then_some(())
    });
    assert_eq!(service.alerts("state=active")[0]["rule"], "gas.high");
    let unwatched = &service.alerts("state=unwatched")[0];
    assert_eq!(
        (&unwatched["rule"], &unwatched["needs_attention"]),
        (&json!("water.high"), &json!(true))
    );
    send(&service, "w-1", "depth", 6.0);
    let detail = service.get("/api/v1/alerts/2");
    let said: Vec<i64> = detail["transitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["rule_version"].as_i64().unwrap())
        .collect();
    assert_eq!(
        said,
        [1, 1, 2],
        "each transition names the version that said it: {detail}"
    );
}

#[test]
fn what_is_no_longer_watched_stays_warned_of() {
    let plans = "departments: [{ id: water, name: 水务局, channels: [{ kind: cap_mqtt }] }]
plans: [{ id: default, levels: { blue: { tell: [water], automatic: true } } }]
";
    let files = [
        ("rules/r.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("plans.yaml", plans),
    ];
    let mut service = Service::new(&files, "");
    service.start();
    send(&service, "g-1", "methane", 30.0);
    send(&service, "w-1", "depth", 4.0);
    // a rule is turned off, a sensor leaves the registry
    let off = json!({ "mode": "off", "reason": "命令 8" });
    let (status, answer) = call(&service, "POST", "/api/v1/rules/gas.high/mode", &off);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        service.get("/api/v1/status")["rules"],
        1,
        "one of two is off"
    );
    let sensors = SENSORS.replace("w-1,二号,depth\n", "");
    std::fs::write(service.folder.path().join("sensors.csv"), sensors).unwrap();
    let (folder, config) = (service.folder.path().to_str().unwrap(), service.config());
    let config = config.to_str().unwrap();
    let words = [
        "apply", folder, "--yes", "--reason", "moved", "--config", config,
    ];
    let applied = support::run(&words);
    assert!(applied.status.success(), "{applied:?}");
    let unwatched = wait_for("both alerts to be unwatched", || {
        let alerts = service.alerts("state=unwatched");
        (alerts.len() == 2).then_some(alerts)
    });
    for alert in unwatched {
        assert!(
            alert["warned"].is_string() && alert["needs_attention"] == json!(true),
            "{alert}"
        );
    }
    let warnings = service.get("/api/v1/warnings");
    let kinds: Vec<&Value> = warnings["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["warning"]["kind"])
        .collect();
    assert_eq!(kinds, ["issued", "issued"], "nothing was lifted");
    let (status, lifted) = call(&service, "POST", "/api/v1/warnings/1/lift", &json!({}));
    assert_eq!(status, 201, "{lifted}");
}

#[test]
fn a_rule_goes_back_to_what_it_was_also_when_it_is_gone() {
    let mut service = service();
    let text = "id: water.high\nmeasurement: depth\nlevels: { red: value >= 5 }\n";
    let put = json!({ "text": text, "reason": "命令 7" });
    let (status, answer) = call(&service, "PUT", "/api/v1/rules/water.high", &put);
    assert_eq!(status, 200, "{answer}");
    let body = json!({ "reason": "too high" });
    let (status, answer) = call(&service, "POST", "/api/v1/rules/water.high/rollback", &body);
    assert_eq!(status, 200, "{answer}");
    let versions = service.get("/api/v1/rules/water.high/versions");
    let reasons: Vec<&str> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["brought"]["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["too high", "命令 7", "first start"]);
    let bundle = service.get("/api/v1/bundle");
    let file = bundle["files"]
        .as_array()
        .unwrap()
        .iter()
        .find(|file| file["file"] == "rules/r.yaml");
    assert_eq!(
        file.unwrap()["text"],
        RULES,
        "what is put back is what was there, comments included"
    );
    let acts = service.get("/api/v1/audit");
    assert_eq!(
        (&acts[0]["act"], &acts[0]["actor"]),
        (&json!("rollback rule"), &json!("test"))
    );

    let path = "/api/v1/rules/water.high?reason=gone";
    let (status, _) = call(&service, "DELETE", path, &Value::Null);
    assert_eq!(
        (
            status,
            service.get("/api/v1/rules").as_array().unwrap().len()
        ),
        (200, 1)
    );
    assert!(service.terminate().success());
    service.start();
    assert_eq!(
        service.get("/api/v1/rules").as_array().unwrap().len(),
        1,
        "the ledger is right, not the files"
    );
    assert!(
        service.log().contains("differs from the one in force"),
        "{}",
        service.log()
    );
    let (status, answer) = call(&service, "POST", "/api/v1/rules/water.high/rollback", &body);
    assert_eq!(
        (status, &answer["difference"]["rules"][0]["version"]),
        (200, &json!(4)),
        "{answer}"
    );
}

#[test]
fn what_is_wrong_leaves_what_is_in_force() {
    let service = service();
    let put = |text: &str| {
        let body = json!({ "text": text, "reason": "x" });
        call(&service, "PUT", "/api/v1/rules/gas.high", &body)
    };
    let (status, problem) =
        put("id: gas.high\nmeasurement: methane\nlevels: { orange: value >= }\n");
    assert_eq!(
        (status, &problem["type"]),
        (422, &json!("urn:citywatch:problem:mistakes")),
        "{problem}"
    );
    let mistake = &problem["mistakes"][0];
    assert_eq!(
        (&mistake["file"], &mistake["line"]),
        (&json!("rules/r.yaml"), &json!(5)),
        "{mistake}"
    );
    assert!(mistake["text"].as_str().unwrap().contains('^'), "{mistake}");
    let failing = RULES.replace("value >= 25", "value >= 26");
    let body = json!({ "files": [{ "file": "rules/r.yaml", "text": failing }], "reason": "x" });
    let (status, problem) = service.post("/api/v1/bundle", body.to_string().as_bytes());
    assert!(
        status == 422
            && problem["mistakes"][0]["text"]
                .as_str()
                .unwrap()
                .contains("at 25"),
        "{problem}"
    );
    let plan = RULES.replace(
        "    measurement: depth",
        "    measurement: depth\n    plan: nobody",
    );
    let body = json!({ "files": [{ "file": "rules/r.yaml", "text": plan }], "reason": "x" });
    let (status, problem) = service.post("/api/v1/bundle", body.to_string().as_bytes());
    assert!(
        status == 422
            && problem["mistakes"][0]["message"]
                .as_str()
                .unwrap()
                .contains("plan `nobody`"),
        "{problem}"
    );
    for (text, why) in [
        ("id: other\nmeasurement: m\nlevels: {}", "rule `other`"),
        ("7", "not that of a rule"),
    ] {
        let (status, problem) = put(text);
        assert!(
            status == 422 && problem["detail"].as_str().unwrap().contains(why),
            "{problem}"
        );
    }
    let (status, problem) = call(
        &service,
        "POST",
        "/api/v1/rules/no/mode",
        &json!({ "mode": "off", "reason": "x" }),
    );
    assert_eq!(status, 404, "{problem}");
    let (status, problem) = call(
        &service,
        "POST",
        "/api/v1/rules/gas.high/mode",
        &json!({ "mode": "off", "reason": " " }),
    );
    assert!(
        status == 422 && problem["detail"].as_str().unwrap().contains("reason"),
        "{problem}"
    );
    let check = json!({ "text": "id: a\nmeasurement: m\nlevels: { red: valu > 1 }\n" });
    let (status, found) = service.post("/api/v1/rules/check", check.to_string().as_bytes());
    assert_eq!((status, &found["good"]), (200, &json!(false)), "{found}");
    assert_eq!(service.get("/api/v1/versions").as_array().unwrap().len(), 1);
}

#[test]
fn a_rule_on_trial_warns_nobody_and_ends_its_trial_by_itself() {
    let mut service = service();
    let trial = |seconds: i64| {
        let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        let body = json!({
            "mode": "shadow", "until": until.to_string(), "reason": "works at the north gate",
        });
        let (status, answer) = call(&service, "POST", "/api/v1/rules/gas.high/mode", &body);
        assert_eq!(status, 200, "{answer}");
        (until, answer["difference"].clone())
    };
    let (_, difference) = trial(3_600);
    assert_eq!(difference["rules"][0]["was"], "live");
    send(&service, "g-1", "methane", 30.0);
    assert_eq!(service.alerts("shadow=true").len(), 1);
    assert!(service.alerts("").is_empty());
    let (status, problem) = service.post("/api/v1/alerts/1/warnings", b"{}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(status == 409 && detail.contains("on trial"), "{problem}");
    let (until, difference) = trial(2);
    assert_eq!(difference["modes"], json!(["gas.high"]));
    // the time passes while the service is down
    service.kill();
    wait_for("the time to pass", || {
        (jiff::Timestamp::now() > until).then_some(())
    });
    service.start();
    let rule = wait_for("the end of the trial", || {
        let rule = service.get("/api/v1/rules/gas.high");
        (rule["rule"]["mode"] == "live").then_some(rule)
    });
    assert_eq!(
        (
            &rule["rule"]["version"],
            &rule["versions"][0]["brought"]["actor"]
        ),
        (&json!(3), &json!("citywatch")),
        "{rule}"
    );
    let alert = wait_for("the alert to be shown", || {
        service.alerts("state=active").pop()
    });
    assert!(
        alert["shadow"] == false && alert["needs_attention"] == true,
        "{alert}"
    );
    assert_eq!(service.alerts("shadow=true").len(), 0);
    let body = json!({ "mode": "off", "reason": "broken probe" });
    call(&service, "POST", "/api/v1/rules/gas.high/mode", &body);
    wait_for("the alert to end", || {
        service.alerts("state=active").is_empty().then_some(())
    });
}

#[test]
fn sensors_that_no_rule_looks_at_are_counted() {
    let sensors = SENSORS.to_owned() + "x-1,三号,lvl\n";
    let mut service = Service::new(&[("rules/r.yaml", RULES), ("sensors.csv", &sensors)], "");
    service.start();
    let unwatched = || service.get("/api/v1/status")["unwatched_sensors"].clone();
    assert_eq!(unwatched(), json!({ "count": 1, "first": ["x-1"] }));
    let path = "/api/v1/rules/water.high?reason=gone";
    let (status, answer) = call(&service, "DELETE", path, &Value::Null);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(unwatched(), json!({ "count": 2, "first": ["w-1", "x-1"] }));
}
