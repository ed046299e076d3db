//! Accounts, sessions and tokens of people and programs, from the printed password of the first start on.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;
mod tokens;

use serde_json::{Value, json};
use support::Service;
use support::people::{Person, account, entered, good, login, text, try_login};

const RULES: &str = "rules:
  - { id: gas.test, hazard: gas, measurement: methane, levels: { orange: value >= 25 } }
";
const SENSORS: &str = "sensor_id,zone,measurements\ng-1,street-1,methane\n";
const ZONES: &str = "zones:
  - { id: district, name: 区 }
  - { id: street-1, name: 一街道, parent: district }
";
const PASSWORD: &str = "守望者在此值守 2026";

fn service(more: &str) -> Service {
    let files = [
        ("rules/gas.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("zones.yaml", ZONES),
    ];
    let mut service = Service::new(&files, more);
    service.start();
    service
}

/// Name and password that the first start has printed.
fn printed(service: &Service) -> String {
    let printed = service.printed();
    let line = printed
        .lines()
        .find(|line| line.contains("account admin"))
        .expect("it is printed");
    line.rsplit(' ').next().unwrap().to_owned()
}

/// No secret stands in the log.
fn kept_secret(service: &Service, secrets: &[&str]) {
    let log = service.log();
    for secret in secrets {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

#[test]
fn the_printed_password_is_good_for_one_login_that_changes_it() {
    let mut service = service("");
    let once = printed(&service);
    let wrong = try_login(&service, "admin", "not the password");
    let nobody = try_login(&service, "nobody-of-that-name", "not the password");
    assert_eq!(
        (wrong.status, wrong.json()),
        (401, nobody.json()),
        "{wrong:?}"
    );
    let answer = try_login(&service, "ＡDMIN", &once);
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(answer.head.contains(attribute), "{}", answer.head);
    }
    let person = entered(&answer);
    let refused = person.get(&service, "/api/v1/alerts");
    assert_eq!(refused.status, 403);
    assert!(
        refused.body.contains("password-change-needed"),
        "{refused:?}"
    );
    assert_eq!(
        good(&person.get(&service, "/api/v1/session"))["must_change_password"],
        true
    );

    let change = |present: &str, new: &str| {
        let body = json!({ "present": present, "new": new });
        person.post(&service, "/api/v1/session/password", &body)
    };
    assert_eq!(change("wrong", PASSWORD).status, 401);
    for bad in ["short", "admin", &once] {
        assert_eq!(change(&once, bad).status, 422, "{bad}");
    }
    let changed = entered(&change(&once, PASSWORD));
    assert_eq!(
        person.get(&service, "/api/v1/session").status,
        401,
        "the old session has ended"
    );
    let me = good(&changed.get(&service, "/api/v1/session"));
    assert_eq!(
        (me["role"].as_str(), me["must_change_password"].as_bool()),
        (Some("admin"), Some(false))
    );
    assert!(
        me["rights"]
            .as_array()
            .unwrap()
            .contains(&json!("administer")),
        "{me}"
    );
    assert_eq!(try_login(&service, "admin", &once).status, 401);

    // accounts and sessions outlive the process; the password is printed no second time
    assert!(service.terminate().success());
    service.start();
    good(&changed.get(&service, "/api/v1/accounts"));
    login(&service, "admin", PASSWORD);
    assert_eq!(service.printed().matches("one-time password").count(), 1);
    service.kill();
    service.start();
    good(&changed.get(&service, "/api/v1/accounts"));
    kept_secret(&service, &[&once, PASSWORD, "not the password"]);
}

#[test]
fn a_writing_call_in_a_session_needs_what_only_its_page_knows() {
    let service = service("");
    let wish = json!({ "name": "王雷", "role": "admin" });
    let person = account(&service, &wish, PASSWORD);
    let create = |person: &Person, name: &str| {
        let wish = json!({ "name": name, "role": "viewer" });
        person.post(&service, "/api/v1/accounts", &wish).status
    };
    assert_eq!(create(&person, "a"), 201);
    assert_eq!(create(&person.without("X-CSRF-Token"), "b"), 403);
    assert_eq!(create(&person.and("X-CSRF-Token", "0123"), "b"), 403);
    assert_eq!(
        create(&person.and("Origin", "https://evil.example"), "b"),
        403
    );
    assert_eq!(
        create(&person.and("Sec-Fetch-Site", "cross-site"), "b"),
        403
    );
    let own = person
        .and("Origin", "http://127.0.0.1")
        .and("Sec-Fetch-Site", "same-origin");
    assert_eq!(create(&own, "b"), 201);
    // a wrong token is not made up for by a cookie
    assert_eq!(
        person
            .and("Authorization", "Bearer nobody-knows-this")
            .get(&service, "/api/v1/alerts")
            .status,
        401
    );
    let foreign = Person::nobody().and("Origin", "https://evil.example");
    let body = json!({ "name": "王雷", "password": PASSWORD });
    assert_eq!(foreign.post(&service, "/api/v1/session", &body).status, 403);

    let out = person.call(&service, "DELETE", "/api/v1/session", &Value::Null);
    assert_eq!(out.status, 204, "{out:?}");
    assert!(out.head.contains("Max-Age=0"), "{}", out.head);
    assert_eq!(person.get(&service, "/api/v1/session").status, 401);
    kept_secret(&service, &[PASSWORD]);
}

#[test]
fn who_guesses_waits_and_the_owner_does_not() {
    let mut service = service("");
    let replaced = std::fs::read_to_string(service.config()).unwrap();
    let trusting = replaced.replace("[http]\n", "[http]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    std::fs::write(service.config(), trusting).unwrap();
    assert!(service.terminate().success());
    service.start();
    let once = printed(&service);
    let from = |address: &str, password: &str| {
        let body = json!({ "name": "admin", "password": password });
        let person = Person::nobody().and("X-Forwarded-For", address);
        person.post(&service, "/api/v1/session", &body)
    };
    assert_eq!(
        from("10.0.0.1", &once).status,
        200,
        "the owner has been here before"
    );
    let locked = support::wait_for("the wait", || {
        let answer = from("203.0.113.9", "guess after guess");
        assert!([401, 429].contains(&answer.status), "{answer:?}");
        (answer.status == 429).then_some(answer)
    });
    assert!(
        locked.head.to_lowercase().contains("retry-after: "),
        "{}",
        locked.head
    );
    assert_eq!(
        from("198.51.100.1", &once).status,
        429,
        "the account waits everywhere else"
    );
    assert_eq!(
        from("10.0.0.1", &once).status,
        200,
        "and not where its owner sits"
    );
    support::wait_for("the end of the wait", || {
        (from("198.51.100.1", &once).status == 200).then_some(())
    });

    let (_, metrics) = support::get(service.http, "/metrics", None).unwrap();
    let counted = |reason: &str| {
        let line = format!("citywatch_http_refusals_total{{reason=\"{reason}\"}}");
        metrics.lines().any(|found| found.starts_with(&line))
    };
    assert!(counted("locked") && counted("wrong_password"), "{metrics}");
    let log = service.log();
    assert!(
        log.contains("\"reason\":\"locked\"") && log.contains("203.0.113.9"),
        "{log}"
    );
    kept_secret(&service, &[&once, "guess after guess"]);
}

#[test]
fn the_machine_itself_lets_an_admin_in_again() {
    let mut service = service("");
    let once = printed(&service);
    let config = service.config();
    let config = config.to_str().unwrap();
    let running = support::run(&["admin-password", "--config", config]);
    assert!(!running.status.success(), "{running:?}");
    assert!(service.terminate().success());
    let given = support::run(&["admin-password", "--config", config]);
    let said = String::from_utf8(given.stdout).unwrap();
    assert!(given.status.success(), "{said}");
    let line = said.lines().next().unwrap();
    let password = line.rsplit(' ').next().unwrap();
    service.start();
    assert_eq!(try_login(&service, "admin", &once).status, 401);
    assert_eq!(try_login(&service, "admin", password).status, 200);
    kept_secret(&service, &[&once, password]);
}

#[test]
fn a_session_ends_by_itself_and_with_every_change_of_the_account() {
    let service = service("[accounts]\nsession_idle = \"3s\"\nsession_longest = \"1h\"\n");
    let make = |name: &str| {
        account(
            &service,
            &json!({ "name": name, "role": "operator" }),
            PASSWORD,
        )
    };
    let alive = |person: &Person| person.get(&service, "/api/v1/session").status == 200;
    let change = |name: &str, change: &Value| {
        let path = format!("/api/v1/accounts/{name}");
        Person::admin().call(&service, "PATCH", &path, change)
    };
    for (name, what) in [
        ("one", json!({ "disabled": true })),
        ("two", json!({ "role": "viewer" })),
        ("three", json!({ "zones": ["street-1"] })),
    ] {
        let person = make(name);
        assert!(alive(&person), "{name}");
        good(&change(name, &what));
        assert!(!alive(&person), "{name}: {what}");
    }
    assert_eq!(
        try_login(&service, "one", PASSWORD).status,
        401,
        "it is disabled"
    );
    let four = make("four");
    let reset =
        good(&Person::admin().post(&service, "/api/v1/accounts/four/password", &Value::Null));
    assert!(!alive(&four));
    assert_eq!(try_login(&service, "four", PASSWORD).status, 401);
    assert_eq!(
        try_login(&service, "four", &text(&reset["password"])).status,
        200
    );

    let five = make("five");
    support::wait_for("use to keep it", || alive(&five).then_some(()));
    let before = std::time::Instant::now();
    let mut idle = std::time::Duration::from_millis(500);
    support::wait_for("the end of the session", || {
        // asking is using: each time a longer silence
        std::thread::sleep(idle);
        idle *= 2;
        (!alive(&five)).then_some(())
    });
    assert!(before.elapsed().as_secs() >= 3);

    let stale = change("two", &json!({ "version": 1, "disabled": true }));
    assert_eq!(stale.status, 409, "{stale:?}");
    kept_secret(&service, &[PASSWORD, &text(&reset["password"])]);
}

#[test]
fn bounds_are_checked_and_the_last_admin_stays() {
    let service = service("");
    let create = |wish: &Value| Person::admin().post(&service, "/api/v1/accounts", wish);
    for (wish, status) in [
        (json!({ "name": "x", "role": "boss" }), 422),
        (json!({ "name": "a b", "role": "viewer" }), 422),
        (json!({ "name": "citywatch", "role": "viewer" }), 422),
        (
            json!({ "name": "x", "role": "admin", "zones": ["street-1"] }),
            422,
        ),
        (
            json!({ "name": "x", "role": "viewer", "zones": ["strret-1"] }),
            422,
        ),
        (
            json!({ "name": "x", "role": "viewer", "hazards": ["gass"] }),
            422,
        ),
        (
            json!({ "name": "x", "role": "viewer", "hazards": ["gas"], "zones": ["district"] }),
            201,
        ),
        (json!({ "name": "X", "role": "viewer" }), 409),
    ] {
        let answer = create(&wish);
        assert_eq!(answer.status, status, "{wish}: {answer:?}");
    }
    let change =
        |what: &Value| Person::admin().call(&service, "PATCH", "/api/v1/accounts/admin", what);
    for what in [json!({ "disabled": true }), json!({ "role": "operator" })] {
        assert_eq!(change(&what).status, 409, "{what}");
    }
    assert_eq!(
        create(&json!({ "name": "second", "role": "admin" })).status,
        201
    );
    good(&change(&json!({ "disabled": true })));
    let acts = Person::admin().get(&service, "/api/v1/audit").json();
    let acts: Vec<&str> = acts
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|act| act["act"].as_str())
        .collect();
    assert_eq!(
        acts[..3],
        ["change account", "create account", "create account"],
        "{acts:?}"
    );
    assert!(
        !acts.is_empty()
            && !Person::admin()
                .get(&service, "/api/v1/audit")
                .body
                .contains("argon2")
    );
}
