//! A data folder of which a half is lost: the start is refused and says how to go on, and nothing is warned of twice.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Service, wait_for};

const RULES: &str = "
rules:
  - { id: t.high, hazard: flood, measurement: level, levels: { red: value >= 5 } }
";

/// The port is that of nobody: deliveries are made and stay queued.
const PLANS: &str = "
departments:
  - id: hq
    name: { zh: 总部, en: HQ }
    channels: [ { kind: webhook, url: \"http://127.0.0.1:9/\" } ]
plans:
  - id: default
    levels: { red: { tell: [ hq ], automatic: true } }
";

fn service() -> Service {
    let mut service = Service::new(&[("rules/t.yaml", RULES), ("plans.yaml", PLANS)], "");
    service.start();
    service
}

fn send(service: &Service, sensor: &str, value: f64) {
    service.send(&json!({ "sensor": sensor, "measurement": "level", "value": value }));
}

/// What the start says that is refused.
fn refused(service: &Service, more: &[&str]) -> String {
    let mut command: Command = support::citywatch(&["run", "--config"]);
    let output = command.arg(service.config()).args(more).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

fn acts(service: &Service, act: &str) -> Vec<Value> {
    let audit = service.get("/api/v1/audit?limit=1000");
    let acts = audit.as_array().unwrap().iter();
    acts.filter(|found| found["act"] == act).cloned().collect()
}

fn warned(service: &Service) -> usize {
    let warnings = service.get("/api/v1/warnings");
    warnings["items"].as_array().unwrap().len()
}

#[test]
fn a_journal_that_is_lost_is_told_and_what_comes_is_judged() {
    let mut service = service();
    send(&service, "s-1", 7.0);
    assert_eq!(service.alerts("").len(), 1);
    assert!(service.terminate().success());
    let data = service.folder.path().join("data");
    std::fs::rename(data.join("journal"), data.join("away")).unwrap();

    for switch in [&[][..], &["--ledger-lost"]] {
        let told = refused(&service, switch);
        assert!(told.contains("ends at 0"), "{told}");
        assert!(told.contains("--journal-lost"), "{told}");
    }
    // the way back
    std::fs::remove_dir_all(data.join("journal")).unwrap();
    std::fs::rename(data.join("away"), data.join("journal")).unwrap();
    service.start();
    assert!(service.terminate().success());

    std::fs::remove_dir_all(data.join("journal")).unwrap();
    service.start_with(&["--journal-lost"]);
    let log = service.log();
    assert!(log.contains("the journal is lost"), "{log}");
    let act = acts(&service, "journal lost").pop().unwrap();
    assert!(act["detail"]["ledger"].as_u64() > act["detail"]["journal"].as_u64());
    let kept = service.alerts("");
    assert_eq!(kept.len(), 1, "the ledger keeps its alerts");
    // nothing judges it any more, and that is no all-clear
    assert_eq!(kept[0]["condition"], "unwatched");
    assert_eq!(kept[0]["needs_attention"], true);
    send(&service, "s-1", 1.0);
    assert_eq!(service.alerts("")[0]["condition"], "unwatched");
    send(&service, "s-1", 8.0);
    assert_eq!(service.alerts("")[0]["condition"], "active");
    send(&service, "s-2", 7.0);
    assert_eq!(service.alerts("").len(), 2);
    assert!(service.terminate().success());
    service.start();
    send(&service, "s-3", 7.0);
    assert_eq!(service.alerts("").len(), 3);
    assert_eq!(warned(&service), 3);
    assert!(service.terminate().success());
}

#[test]
fn a_journal_of_an_older_backup_brings_nothing_back_and_hides_nothing() {
    let mut service = service();
    send(&service, "s-1", 7.0);
    assert!(service.terminate().success());
    let data = service.folder.path().join("data");
    copy(&data.join("journal"), &data.join("backup"));
    service.start();
    send(&service, "s-1", 1.0);
    assert_eq!(service.alerts("state=recovered").len(), 1);
    assert!(service.terminate().success());
    std::fs::remove_dir_all(data.join("journal")).unwrap();
    std::fs::rename(data.join("backup"), data.join("journal")).unwrap();

    let told = refused(&service, &[]);
    assert!(told.contains("an older backup"), "{told}");
    service.start_with(&["--journal-lost"]);
    assert!(service.log().contains("was set aside"), "{}", service.log());
    service.judged();
    assert_eq!(service.alerts("state=recovered").len(), 1);
    send(&service, "s-1", 8.0);
    assert_eq!(service.alerts("state=active").len(), 1);
    assert!(service.terminate().success());
}

#[test]
fn a_ledger_of_an_older_backup_is_told_and_nothing_is_warned_of_twice() {
    let mut service = service();
    send(&service, "s-1", 1.0);
    assert!(service.terminate().success());
    let data = service.folder.path().join("data");
    copy(&data, &data.join("../backup"));
    service.start();
    send(&service, "s-1", 7.0);
    assert_eq!(warned(&service), 1);
    assert!(service.terminate().success());
    remove_ledger(&data);
    for end in ["", "-wal", "-shm"] {
        let file = format!("ledger.sqlite{end}");
        let backup = data.join("../backup").join(&file);
        assert!(std::fs::rename(backup, data.join(file)).is_ok() || !end.is_empty());
    }
    let links = std::fs::read(data.join("links.key")).unwrap();

    for switch in [&[][..], &["--journal-lost"]] {
        let told = refused(&service, switch);
        assert!(told.contains("an older backup"), "{told}");
        assert!(told.contains("--ledger-lost"), "{told}");
    }
    service.start_with(&["--ledger-lost"]);
    service.judged();
    assert_eq!(service.alerts("state=active").len(), 1);
    assert_eq!(warned(&service), 0);
    assert_ne!(std::fs::read(data.join("links.key")).unwrap(), links);
    send(&service, "s-2", 7.0);
    assert_eq!(warned(&service), 1);
    assert!(service.terminate().success());
    service.start();
    assert!(service.terminate().success());
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

fn remove_ledger(data: &Path) {
    for end in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(
            data.join(format!("ledger.sqlite{end}")),
        ));
    }
}

#[test]
fn a_ledger_that_is_lost_is_told_and_nothing_old_is_warned_of() {
    let mut service = service();
    send(&service, "s-1", 7.0);
    send(&service, "s-2", 7.0);
    send(&service, "s-2", 1.0);
    wait_for("the warnings", || (warned(&service) >= 2).then_some(()));
    assert!(service.terminate().success());
    let data = service.folder.path().join("data");
    remove_ledger(&data);
    let links = std::fs::read(data.join("links.key")).unwrap();

    for switch in [&[][..], &["--journal-lost"]] {
        let told = refused(&service, switch);
        assert!(told.contains("there is no ledger in"), "{told}");
        assert!(told.contains("--ledger-lost"), "{told}");
        assert!(!data.join("ledger.sqlite").exists());
    }
    service.start_with(&["--ledger-lost"]);
    let log = service.log();
    assert!(log.contains("the ledger is lost"), "{log}");
    service.judged();
    let active = service.alerts("state=active");
    assert_eq!(active.len(), 1, "what holds is shown");
    assert_eq!(active[0]["subject"], "s-1");
    assert_eq!(service.alerts("").len(), 2);
    assert_eq!(warned(&service), 0);
    assert_eq!(acts(&service, "ledger lost").len(), 1);
    assert_ne!(std::fs::read(data.join("links.key")).unwrap(), links);
    // killed, so that the rest is read from the journal once more
    send(&service, "s-3", 7.0);
    assert_eq!(warned(&service), 1, "what comes now is warned of");
    service.kill();
    service.start();
    send(&service, "s-2", 7.0);
    assert_eq!(warned(&service), 2);
    assert_eq!(acts(&service, "ledger lost").len(), 1);
    assert!(service.terminate().success());
    // a journal that is lost later begins at 1 again: that is not what nobody is warned of
    std::fs::remove_dir_all(data.join("journal")).unwrap();
    service.start_with(&["--journal-lost"]);
    send(&service, "s-4", 7.0);
    assert_eq!(warned(&service), 3);
    assert!(service.terminate().success());
}

#[test]
fn a_first_start_that_is_killed_is_not_taken_for_a_loss() {
    let mut service = Service::new(&[("rules/t.yaml", RULES), ("plans.yaml", PLANS)], "");
    service.start();
    send(&service, "s-1", 7.0);
    service.kill();
    service.start();
    assert_eq!(service.alerts("").len(), 1);
    assert!(service.terminate().success());
}

#[test]
fn a_damaged_ledger_is_told_with_its_path_and_the_way_out() {
    let mut service = service();
    assert!(service.terminate().success());
    let path = service.folder.path().join("data/ledger.sqlite");
    std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
    // pages that stand there would mend it
    for end in ["-wal", "-shm"] {
        drop(std::fs::remove_file(
            path.with_extension(format!("sqlite{end}")),
        ));
    }
    let told = refused(&service, &[]);
    assert!(told.contains(path.to_str().unwrap()), "{told}");
    assert!(told.contains("the file is damaged"), "{told}");
    assert!(told.contains("--ledger-lost"), "{told}");
}
