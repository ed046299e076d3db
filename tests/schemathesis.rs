//! Calls made up from the API's own description: no call may fail inside, and every answer is one that the description
//! gives. As an admin, and as an operator who is bound to a zone.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::json;
use support::Service;

const RULES: &str = "rules:
  - { id: gas.test, hazard: gas, measurement: methane, levels: { orange: value >= 25 } }
";
const SENSORS: &str = "sensor_id,zone,measurements\ng-1,street-1,methane\ng-2,street-2,methane\n";
const ZONES: &str = "zones:
  - { id: street-1, name: 一街道 }
  - { id: street-2, name: 二街道 }
";
const PLANS: &str = "departments:
  - { id: duty, name: 值班, channels: [{ kind: webhook, url: 'http://127.0.0.1:9/' }] }
plans:
  - { id: default, levels: { orange: { tell: [duty] } } }
";
const BOUND: &str = "bound-token-01234567";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn nothing_made_up_from_the_description_breaks_the_service() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/schemathesis");
    assert!(
        program.exists(),
        "`make venv` installs {}",
        program.display()
    );
    let files = [
        ("rules/gas.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("zones.yaml", ZONES),
        ("plans.yaml", PLANS),
    ];
    let bound = format!(
        "[[tokens]]\nname = \"bound\"\nrole = \"operator\"\ntoken = \"{BOUND}\"\nzones = [\"street-1\"]\n"
    );
    let mut service = Service::new(&files, &bound);
    service.start();
    let reading = |sensor: &str| json!({ "sensor": sensor, "measurement": "methane", "value": 30 });
    service.send(&json!([reading("g-1"), reading("g-2")]));
    for (token, examples) in [(BOUND, "8"), (support::TOKEN, "8")] {
        let output = Command::new(&program)
            .current_dir(service.folder.path())
            .args([
                "run",
                &format!("http://127.0.0.1:{}/openapi.json", service.http),
            ])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"])
            // the stream of events never ends; it has tests of its own
            .args(["--exclude-path", "/api/v1/events"])
            .args([
                "--seed",
                "20261122",
                "--max-examples",
                examples,
                "--no-shrink",
            ])
            .args([
                "--request-timeout",
                "20",
                "--continue-on-failure",
                "--no-color",
            ])
            .args([
                "--warnings",
                "off",
                "--generation-with-security-parameters",
                "false",
            ])
            .env(
                "HYPOTHESIS_STORAGE_DIRECTORY",
                service.folder.path().join("hypothesis"),
            )
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(service.is_ready(), "it still serves");
    let log = service.log();
    assert!(
        !log.contains("a request failed inside") && !log.contains("panicked"),
        "{log}"
    );
}
