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
    assert!(
        lines.contains("warning: ") && lines.contains("no plans, so nobody is told"),
        "{lines}"
    );
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
        told(&written).contains("version 3 is written to the ledger "),
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

#[test]
fn what_holds_secrets_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;

    let plans = "departments: [{ id: water, channels: [{ kind: cap_mqtt }] }]
plans: [{ id: default, levels: { blue: { tell: [water] } } }]
";
    let mut service = Service::new(&[("rules/r.yaml", RULES), ("plans.yaml", plans)], "");
    service.start();
    let copy = tempfile::tempdir().unwrap();
    let exported = command(&service, &["export", copy.path().to_str().unwrap()]);
    assert!(exported.status.success(), "{}", told(&exported));
    let data = service.folder.path().join("data");
    for (path, mode) in [
        (data.clone(), 0o700),
        (data.join("ledger.sqlite"), 0o600),
        (data.join("ledger.sqlite-wal"), 0o600),
        (copy.path().join("plans.yaml"), 0o600),
    ] {
        let found = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
}

/// A running service whose configuration names two folders of rules, and no name of a part but plans.
fn service_with_packs() -> Service {
    let pack = RULES.replace("water.high", "pack.high");
    let files = [
        ("packs/r.yaml", pack.as_str()),
        ("rules/r.yaml", RULES),
        ("devices.csv", SENSORS),
    ];
    let mut service = Service::new(&files, "");
    let config = std::fs::read_to_string(service.config()).unwrap();
    let names = "sensors = \"devices.csv\"\nrules = [\"packs\", \"rules\"]";
    let config = config.replace("rules = [\"rules\"]", names);
    std::fs::write(service.config(), config).unwrap();
    service.start();
    service
}

fn plain(words: &[&str]) -> Output {
    let mut command = support::citywatch(words);
    command.env_remove("CITYWATCH_CONFIG");
    command.output().unwrap()
}

#[test]
fn a_folder_is_read_as_run_reads_it() {
    let service = service_with_packs();
    let dir = service.folder.path().to_str().unwrap();
    for same in [plain(&["diff", dir]), command(&service, &["diff", dir])] {
        assert!(told(&same).contains("nothing differs"), "{}", told(&same));
    }
    let pack = service.folder.path().join("packs/r.yaml");
    let old = std::fs::read_to_string(&pack).unwrap();
    std::fs::write(&pack, old.replace(">= 3", ">= 4")).unwrap();
    let differs = told(&plain(&["diff", dir]));
    assert!(
        differs.contains("rules: 0 added, 1 changed, 0 removed"),
        "{differs}"
    );
    // and is written back to where it stands
    let written = plain(&["export", dir, "--force"]);
    assert!(written.status.success(), "{}", told(&written));
    assert_eq!(std::fs::read_to_string(&pack).unwrap(), old);
    assert!(!service.folder.path().join("sensors.csv").exists());
    assert!(told(&plain(&["diff", dir])).contains("nothing differs"));
}

#[test]
fn half_a_copy_does_not_take_all_rules_away() {
    let mut service = service();
    let copy = tempfile::tempdir().unwrap();
    std::fs::write(copy.path().join("sensors.csv"), SENSORS).unwrap();
    let dir = copy.path().to_str().unwrap();
    for running in [true, false] {
        if !running {
            assert!(service.terminate().success());
        }
        let refused = command(&service, &["apply", dir, "--yes"]);
        let lines = told(&refused);
        assert_eq!(refused.status.code(), Some(1), "{lines}");
        assert!(
            lines.contains("rules: 0 added, 0 changed, 1 removed")
                && lines.contains("has no rule, and would take away all 1"),
            "{lines}"
        );
    }
}

#[test]
fn a_copied_folder_gets_no_ledger_of_its_own_while_a_service_answers() {
    let mut service = service();
    let copy = tempfile::tempdir().unwrap();
    let path = |name: &str| copy.path().join(name);
    std::fs::create_dir(path("rules")).unwrap();
    std::fs::write(path("rules/r.yaml"), RULES.replace(">= 3", ">= 4")).unwrap();
    std::fs::write(path("sensors.csv"), SENSORS).unwrap();
    let whole = std::fs::read_to_string(service.config()).unwrap();
    let (without_tokens, _) = whole.split_once("[[tokens]]").unwrap();
    std::fs::write(path("citywatch.toml"), without_tokens).unwrap();
    let dir = copy.path().to_str().unwrap();

    let refused = plain(&["apply", dir, "--yes"]);
    let lines = told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{lines}");
    let answering = format!("a service answers at http://127.0.0.1:{}", service.http);
    for part in [answering.as_str(), "--token", "--url"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert!(!path("data").exists(), "nothing is made");
    let applied = plain(&["apply", dir, "--yes", "--token", support::TOKEN]);
    assert!(
        told(&applied).contains("version 2 is in force"),
        "{}",
        told(&applied)
    );
    assert!(service.terminate().success());
    let written = told(&plain(&["apply", dir, "--yes"]));
    let ledger = path("data").join("ledger.sqlite");
    assert!(
        written.contains(&format!(
            "version 1 is written to the ledger {}",
            ledger.display()
        )),
        "{written}"
    );
}
