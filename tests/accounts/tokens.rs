//! Tokens of programs: over HTTP and at the embedded broker.

use serde_json::{Value, json};

use super::support::people::{Person, good, token};
use super::support::{self, Service, wait_for};
use super::{kept_secret, service};

#[test]
fn a_token_opens_what_its_scopes_say_until_it_ends() {
    let service = service("");
    let all = [
        ("readings:write", "POST", "/api/v1/readings"),
        ("read", "GET", "/api/v1/alerts"),
        ("feed:read", "GET", "/feeds/cap.atom"),
        ("alerts:write", "POST", "/api/v1/alerts/999/acknowledge"),
        ("admin", "GET", "/api/v1/tokens"),
    ];
    for (scope, ..) in all {
        let name = scope.replace(':', "-");
        let made = token(&service, &json!({ "name": name, "scopes": [scope] }));
        let program = Person::with_token(&made);
        for (of, method, path) in all {
            let status = program.call(&service, method, path, &json!({})).status;
            let open = scope == of || scope == "admin" || (scope, of) == ("read", "feed:read");
            assert_eq!(
                status != 403,
                open,
                "{scope}: {method} {path} answers {status}"
            );
        }
        kept_secret(&service, &[&made]);
    }
    let listed = Person::admin().get(&service, "/api/v1/tokens");
    assert!(
        listed.body.contains("cwt_") && !listed.body.contains("sha256"),
        "{listed:?}"
    );
    let of = |name: &str| {
        let tokens = listed.json();
        let found = tokens
            .as_array()
            .unwrap()
            .iter()
            .find(|token| token["name"] == name)
            .cloned();
        found.unwrap()["id"].as_i64().unwrap()
    };
    for (wish, status) in [
        (
            json!({ "name": "n", "scopes": [], "expires": "2027-01-01T00:00:00Z" }),
            422,
        ),
        (json!({ "name": "n", "scopes": ["read"] }), 422),
        (
            json!({ "name": "n", "scopes": ["read"], "expires": "2020-01-01T00:00:00Z" }),
            422,
        ),
        (
            json!({ "name": "n", "scopes": ["read"], "expires": "2099-01-01T00:00:00Z" }),
            422,
        ),
        (
            json!({ "name": "n", "scopes": ["readings:write"], "zones": ["street-1"], "expires": "2027-01-01T00:00:00Z" }),
            422,
        ),
        (
            json!({ "name": "test", "scopes": ["read"], "expires": "2027-01-01T00:00:00Z" }),
            409,
        ),
        (
            json!({ "name": "read", "scopes": ["read"], "expires": "2027-01-01T00:00:00Z" }),
            409,
        ),
    ] {
        let answer = Person::admin().post(&service, "/api/v1/tokens", &wish);
        assert_eq!(answer.status, status, "{wish}: {answer:?}");
    }
    let made = token(&service, &json!({ "name": "short", "scopes": ["read"] }));
    let path = format!("/api/v1/tokens/{}", of("read") + 4);
    good(&Person::admin().call(&service, "DELETE", &path, &Value::Null));
    let dead = Person::with_token(&made).get(&service, "/api/v1/alerts");
    assert_eq!(dead.status, 401, "{dead:?}");
    // no secret in a query, ever
    let query = format!("/feeds/cap.atom?token={made}");
    assert_eq!(Person::nobody().get(&service, &query).status, 401);
    kept_secret(&service, &[&made]);
}

/// Whether a program that shows `password` as `name` at the embedded broker is let in and gets all of five readings
/// acknowledged.
fn publishes(service: &Service, name: &str, password: &str) -> bool {
    let url = format!("mqtt://{name}:{password}@127.0.0.1:{}", service.mqtt);
    let load = "simulate --sensors 1 --rate 5 --seconds 1 --connections 1 --broker";
    let load: Vec<&str> = load.split(' ').chain([url.as_str()]).collect();
    support::run(&load).status.success()
}

#[test]
fn a_token_publishes_at_the_broker_under_its_own_name_until_it_is_revoked() {
    let service = service("");
    let made = |name: &str, scope: &str| {
        let made = token(&service, &json!({ "name": name, "scopes": [scope] }));
        let listed = Person::admin().get(&service, "/api/v1/tokens").json();
        let mut listed = listed.as_array().unwrap().iter();
        let id = listed.find(|token| token["name"] == name).unwrap()["id"].clone();
        (made, id)
    };
    let (gateway, id) = made("gateway", "readings:write");
    let (screen, _) = made("screen", "read");
    assert!(publishes(&service, "gateway", &gateway));
    wait_for("the readings", || {
        let sensor = Person::admin().get(&service, "/api/v1/sensors/sim-00000");
        (sensor.status == 200).then_some(())
    });
    assert!(!publishes(&service, "gateway", &screen));
    let path = format!("/api/v1/tokens/{id}");
    good(&Person::admin().call(&service, "DELETE", &path, &Value::Null));
    assert!(!publishes(&service, "gateway", &gateway));
    kept_secret(&service, &[&gateway, &screen]);
}
