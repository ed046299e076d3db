#![allow(clippy::unwrap_used)]

use std::fs;

use citywatch_model::name;
use tempfile::TempDir;

use super::*;

/// What loading a file with this content gives, as text without the folder's name.
fn check(file: &str, content: impl AsRef<[u8]>) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(file);
    fs::write(&path, content).unwrap();
    let text = if file.starts_with("zones") {
        match Zones::load(&path) {
            Ok(zones) => zones.iter().map(|zone| format!("{zone:?}\n")).collect(),
            Err(problems) => format!("{problems}\n"),
        }
    } else {
        match load_registry(&path) {
            Ok(registry) => registry
                .sensors
                .values()
                .map(|sensor| format!("{sensor:?}\n"))
                .collect(),
            Err(problems) => format!("{problems}\n"),
        }
    };
    text.replace(&format!("{}/", folder.path().display()), "")
}

const ALL_COLUMNS: &str = "\u{feff}sensor_id,name,lat,lon,zone,tags,measurements,interval,stale_after,min,max,kind\n\
    u-1,\"下穿通道, 北口\",31.82,117.22,luyang,owner=drainage;class=a,water_depth battery,1m,10m,0,500,underpass\n\
    u-2,,,,,,,,,,,\n";

#[test]
fn every_column_of_a_csv() {
    insta::assert_snapshot!(check("sensors.csv", ALL_COLUMNS));
}

#[test]
fn yaml_says_the_same() {
    let yaml = "- sensor_id: u-1\n  name: 下穿通道, 北口\n  lat: 31.82\n  lon: 117.22\n  zone: luyang\n  \
        tags: { owner: drainage, class: a }\n  measurements: [water_depth, battery]\n  interval: 1m\n  \
        stale_after: 10m\n  min: 0\n  max: 500\n  kind: underpass\n- sensor_id: u-2\n  name:\n";
    assert_eq!(
        check("sensors.yaml", yaml),
        check("sensors.csv", ALL_COLUMNS)
    );
}

#[test]
fn every_mistake_of_a_csv_at_once() {
    insta::assert_snapshot!(check(
        "sensors.csv",
        "sensor_id,lat,lon,interval,min,max,tags\n\
         a,91,0,5 weeks,1,0,\n\
         ,1,2,,,,\n\
         b,31,,0s,x,NaN,kind\n\
         a,,,,,,zone=z\n\
         c,1,2\n",
    ));
}

#[test]
fn files_that_are_no_registry() {
    let cases = [
        check("sensors.csv", "id,name\n1,2\n"),
        check("sensors.csv", "sensor_id,name,name,\n1,2,3,4\n"),
        check("sensors.csv", b"sensor_id,name\na,ok\nb,\xbe\xae\xb8\xc7\n"),
        check("sensors.csv", ""),
        check("sensors.txt", ""),
        check("sensors.yaml", "sensors: 5\n"),
        check("sensors.yaml", "# ours\nsensors:\n  - sensor_id: a\n"),
        check("sensors.yaml", "just text\n"),
        check("zones.yaml", "regions:\n  - { id: a }\n"),
        check(
            "sensors.yaml",
            "- sensor_id: a\n- sensor_id: a\n- name: b\n",
        ),
        check("sensors.yaml", "- sensor_id: 007\n  lat: north\n  lon: 2\n"),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn a_missing_file_says_so() {
    let problems = load_registry(Path::new("/nowhere/sensors.csv")).unwrap_err();
    assert!(
        problems
            .to_string()
            .starts_with("/nowhere/sensors.csv: cannot be read: No such file"),
        "{problems}"
    );
}

#[test]
fn zones_nest() {
    insta::assert_snapshot!(check(
        "zones.yaml",
        "zones:\n  - { id: luyang, name: { zh: 庐阳区, en: Luyang }, timezone: Asia/Shanghai }\n  \
         - { id: cell-1, parent: luyang, polygon: [[31.8, 117.2], [31.9, 117.2], [31.9, 117.3]] }\n",
    ));
}

#[test]
fn every_mistake_of_zones_at_once() {
    insta::assert_snapshot!(check(
        "zones.yaml",
        "zones:\n  - { id: a, parent: b }\n  - { id: b, parent: a }\n  - { id: a }\n  - { id: c, parent: nowhere }\n  \
         - { id: d, polygon: [[1, 2], [3, 4]], timezone: Middle/Earth }\n  - { id: e, polygon: [[117, 31], [1, 2], [3, 4]] }\n",
    ));
    insta::assert_snapshot!(check("zones.yaml", "zones:\n  - { id: a, colour: red }\n"));
}

#[test]
fn a_registry_takes_the_zone_tree() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("zones.yaml");
    fs::write(
        &path,
        "zones: [{ id: district }, { id: street, parent: district }]\n",
    )
    .unwrap();
    let zones = Zones::load(&path).unwrap();
    let sensors = folder.path().join("sensors.csv");
    fs::write(&sensors, "sensor_id,zone\na,street\n").unwrap();
    let mut registry = load_registry(&sensors).unwrap();
    zones.enter(&mut registry).unwrap();
    assert_eq!(
        registry.zones.parents.get(&name("street")),
        Some(&name("district"))
    );
    fs::write(&sensors, "sensor_id,zone\na,elsewhere\n").unwrap();
    let problems = zones
        .enter(&mut load_registry(&sensors).unwrap())
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains("`elsewhere`: sensor a stands in this zone"),
        "{problems}"
    );
}

#[test]
fn the_headers_of_the_data_sets_load() {
    for (header, row, tag) in [
        (
            "sensor_id,lat,lon,height_m",
            "METEC-S,40.5954448,-105.1397824,2.4",
            ("height_m", "2.4"),
        ),
        (
            "sensor_id,what",
            "LTOWN-p227,\"network inflow, pipe p227\"",
            ("what", "network inflow, pipe p227"),
        ),
        (
            "sensor_id,name,operator",
            "USGS-08073600,\"Houston, TX\",USGS",
            ("operator", "USGS"),
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sensors.csv");
        fs::write(&path, format!("{header}\n{row}\n")).unwrap();
        let registry = load_registry(&path).unwrap();
        let sensor = registry.sensors.values().next().unwrap();
        assert_eq!(sensor.tags.get(&name(tag.0)), Some(&name(tag.1)));
    }
}
