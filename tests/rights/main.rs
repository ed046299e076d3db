//! Nobody sees, changes or guesses what lies outside his zones and hazards. Walks the API's own description: whoever
//! adds an address says in `kinds` how it answers to somebody who is bound, or the walk fails.

#![allow(clippy::unwrap_used)]

mod district;
mod kinds;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};

use district::{MARK, PASSWORD, World, number, world};
use kinds::Kind;
use serde_json::{Value, json};
use support::people::{Answer, Person, account, good, login, token};
use support::{Service, wait_for};

/// Every described method and address.
fn described(service: &Service) -> Vec<(String, String)> {
    let (_, text) = support::get(service.http, "/openapi.json", None).unwrap();
    let api: Value = serde_json::from_str(&text).unwrap();
    let paths = api["paths"].as_object().unwrap();
    let methods = ["get", "put", "post", "delete", "patch"];
    let operations = paths.iter().flat_map(|(path, item)| {
        let there = methods
            .into_iter()
            .filter(|method| item.get(*method).is_some());
        there.map(|method| (method.to_owned(), path.clone()))
    });
    operations.collect()
}

/// An address that leads to something, whatever stands in braces.
fn filled(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| if part.starts_with('{') { "1" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// What can be told from an answer, with what was asked for taken out.
fn told(answer: &Answer, asked: &str) -> (u16, String, String) {
    let plain = |text: &str| {
        let file = asked.rsplit('/').next().unwrap();
        let parameter = file.split(['=', '&']).nth(1).unwrap_or(file);
        text.replace(&format!("`{}`", parameter.trim_end_matches(".xml")), "ID")
    };
    let head = answer.head.lines().filter(|line| {
        let line = line.to_lowercase();
        !line.starts_with("date:") && !line.starts_with("content-length:")
    });
    (answer.status, head.collect(), plain(&answer.body))
}

#[test]
fn who_is_bound_sees_nothing_of_what_lies_outside() {
    let world = world();
    let service = &world.service;
    let by_token = Person::with_token("bound-token-01234567");
    let made = token(
        service,
        &json!({ "name": "bound", "scopes": ["read", "alerts:write"], "hazards": ["gas"], "zones": ["street-1"] }),
    );
    let made = Person::with_token(&made);
    for person in [&world.bound, &by_token, &made] {
        let get = |path: &str| person.get(service, path);
        for (method, path) in described(service) {
            match world.kind(&method, &path) {
                Kind::Own | Kind::Stream => {}
                Kind::Whole => {
                    let answer =
                        person.call(service, &method.to_uppercase(), &filled(&path), &json!({}));
                    assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
                    assert!(!answer.body.contains(MARK), "{answer:?}");
                }
                Kind::List => {
                    let answer = get(&path);
                    assert_eq!(answer.status, 200, "{path}: {answer:?}");
                    assert!(!answer.body.contains(MARK), "{path}: {answer:?}");
                    assert!(
                        Person::admin().get(service, &path).body.contains(MARK)
                            || path.ends_with("status"),
                        "{path}"
                    );
                }
                Kind::One(inside, outside, nothing) => {
                    let unknown = told(&get(&nothing), &nothing);
                    assert_eq!(unknown.0, 404, "{nothing}");
                    for path in &inside {
                        let answer = get(path);
                        assert_eq!(answer.status, 200, "{path}: {answer:?}");
                        assert!(!answer.body.contains(MARK), "{path}: {answer:?}");
                    }
                    for path in &outside {
                        assert_eq!(
                            Person::admin().get(service, path).status,
                            200,
                            "{path} is there"
                        );
                        assert_eq!(told(&get(path), path), unknown, "{path}");
                    }
                }
                Kind::Write(outside, nothing, body) => {
                    refused_alike(service, person, (&outside, &nothing), &body);
                }
            }
        }
    }
    nothing_was_changed(&world);
}

/// A writing call on what lies outside answers as on what there is not, whatever else it says.
fn refused_alike(
    service: &Service,
    person: &Person,
    (outside, nothing): (&[String], &str),
    body: &Value,
) {
    let id = |path: &str| path.split('/').nth(4).unwrap().to_owned();
    let mut stale = body.clone();
    let mut bodies = vec![body.clone(), json!({ "nonsense": 1 })];
    if stale.is_object() && !nothing.ends_with("answer") {
        stale["version"] = json!(77);
        bodies.push(stale);
    }
    for body in bodies {
        for key in [None, Some("the-same-key")] {
            let person = key.map_or(person.clone(), |key| person.and("Idempotency-Key", key));
            let ask = |path: &str| {
                let answer = person.post(service, path, &body);
                (
                    answer.status,
                    answer.body.replace(&format!("`{}`", id(path)), "ID"),
                )
            };
            let unknown = ask(nothing);
            for path in outside {
                let answer = ask(path);
                assert!([404, 422].contains(&answer.0), "{path} {body}: {answer:?}");
                assert_eq!(answer, unknown, "{path} {body}");
            }
        }
    }
}

fn nothing_was_changed(world: &World) {
    for alert in world.service.alerts("") {
        if alert.to_string().contains(MARK) {
            assert_eq!(
                (&alert["handling"], number(&alert["version"])),
                (&json!("new"), 2),
                "{alert}"
            );
        }
    }
}

#[test]
fn counting_and_filtering_find_only_what_lies_inside() {
    let world = world();
    let service = &world.service;
    let get = |path: &str| world.bound.get(service, path);
    for (index, list) in ["alerts", "warnings", "deliveries"].into_iter().enumerate() {
        let most = world.inside[index]
            .iter()
            .chain(&world.outside[index])
            .max()
            .unwrap()
            + 3;
        let found: BTreeSet<i64> = (0..most)
            .filter(|id| get(&format!("/api/v1/{list}/{id}")).status == 200)
            .collect();
        assert_eq!(found, world.inside[index], "{list}");

        // page by page
        let mut paged = BTreeSet::new();
        let mut cursor = String::new();
        loop {
            let page = good(&get(&format!("/api/v1/{list}?limit=1{cursor}")));
            let items = page["items"].as_array().unwrap();
            assert!(
                !items.is_empty() && paged.insert(number(&items[0]["id"])),
                "{page}"
            );
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(paged, world.inside[index], "{list}");
    }
    let outside = world.outside[0].first().unwrap();
    for query in [
        "alerts?zone=foreign-street".to_owned(),
        "alerts?hazard=flood".to_owned(),
        "alerts?subject=foreign-g".to_owned(),
        "alerts?rule=flood.foreign".to_owned(),
        "alerts?hazard=flood&shadow=true".to_owned(),
        format!("warnings?alert={outside}"),
        "warnings?hazard=flood&in_force=true".to_owned(),
        format!("deliveries?alert={outside}"),
        format!("deliveries?warning={}", world.outside[1].first().unwrap()),
        "deliveries?department=foreign-department".to_owned(),
    ] {
        let page = good(&get(&format!("/api/v1/{query}")));
        assert_eq!(page, json!({ "items": [] }), "{query}");
    }
    let district = good(&get("/api/v1/alerts?zone=district"));
    assert_eq!(
        district["items"].as_array().unwrap().len(),
        world.inside[0].len(),
        "{district}"
    );
    // a measurement that nobody inside sends, and a sensor's name in its place, tell nothing
    let named = |measurement: &str| {
        let answer = get(&format!(
            "/api/v1/readings?sensor=g-1&measurement={measurement}"
        ));
        (answer.status, answer.body.replace(measurement, "ID"))
    };
    assert_eq!(named("foreign-g"), named("nothing-of-that-name"));
    assert_eq!(named("foreign_depth").0, 404);

    let status = good(&get("/api/v1/status"));
    let keys: Vec<&String> = status.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "sensors",
            "summary",
            "unit_errors",
            "unjudged",
            "unwatched_sensors",
            "version"
        ],
        "what counts the whole is left out"
    );
    assert_eq!(status["sensors"], 2);
    let summary = &status["summary"];
    assert_eq!(summary["warnings"], world.inside[1].len());
    let alerts = summary["alerts"].as_array().unwrap();
    assert_eq!(
        (alerts.len(), number(&alerts[0]["total"])),
        (1, 2),
        "{summary}"
    );
    let deliveries = summary["deliveries"].as_array().unwrap();
    let deliveries: i64 = deliveries.iter().map(|count| number(&count["total"])).sum();
    assert_eq!(deliveries as usize, world.inside[2].len(), "{summary}");
}

#[test]
fn a_key_from_before_opens_nothing_that_lies_outside_now() {
    let world = world();
    let service = &world.service;
    let person = account(
        service,
        &json!({ "name": "mover", "role": "operator" }),
        PASSWORD,
    );
    let outside = world.outside[0].first().unwrap();
    let path = format!("/api/v1/alerts/{outside}/acknowledge");
    let body = json!({ "note": "mine" });
    let before = person
        .and("Idempotency-Key", "k-1")
        .post(service, &path, &body);
    good(&before);
    good(&Person::admin().call(
        service,
        "PATCH",
        "/api/v1/accounts/mover",
        &json!({ "zones": ["street-1"] }),
    ));
    let person = login(service, "mover", PASSWORD).and("Idempotency-Key", "k-1");
    let after = person.post(service, &path, &body);
    let nothing = person.post(service, "/api/v1/alerts/999999/acknowledge", &body);
    assert_eq!(after.status, 404, "{after:?}");
    assert_eq!(
        after.body.replace(&format!("`{outside}`"), "ID"),
        nothing.body.replace("`999999`", "ID")
    );
}

/// The lines of the event stream.
fn follow(service: &Service, cookie: &str) -> impl Iterator<Item = String> + use<> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", service.http)).unwrap();
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let request = format!(
        "GET /api/v1/events?after=0 HTTP/1.1\r\nHost: x\r\n{cookie}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    BufReader::new(stream).lines().map(Result::unwrap)
}

#[test]
fn the_event_stream_shows_what_lies_inside_and_ends_with_the_right() {
    let world = world();
    let service = &world.service;
    let made = token(
        service,
        &json!({ "name": "trigger", "scopes": ["events:read"], "hazards": ["gas"], "zones": ["street-1"] }),
    );
    let mut lines = follow(service, &format!("Authorization: Bearer {made}"));
    service.send(&json!([
        { "sensor": "foreign-g", "measurement": "methane", "value": 60 },
        { "sensor": "g-1", "measurement": "methane", "value": 60 },
    ]));
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        assert!(!line.contains(MARK), "{line}");
        assert!(
            !line.contains("version.added") && !line.contains("event: gap"),
            "{line}"
        );
        seen.push(line.clone());
        if line == "event: alert.changed" {
            break;
        }
    }
    let raised = seen
        .iter()
        .filter(|line| *line == "event: alert.raised")
        .count();
    let issued = seen
        .iter()
        .filter(|line| *line == "event: warning.issued")
        .count();
    assert_eq!((raised, issued), (2, 2), "{seen:?}");
    let tokens = Person::admin().get(service, "/api/v1/tokens").json();
    let path = format!("/api/v1/tokens/{}", tokens[0]["id"]);
    good(&Person::admin().call(service, "DELETE", &path, &Value::Null));
    // ends: the iterator does
    assert!(lines.all(|line| !line.contains(MARK)));
}

