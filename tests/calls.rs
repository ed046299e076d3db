//! What every writing call keeps to: its idempotency key, and a body that is an object; and what is in force as people
//! without the right to addresses read it.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::people::{Person, good, token};
use support::{Service, TOKEN, exchange};

const RULES: &str = "
rules:
  - { id: t.high, hazard: flood, measurement: level, levels: { red: value >= 5 } }
";
const SENSORS: &str = "sensor_id,zone\ns-1,cell-1\ns-2,street-2\n";
const ZONES: &str = "zones:
  - { id: district, name: 区, timezone: Asia/Shanghai }
  - { id: street-1, name: { zh: 一街道, en: Street One }, parent: district, polygon: [[30.2, 120.1], [30.2, 120.2], [30.3, 120.2]] }
  - { id: cell-1, name: 一网格, parent: street-1 }
  - { id: street-2, name: 二街道, parent: district }
";
const PLANS: &str = "departments:
  - id: duty
    name: { zh: 值班, en: Duty }
    zones: [district]
    channels: [{ kind: webhook, url: 'http://secret-address.example/' }, { kind: cap_mqtt, topic: 'citywatch/cap/x' }]
    contacts: [{ name: 李, phone: '13800000000', channels: [{ kind: sms }] }]
  - id: other
    name: { zh: 二, en: Two }
    zones: [street-2]
    channels: [{ kind: webhook, url: 'http://secret-address.example/2' }]
plans:
  - id: default
    expires: 2h
    levels: { orange: { tell: [duty, other] }, red: { automatic: true } }
  - id: gas
    hazard: gas
    levels: { red: { tell: [other] } }
";

