//! The words of a warning, in Chinese and English, from what the alert knows. Pure: the same alert gives the same
//! words. Levels are named by colour and grade word, never by a bare 一级, which means another thing in gas.

use citywatch_model::{Level, Text, Time};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::ledger::Alert;
use crate::settings::Zones;
use crate::warning::{Area, Shape, Status, WarningKind};

/// The texts of one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub headline: Text,
    pub description: Text,
    pub instruction: Text,
}

/// What is said at `kind` about `alert` at `level`.
pub(crate) fn words(
    alert: &Alert,
    kind: WarningKind,
    level: Level,
    zones: &Zones,
    timezone: &TimeZone,
) -> Words {
    let place = place(alert, zones);
    let value = value(alert);
    Words {
        headline: headline(alert, kind, level, &place, &value),
        description: description(alert, kind, level, &place, (&value, timezone)),
        instruction: if kind.ends() {
            Text::default()
        } else {
            alert.advice.clone()
        },
    }
}

/// Says before the headline that the message is not meant.
pub(crate) fn marked(headline: Text, status: Status) -> Text {
    let (zh, en) = match status {
        Status::Actual => return headline,
        Status::Exercise => ("（演练）", "EXERCISE: "),
        Status::Test => ("（测试）", "TEST: "),
        Status::Draft => ("（草稿）", "DRAFT: "),
    };
    Text {
        zh: format!("{zh}{}", headline.zh),
        en: format!("{en}{}", headline.en),
    }
}

/// The polygon of the alert's zone, else a circle around the sensor, with the words for both.
pub(crate) fn area(alert: &Alert, zones: &Zones, radius_km: f64) -> Area {
    let zone = alert.zone.and_then(|zone| zones.0.get(&zone));
    let polygon = zone
        .map(|zone| &zone.polygon)
        .filter(|ring| ring.len() >= 3);
    let shape = match (polygon, alert.place) {
        (Some(ring), _) => Some(Shape::Polygon(closed(ring))),
        (None, Some(center)) => Some(Shape::Circle { center, radius_km }),
        (None, None) => None,
    };
    Area {
        name: place(alert, zones),
        shapes: shape.into_iter().collect(),
        geocodes: zone.map(|zone| zone.geocodes.clone()).unwrap_or_default(),
    }
}

fn closed(ring: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let last = ring.first().filter(|first| ring.last() != Some(*first));
    ring.iter().chain(last).copied().collect()
}

/// 特别严重, 严重, 较重, 一般: the grade words of warnings, not those of accidents.
const fn grade(level: Level) -> (&'static str, &'static str) {
    match level {
        Level::Blue => ("一般", "minor"),
        Level::Yellow => ("较重", "moderate"),
        Level::Orange => ("严重", "severe"),
        Level::Red => ("特别严重", "extreme"),
    }
}

fn place(alert: &Alert, zones: &Zones) -> Text {
    let sensor = if alert.subject_name.is_empty() {
        alert.subject.as_str()
    } else {
        &alert.subject_name
    };
    let Some(id) = alert.zone else {
        return Text::same(sensor);
    };
    match zones.0.get(&id).filter(|zone| !zone.name.is_empty()) {
        Some(zone) => Text {
            zh: format!("{}{sensor}", zone.name.zh),
            en: format!("{sensor}, {}", zone.name.en),
        },
        None => Text {
            zh: format!("{id}{sensor}"),
            en: format!("{sensor}, {id}"),
        },
    }
}

/// ` 28 cm`, or nothing.
fn value(alert: &Alert) -> String {
    let Some(value) = alert.value else {
        return String::new();
    };
    // what an instrument can mean; more digits only look exact
    let rounded = (value * 1_000.0).round() / 1_000.0;
    if alert.unit.is_empty() {
        format!(" {rounded}")
    } else {
        format!(" {rounded} {}", alert.unit)
    }
}

fn headline(alert: &Alert, kind: WarningKind, level: Level, place: &Text, value: &str) -> Text {
    let (title, colour, word) = (&alert.title, level.zh(), level.word());
    let mark = match kind {
        WarningKind::Issued => ("", ""),
        WarningKind::Updated => ("（更新）", " (update)"),
        WarningKind::Corrected => ("（更正）", " (correction)"),
        WarningKind::Lifted => {
            return Text {
                zh: format!("【{}{colour}预警解除】{}", title.zh, place.zh),
                en: format!("Lifted: {word} warning, {}, {}", title.en, place.en),
            };
        }
        WarningKind::Withdrawn => {
            return Text {
                zh: format!("【{}{colour}预警撤销】{}：系误报", title.zh, place.zh),
                en: format!(
                    "Withdrawn: {word} warning, {}, {}: false alarm",
                    title.en, place.en
                ),
            };
        }
    };
    let (grade_zh, grade_en) = grade(level);
    Text {
        zh: format!(
            "【{}{colour}预警{}】{}{value}（{grade_zh}）",
            title.zh, mark.0, place.zh
        ),
        en: format!(
            "{} warning{}: {}, {}{value} ({grade_en})",
            capital(word),
            mark.1,
            title.en,
            place.en
        ),
    }
}

fn description(
    alert: &Alert,
    kind: WarningKind,
    level: Level,
    place: &Text,
    (value, zone): (&str, &TimeZone),
) -> Text {
    let (title, colour, word) = (&alert.title, level.zh(), level.word());
    let (grade_zh, grade_en) = grade(level);
    match kind {
        WarningKind::Issued | WarningKind::Updated | WarningKind::Corrected => {
            let (since, since_en) = both_times(alert.active_since, zone);
            let (latest, latest_en) = if value.is_empty() {
                (String::new(), String::new())
            } else {
                (format!("最新值{value}。"), format!(" Latest value{value}."))
            };
            Text {
                zh: format!(
                    "{}自{since}起{}，达到{colour}预警级别（{grade_zh}）。{latest}",
                    place.zh, title.zh
                ),
                en: format!(
                    "{} at {} since {since_en}, {word} level ({grade_en}).{latest_en}",
                    title.en, place.en
                ),
            }
        }
        WarningKind::Lifted => match alert.cleared_at {
            Some(cleared) => {
                let (when, when_en) = both_times(cleared, zone);
                Text {
                    zh: format!(
                        "{}{}已于{when}恢复正常，{colour}预警解除。",
                        place.zh, title.zh
                    ),
                    en: format!(
                        "{} at {} has ended at {when_en}; the {word} warning is lifted.",
                        title.en, place.en
                    ),
                }
            }
            None => Text {
                zh: format!("{}{}的危险已经过去，{colour}预警解除。", place.zh, title.zh),
                en: format!(
                    "The danger is over: {} at {}; the {word} warning is lifted.",
                    title.en, place.en
                ),
            },
        },
        WarningKind::Withdrawn => Text {
            zh: format!(
                "此前发布的{}{}{colour}预警系误报，现予撤销，请勿据此行动。",
                place.zh, title.zh
            ),
            en: format!(
                "The {word} warning of {} at {} was a false alarm. Do not act on it.",
                title.en, place.en
            ),
        },
    }
}

fn both_times(time: Time, zone: &TimeZone) -> (String, String) {
    let local = Timestamp::from_millisecond(time.millis())
        .unwrap_or_default()
        .to_zoned(zone.clone());
    (
        local.strftime("%Y年%-m月%-d日%H:%M").to_string(),
        local.strftime("%Y-%m-%d %H:%M").to_string(),
    )
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}