#[test]
fn roles_end_where_they_should() {
    let world = world();
    let service = &world.service;
    let viewer = account(
        service,
        &json!({ "name": "viewer", "role": "viewer" }),
        PASSWORD,
    );
    let device = Person::with_token("device-token-0123456");
    for (method, path) in described(service) {
        if path.starts_with("/api/v1/session") {
            continue;
        }
        let upper = method.to_uppercase();
        let ask = |person: &Person| person.call(service, &upper, &filled(&path), &json!({}));
        let nobody = ask(&Person::nobody());
        assert_eq!(nobody.status, 401, "{method} {path}: {nobody:?}");
        assert!(
            nobody.body.contains("urn:citywatch:problem:unauthorized"),
            "{nobody:?}"
        );
        if path != "/api/v1/readings" || method != "post" {
            let answer = ask(&device);
            assert_eq!(answer.status, 403, "device: {method} {path}: {answer:?}");
        }
        if method != "get" && path != "/api/v1/rules/check" {
            let answer = ask(&viewer);
            assert_eq!(answer.status, 403, "viewer: {method} {path}: {answer:?}");
        }
    }
    // what is inside works: the operator clicks, and a feed reader without bearer reads
    let inside = world.inside[1].first().unwrap();
    good(&world.bound.post(
        service,
        &format!("/api/v1/warnings/{inside}/lift"),
        &json!({}),
    ));
    let basic = Person::nobody().and(
        "Authorization",
        "Basic cmVhZGVyOmJvdW5kLXRva2VuLTAxMjM0NTY3",
    );
    assert_eq!(basic.get(service, "/feeds/cap.atom").status, 200);
    assert_eq!(basic.get(service, "/api/v1/alerts").status, 401);
    wait_for("the refusals in the log", || {
        service.log().contains("\"reason\":\"role\"").then_some(())
    });
}