fn service() -> Service {
    let files = [
        ("rules/t.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("zones.yaml", ZONES),
        ("plans.yaml", PLANS),
    ];
    let mut service = Service::new(&files, "");
    service.start();
    service
}

/// A call that is refused: status and what it says.
fn refused(service: &Service, person: &Person, path: &str, body: &Value) -> (u16, String) {
    let answer = person.post(service, path, body);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    (answer.status, detail)
}

#[test]
fn a_key_makes_a_call_happen_once() {
    let service = service();
    let admin = Person::admin();
    let keyed = |key: &str| admin.and("Idempotency-Key", key);

    let body = json!({ "from": "2026-01-01T00:00:00Z" });
    let first = good(&keyed("b-1").post(&service, "/api/v1/backtests", &body));
    let again = good(&keyed("b-1").post(&service, "/api/v1/backtests", &body));
    assert_eq!((&first["id"], &again["id"]), (&json!(1), &json!(1)));
    let other = json!({ "from": "2026-01-02T00:00:00Z" });
    let (status, said) = refused(&service, &keyed("b-1"), "/api/v1/backtests", &other);
    assert!(status == 409 && said.contains("backtest 1"), "{said}");

    let lei = json!({ "name": "lei", "role": "operator" });
    good(&keyed("a-1").post(&service, "/api/v1/accounts", &lei));
    let (status, said) = refused(&service, &keyed("a-1"), "/api/v1/accounts", &lei);
    assert!(status == 409 && said.contains("done already"), "{said}");
    let ming = json!({ "name": "ming", "role": "operator" });
    let (status, said) = refused(&service, &keyed("a-1"), "/api/v1/accounts", &ming);
    assert!(status == 409 && said.contains("another call"), "{said}");
    let change = |key: &str| {
        let change = json!({ "display_name": "雷", "version": 1 });
        let answer = keyed(key).call(&service, "PATCH", "/api/v1/accounts/lei", &change);
        (answer.status, answer.json()["version"].clone())
    };
    assert_eq!(change("c-1"), (200, json!(2)));
    assert_eq!(change("c-1"), (200, json!(2)), "the first answer again");
    assert_eq!(change("c-2").0, 409);
    let password = "/api/v1/accounts/lei/password";
    good(&keyed("p-1").post(&service, password, &Value::Null));
    let (status, said) = refused(&service, &keyed("p-1"), password, &Value::Null);
    assert!(status == 409 && said.contains("done already"), "{said}");

    let siren = json!({ "name": "siren", "scopes": ["read"], "expires": "2027-12-01T00:00:00Z" });
    let made = good(&keyed("t-1").post(&service, "/api/v1/tokens", &siren));
    let (status, said) = refused(&service, &keyed("t-1"), "/api/v1/tokens", &siren);
    assert!(status == 409 && said.contains("done already"), "{said}");
    let path = format!("/api/v1/tokens/{}", made["id"]);
    let revoke = || good(&keyed("t-2").call(&service, "DELETE", &path, &Value::Null));
    assert_eq!(revoke(), revoke());
    // no secret is kept with the answers
    let ledger = std::fs::read(service.folder.path().join("data/ledger.sqlite-wal")).unwrap();
    let letters = made["token"].as_str().unwrap().as_bytes();
    assert!(!ledger.windows(letters.len()).any(|part| part == letters));
}

#[test]
fn a_key_that_is_none_is_refused() {
    let service = service();
    let post = |keys: &[&str]| {
        let mut headers = vec![("Authorization", format!("Bearer {TOKEN}"))];
        headers.extend(
            keys.iter()
                .map(|key| ("Idempotency-Key", (*key).to_owned())),
        );
        let call = ("POST", "/api/v1/alerts/1/acknowledge");
        let (status, _, body) = exchange(
            service.http,
            call,
            &headers,
            Some(("application/json", b"{}")),
        )
        .unwrap();
        (status, body)
    };
    for (keys, said) in [(&["one", "two"][..], "several"), (&[""], "is empty")] {
        let (status, body) = post(keys);
        assert!(status == 400 && body.contains(said), "{keys:?}: {body}");
    }
    assert_eq!(post(&["one"]).0, 404);
}

#[test]
fn a_list_is_no_body_of_an_act() {
    let service = service();
    service.send(&json!({ "sensor": "s-1", "measurement": "level", "value": 7 }));
    let acknowledge = "/api/v1/alerts/1/acknowledge";
    for body in [json!([]), json!(["a", 5]), json!("a"), json!(7)] {
        for path in [acknowledge, "/api/v1/bundle", "/api/v1/backtests"] {
            let (status, said) = refused(&service, &Person::admin(), path, &body);
            assert_eq!(status, 422, "{path} {body}: {said}");
            assert!(said.contains("a JSON object"), "{path} {body}: {said}");
        }
    }
    assert_eq!(service.get("/api/v1/alerts/1")["alert"]["handling"], "new");
    let (status, answer) = service.post(acknowledge, b" \n{\"note\":\"seen\"}");
    assert_eq!((status, &answer["note"]), (200, &json!("seen")));
}

#[test]
fn zones_and_plans_are_read_without_addresses() {
    let service = service();
    let zones = service.get("/api/v1/zones");
    assert_eq!(zones.as_array().unwrap().len(), 4);
    let cell = json!({
        "id": "cell-1", "name": { "zh": "一网格", "en": "一网格" }, "parent": "street-1", "polygon": [],
        "time_zone": "Asia/Shanghai", "sensors": 1,
    });
    assert_eq!(zones[0], cell);
    let plans = service.get("/api/v1/plans");
    let text = plans.to_string();
    assert!(
        !text.contains("secret-address") && !text.contains("138"),
        "{text}"
    );
    assert_eq!(
        plans["plans"][0],
        json!({ "id": "default", "hazard": null, "expires_seconds": 7200.0, "lift": null, "levels": [
            { "level": "orange", "tell": ["duty", "other"], "automatic": false },
            { "level": "red", "tell": ["duty", "other"], "automatic": true },
        ] })
    );
    assert_eq!(
        plans["departments"][0],
        json!({ "id": "duty", "name": { "zh": "值班", "en": "Duty" }, "zones": ["district"], "everywhere": false,
            "channels": ["webhook", "cap_mqtt"], "contacts": [{ "name": "李", "channels": ["sms"] }] })
    );

    let bound =
        json!({ "name": "bound", "scopes": ["read"], "hazards": ["flood"], "zones": ["street-1"] });
    let bound = Person::with_token(&token(&service, &bound));
    let zones = good(&bound.get(&service, "/api/v1/zones"));
    let ids: Vec<&Value> = zones.as_array().unwrap().iter().map(|z| &z["id"]).collect();
    assert_eq!(ids, ["cell-1", "street-1"]);
    assert!(zones[1].get("parent").is_none(), "{zones}");
    let plans = good(&bound.get(&service, "/api/v1/plans"));
    assert_eq!(plans["plans"].as_array().unwrap().len(), 1, "{plans}");
    assert_eq!(plans["plans"][0]["levels"][0]["tell"], json!(["duty"]));
    let departments = plans["departments"].as_array().unwrap();
    assert_eq!(departments.len(), 1, "the district's covers its streets");
    assert_eq!(departments[0]["zones"], json!([]));
}
