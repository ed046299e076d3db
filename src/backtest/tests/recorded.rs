//! Reports on recorded series, as they are shown and as JSON.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use citywatch_ingest::recorded;
use citywatch_model::Duration;
use jiff::tz::TimeZone;

use crate::backtest::{Labels, Plans, Report, Task, labels, run};
use crate::bundle::{self, Bundle};
use crate::config;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The demo district with these packs.
fn district(packs: &[&str]) -> Bundle {
    let paths = config::Bundle {
        sensors: Some(root("deploy/demo/sensors.csv")),
        zones: Some(root("deploy/demo/zones.yaml")),
        plans: Some(root("deploy/demo/plans.yaml")),
        rules: packs
            .iter()
            .map(|pack| root("rules/packs").join(pack))
            .collect(),
    };
    bundle::read(&paths).unwrap()
}

fn replay(task: &Task<'_>, data: &str) -> Report {
    let source = recorded::open(&[root(data)], recorded::Options::default()).unwrap();
    let source = source.map(Ok::<_, String>);
    run(task, source, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn task(bundle: &Bundle) -> Task<'_> {
    Task {
        rules: Arc::new(bundle.rules.clone()),
        registry: &bundle.registry,
        against: None,
        labels: None,
        plans: Some(Plans {
            directory: &bundle.directory,
            zones: &bundle.zones,
        }),
        timezone: TimeZone::get("Asia/Shanghai").unwrap(),
        positions: 1,
        workers: 1,
        epoch: 8_192,
    }
}

#[test]
fn a_flood_and_a_pack_that_rises_sooner() {
    let bundle = district(&["flood.yaml"]);
    let text = std::fs::read_to_string(root("rules/packs/flood.yaml")).unwrap();
    // what would be replaced: blue from half a metre an hour, and alerts that end after two quiet hours
    let in_force = text
        .replace("rise(60m) >= 0.3 ", "rise(60m) >= 0.5 ")
        .replace("rise(60m) < 0.15 for 6h", "rise(60m) < 0.15 for 2h");
    let task = Task {
        against: Some(super::compile(&in_force)),
        positions: 2,
        ..task(&bundle)
    };
    let report = replay(
        &task,
        "deploy/demo/data/flood_usgs_harvey_2017/readings.csv.gz",
    );
    let difference = report.difference.as_ref().unwrap();
    assert!(
        difference.gone > 0 && difference.earlier > 0,
        "{difference:?}"
    );
    insta::assert_snapshot!(report);
}

#[test]
fn gas_releases_with_their_labels() {
    let bundle = district(&["gas.yaml"]);
    let set = "deploy/demo/data/gas_metec_ch4_2022";
    let events = labels::load(&root(&format!("{set}/events.csv"))).unwrap();
    let labels = Labels::new(events, Duration::from_secs(1_800));
    let task = Task {
        labels: Some(&labels),
        plans: None,
        ..task(&bundle)
    };
    let report = replay(&task, &format!("{set}/readings.csv.gz"));
    insta::assert_snapshot!(report);
    let score = report.labels.unwrap();
    assert_eq!(score.events, score.hits + score.misses + score.outside);
}

#[test]
fn smoke_as_json() {
    let bundle = district(&["forest_fire.yaml"]);
    let data = "deploy/demo/data/fire_pm25_soberanes_2016/readings.csv";
    let report = replay(&task(&bundle), data);
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
}
