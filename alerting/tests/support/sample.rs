//! Warnings that tests write out: one of each kind, and the awkward ones.

use citywatch_alerting::warning::{
    Area, Cause, Code, Reference, Scope, Shape, Status, Warning, WarningKind,
};
use citywatch_model::{Level, Text, Time, name};
use jiff::tz::TimeZone;

fn text(zh: &str, en: &str) -> Text {
    Text {
        zh: zh.to_owned(),
        en: en.to_owned(),
    }
}

pub fn time(text: &str) -> Time {
    text.parse().unwrap()
}

/// Water in an underpass, orange, measured.
pub fn sample() -> Warning {
    Warning {
        identifier: "CW-20170827-000001".to_owned(),
        sender: "citywatch@example.gov.cn".to_owned(),
        sender_name: text("示范区城市安全中心", "Demo District Safety Centre"),
        sent: time("2017-08-27T01:30:00.250Z"),
        timezone: TimeZone::get("Asia/Shanghai").unwrap(),
        status: Status::Actual,
        exercise: None,
        kind: WarningKind::Issued,
        scope: Scope::Restricted,
        note: None,
        references: Vec::new(),
        hazard: name("flood"),
        event: text("下穿通道积水", "Underpass water depth"),
        event_codes: vec![Code {
            name: "GB/T 35561".to_owned(),
            value: "11B03".to_owned(),
        }],
        level: Level::Orange,
        headline: text(
            "【下穿通道积水橙色预警】人民路下穿通道",
            "Orange warning: water in the Renmin Road underpass",
        ),
        description: text(
            "人民路下穿通道水深 22.5 cm，自 09:30 起。",
            "Water stands 22.5 cm deep in the Renmin Road underpass since 09:30.",
        ),
        instruction: text(
            "封闭通道，启动排水泵",
            "Close the underpass, start the pumps",
        ),
        onset: Some(time("2017-08-27T01:28:00Z")),
        expires: time("2017-08-28T01:30:00Z"),
        area: Area {
            name: text("人民街道", "Renmin Street"),
            shapes: vec![
                Shape::Polygon(vec![
                    (31.86, 117.27),
                    (31.86, 117.29),
                    (31.84, 117.29),
                    (31.84, 117.27),
                    (31.86, 117.27),
                ]),
                Shape::Circle {
                    center: (31.85, 117.28),
                    radius_km: 0.5,
                },
            ],
            geocodes: vec![Code {
                name: "GB/T 2260".to_owned(),
                value: "340103".to_owned(),
            }],
        },
        cause: Cause {
            alert_id: "0198c1d2-0000-7000-8000-000000000001".to_owned(),
            rule: name("flood.underpass-depth"),
            rule_source: "Beijing practice, closed at 27 cm".to_owned(),
            sensor: name("u-1"),
            measurement: name("water_depth"),
            value: Some(22.5),
            unit: name("cm"),
        },
        cap_url: Some("https://warn.example.gov.cn/cap/CW-20170827-000001.xml".to_owned()),
        contact: "0551-0000000".to_owned(),
    }
}

/// A later warning on the same alert.
fn later(kind: WarningKind) -> Warning {
    let first = sample();
    let reference: Reference = first.reference();
    Warning {
        identifier: "CW-20170827-000002".to_owned(),
        sent: time("2017-08-27T02:30:00Z"),
        kind,
        references: vec![reference],
        ..first
    }
}

/// One of each kind by name, then the awkward ones.
pub fn cases() -> Vec<(&'static str, Warning)> {
    let update = Warning {
        level: Level::Red,
        headline: text(
            "【下穿通道积水红色预警】人民路下穿通道",
            "Red warning: water in the Renmin Road underpass",
        ),
        references: vec![
            sample().reference(),
            Reference {
                identifier: "CW-20170827-000000".to_owned(),
                ..sample().reference()
            },
        ],
        ..later(WarningKind::Updated)
    };
    let lift = Warning {
        instruction: text("恢复通行", "Open the underpass"),
        ..later(WarningKind::Lifted)
    };
    let correction = Warning {
        note: Some("路名有误".to_owned()),
        ..later(WarningKind::Corrected)
    };
    let exercise = Warning {
        status: Status::Exercise,
        exercise: Some("2017-防汛-03".to_owned()),
        scope: Scope::Public,
        timezone: TimeZone::UTC,
        ..sample()
    };
    let markup = Warning {
        headline: text(
            "水深 < 30 cm & 上涨 \u{1}\u{b}\u{ffff}]]> <b>",
            &"Rising & rising <fast> ".repeat(20),
        ),
        description: text(
            "第一行\r\n第二行\t\"引号\" 'x'",
            "𠮷 emoji 🌊 &amp; <script>",
        ),
        sender: "bad sender,<&>".to_owned(),
        area: Area {
            shapes: vec![Shape::Polygon(vec![
                (0.0, 0.0),
                (-0.0000001, 1.0),
                (1.0, 1.0),
            ])],
            ..sample().area
        },
        ..sample()
    };
    vec![
        ("raise", sample()),
        ("update", update),
        ("lift", lift),
        ("correction", correction),
        ("withdrawal", later(WarningKind::Withdrawn)),
        ("exercise", exercise),
        ("markup", markup),
        ("bare", bare()),
    ]
}

/// As little as a warning can hold.
pub fn bare() -> Warning {
    Warning {
        sender_name: Text::default(),
        hazard: name(""),
        event: Text::default(),
        event_codes: Vec::new(),
        level: Level::Blue,
        headline: text("", "Unknown hazard"),
        description: Text::default(),
        instruction: Text::default(),
        onset: None,
        area: Area {
            shapes: vec![Shape::Polygon(vec![(1.0, 1.0), (f64::NAN, 2.0)])],
            ..Area::default()
        },
        cause: Cause {
            rule_source: String::new(),
            value: None,
            unit: name(""),
            ..sample().cause
        },
        cap_url: None,
        contact: String::new(),
        status: Status::Test,
        ..sample()
    }
}
