//! Departments and plans: every mistake is named, and the right people are found.

use citywatch_alerting::directory::{load_directory, read_directory};
use citywatch_model::{Level, Name, name};

fn problems(yaml: &str) -> String {
    let problems = read_directory("plans.yaml", yaml).unwrap_err();
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn all_mistakes_are_reported_at_once() {
    insta::assert_snapshot!(problems(
        "
departments:
  - id: fire
    nmae: 消防
    channels:
      - { kind: webhok, url: 'http://127.0.0.1/' }
      - { kind: webhook, url: 'ftp://127.0.0.1/' }
      - { kind: webhook, url: 'http://127.0.0.1/', secret: whsec_short }
      - { kind: webhook, topic: a/b }
      - { kind: cap_mqtt, topic: 'a/{hazrd}/#' }
  - id: fire
    contacts: [{ phone: '119' }, { name: a }, { name: a }]
  - name: nobody
    zones: east
  - just a text
plans:
  - id: flood
    hazard: flood
    expires: 5 weeks
    lift: sometimes
    levels:
      orange: { tell: [fier, 7], channels: [fax], automatic: perhaps }
      violet: { tell: [fire] }
  - id: flood
    levels: { red: { tell: [fire] } }
  - id: other
    hazard: flood
extra: 1
"
    ));
}

#[test]
fn a_broken_file_is_one_problem() {
    insta::assert_snapshot!(
        [
            problems("departments: [\n"),
            problems("[]"),
            problems("a: 1\na: 2\n")
        ]
        .join("\n")
    );
    let missing = load_directory(std::path::Path::new("/nowhere/plans.yaml")).unwrap_err();
    insta::assert_snapshot!(missing[0], @"/nowhere/plans.yaml: cannot be read: No such file or directory (os error 2); name an existing YAML file in UTF-8");
}

const DISTRICT: &str = "
departments:
  - id: a
    channels: [{ kind: webhook, url: 'http://127.0.0.1/a' }, { kind: cap_mqtt, topic: t/a }]
  - id: b
    zones: [east]
    channels: [{ kind: webhook, url: 'http://127.0.0.1/b' }]
    contacts: [{ name: x, channels: [{ kind: webhook, url: 'http://127.0.0.1/x' }] }]
  - id: c
    zones: [west]
    channels: [{ kind: webhook, url: 'http://127.0.0.1/c' }]
plans:
  - id: flood
    hazard: flood
    levels:
      yellow: { tell: [a] }
      orange: { tell: [b], channels: [webhook], automatic: true }
      red: { tell: [c], inherit: false }
  - id: named
    levels: { blue: { tell: [a, b, c] } }
  - id: default
    levels: { red: { tell: [c] } }
";

#[test]
fn worse_levels_include_milder_ones() {
    let directory = read_directory("plans.yaml", DISTRICT).unwrap();
    let east = [name("cell"), name("street"), name("east")];
    let told = |plan: &str, level: Level, zones: &[Name]| {
        let plan = &directory.plans[&name(plan)];
        let Some(level) = plan.levels.get(&level) else {
            return "nobody".to_owned();
        };
        let routes = directory.routes(&level.tell, level.channels.as_deref(), zones);
        let shown = routes.iter().map(|route| {
            format!(
                "{}{}:{}",
                route.recipient.department,
                route.recipient.contact,
                route.endpoint.kind()
            )
        });
        format!(
            "{} {}",
            if level.automatic { "auto" } else { "click" },
            shown.collect::<Vec<_>>().join(" ")
        )
    };
    for (plan, level, zones, wanted) in [
        ("flood", Level::Blue, &east[..], "nobody"),
        (
            "flood",
            Level::Yellow,
            &east[..],
            "click a:webhook a:cap_mqtt",
        ),
        (
            "flood",
            Level::Orange,
            &east[..],
            "auto a:webhook b:webhook bx:webhook",
        ),
        ("flood", Level::Orange, &[name("west")], "auto a:webhook"),
        ("flood", Level::Red, &[name("west")], "click c:webhook"),
        ("flood", Level::Red, &east[..], "click "),
        (
            "named",
            Level::Red,
            &[],
            "click a:webhook a:cap_mqtt b:webhook bx:webhook c:webhook",
        ),
    ] {
        assert_eq!(told(plan, level, zones), wanted, "{plan} {level} {zones:?}");
    }
}

#[test]
fn a_rule_names_its_plan_or_the_hazard_does() {
    let directory = read_directory("plans.yaml", DISTRICT).unwrap();
    for (named, hazard, wanted) in [
        (None, "flood", "flood"),
        (None, "gas", "default"),
        (None, "", "default"),
        (Some("named"), "flood", "named"),
        (Some("gone"), "flood", "flood"),
    ] {
        let plan = directory.plan_for(named.map(name), name(hazard)).unwrap();
        assert_eq!(plan.id, wanted, "{named:?} {hazard}");
    }
    assert!(
        read_directory("plans.yaml", "departments: []")
            .unwrap()
            .plan_for(None, name("gas"))
            .is_none()
    );
}
