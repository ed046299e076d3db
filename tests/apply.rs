//! `citywatch export`, `diff` and `apply`: a folder of files and what is in force, with the service and without it.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::json;
use support::Service;

const RULES: &str = "# 水位 of the district
rules:
  - id: water.high
    measurement: depth
    levels:
      red: value >= 3
";

const SENSORS: &str = "sensor_id,name,measurements\nw-1,二号,depth\n";

fn service() -> Service {
    let mut service = Service::new(&[("rules/r.yaml", RULES), ("sensors.csv", SENSORS)], "");
    service.start();
    service
}

fn command(service: &Service, words: &[&str]) -> Output {
    let config = service.config();
    let mut arguments = words.to_vec();
    arguments.extend(["--config", config.to_str().unwrap()]);
    support::run(&arguments)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_folder_is_applied_compared_and_written_back() {
    let mut service = service();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap().to_owned();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let exported = command(&service, &["export", &dir]);
    assert!(exported.status.success(), "{}", told(&exported));
    assert_eq!(read(&folder.path().join("rules/r.yaml")), RULES);
    assert_eq!(read(&folder.path().join("sensors.csv")), SENSORS);
    let same = command(&service, &["diff", &dir]);
    assert!(
        same.status.success() && told(&same).contains("nothing differs"),
        "{}",
        told(&same)
    );

    write(
        "rules/r.yaml",
        &RULES.replace("red: value >= 3", "red: value >= 4"),
    );
    write("sensors.csv", &SENSORS.replace("二号", "三号"));
    let differs = command(&service, &["diff", &dir]);
    let lines = told(&differs);
    assert_eq!(differs.status.code(), Some(1), "{lines}");
    for part in [
        "+      red: value >= 4",
        "0 added, 1 changed, 0 removed",
        "changed w-1: name \"二号\" -> \"三号\"",
        "rule water.high changed: version 2",
    ] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    let asked = command(&service, &["apply", &dir]);
    assert!(
        asked.status.code() == Some(1) && told(&asked).contains("--yes"),
        "{}",
        told(&asked)
    );
    let applied = command(&service, &["apply", &dir, "--yes", "--reason", "order 9"]);
    assert!(
        told(&applied).contains("version 2 is in force"),
        "{}",
        told(&applied)
    );
    assert_eq!(
        service.get("/api/v1/versions/2")["version"]["reason"],
        "order 9"
    );
    assert_eq!(service.get("/api/v1/sensors/w-1")["sensor"]["name"], "三号");
    write("rules/r.yaml", "rules: 7\n");
    let kept = command(&service, &["export", &dir]);
    assert!(
        kept.status.code() == Some(1) && told(&kept).contains("--force"),
        "{}",
        told(&kept)
    );
    assert_eq!(read(&folder.path().join("rules/r.yaml")), "rules: 7\n");
    let broken = command(&service, &["apply", &dir, "--yes"]);
    assert!(
        broken.status.code() == Some(1) && told(&broken).contains("must be a list"),
        "{}",
        told(&broken)
    );

    // without a service the ledger takes it, and the next start puts it in force
    assert!(service.terminate().success());
    write("rules/r.yaml", RULES);
    let written = command(&service, &["apply", &dir, "--yes"]);
    assert!(
        told(&written).contains("version 3 is written"),
        "{}",
        told(&written)
    );
    service.start();
    let status = service.get("/api/v1/status");
    assert_eq!(
        (
            &status["version"],
            service.get("/api/v1/versions/3")["version"]["position"].is_u64()
        ),
        (&json!(3), true)
    );
    service.send(&json!({ "sensor": "w-1", "measurement": "depth", "value": 3.5 }));
    assert_eq!(service.alerts("state=active").len(), 1);
}

#[test]
fn a_derived_series_that_changes_is_a_new_version_of_the_rules_that_read_it() {
    let rules = "derive:
  - { id: water.twice, measurement: twice, value: depth * 2 }
  - { id: water.thrice, measurement: thrice, value: twice + depth }
rules:
  - { id: a.plain, measurement: depth, levels: { red: value >= 3 } }
  - { id: b.thrice, measurement: thrice, levels: { red: value >= 9 } }
";
    let mut service = Service::new(&[("rules/r.yaml", rules)], "");
    service.start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules/r.yaml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, rules.replace("depth * 2", "depth * 2.5")).unwrap();
    let differs = command(&service, &["diff", folder.path().to_str().unwrap()]);
    let lines = told(&differs);
    assert!(
        lines.contains("rule b.thrice changed: version 2"),
        "{lines}"
    );
    assert!(!lines.contains("rule a.plain"), "{lines}");
}

#[test]
fn half_a_configuration_is_not_put_in_force() {
    let mut service = Service::new(&[("rules/r.yaml", RULES), ("sensors.csv", SENSORS)], "");
    let whole = std::fs::read_to_string(service.config()).unwrap();
    let half = whole.split("[bundle]").next().unwrap();
    std::fs::write(service.config(), half).unwrap();
    service.begin();
    support::wait_for("the service", || service.is_ready().then_some(()));
    support::wait_for("the complaint", || {
        let log = service.log();
        log.contains("there are no rules in force").then_some(())
    });
    assert!(service.terminate().success());
    std::fs::write(service.config(), &whole).unwrap();
    service.start();
    let status = service.get("/api/v1/status");
    assert_eq!(
        (&status["version"], &status["rules"]),
        (&json!(1), &json!(1))
    );
    service.send(&json!({ "sensor": "w-1", "measurement": "depth", "value": 3.5 }));
    assert_eq!(service.alerts("").len(), 1);
    assert!(service.terminate().success());

    // and the switch does not take all rules away
    std::fs::write(service.config(), half).unwrap();
    let refused = command(&service, &["run", "--apply-bundle"]);
    let lines = told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{lines}");
    assert!(lines.contains("would take away all 1"), "{lines}");
}
