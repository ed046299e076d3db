//! The words of the standard for a level and a hazard. Tables only; a view of the one internal level, never a
//! second truth.

use citywatch_model::{Level, Name, Text};

use crate::warning::{Warning, WarningKind};

/// A level in the words of CAP and of the national formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Severity(pub Level);

impl Severity {
    /// CAP severity.
    #[must_use]
    pub const fn cap(self) -> &'static str {
        match self.0 {
            Level::Red => "Extreme",
            Level::Orange => "Severe",
            Level::Yellow => "Moderate",
            Level::Blue => "Minor",
        }
    }

    /// The word of warnings; those of accidents (特别重大 …) are another thing.
    #[must_use]
    pub const fn zh(self) -> &'static str {
        match self.0 {
            Level::Red => "特别严重",
            Level::Orange => "严重",
            Level::Yellow => "较重",
            Level::Blue => "一般",
        }
    }

    /// GB/T 35965 calls a colour "severity", so it cannot stand in CAP's element of that name.
    #[must_use]
    pub const fn gb(self) -> &'static str {
        match self.0 {
            Level::Red => "Red",
            Level::Orange => "Orange",
            Level::Yellow => "Yellow",
            Level::Blue => "Blue",
        }
    }
}

/// The code words of one `<info>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Of the hazard.
    pub category: &'static str,
    /// What recipients are asked to do.
    pub response: &'static str,
    /// How soon.
    pub urgency: &'static str,
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub certainty: &'static str,
}

impl Terms {
    /// By level, by what the warning does, and by whether a sensor has measured it.
    #[must_use]
    pub fn of(warning: &Warning) -> Terms {
        let (urgency, certainty) = match warning.kind {
            WarningKind::Lifted => ("Past", "Observed"),
            WarningKind::Withdrawn => ("Past", "Unlikely"),
            WarningKind::Issued | WarningKind::Updated | WarningKind::Corrected => {
                prospect(warning.level, warning.cause.value.is_some())
            }
        };
        Terms {
            category: category(warning.hazard),
            response: response(warning),
            urgency,
            severity: Severity(warning.level),
            certainty,
        }
    }
}

/// Urgency and certainty of a danger that stands.
fn prospect(level: Level, measured: bool) -> (&'static str, &'static str) {
    match (level, measured) {
        (Level::Red | Level::Orange, true) => ("Immediate", "Observed"),
        (Level::Red, false) => ("Immediate", "Likely"),
        (Level::Orange, false) | (Level::Yellow, _) => ("Expected", "Likely"),
        (Level::Blue, true) => ("Future", "Likely"),
        (Level::Blue, false) => ("Future", "Possible"),
    }
}

/// Machines act on this word, and a level alone cannot tell "leave the building" from "shut the valve": the worse
/// levels say "carry out the instruction", which holds for every hazard.
fn response(warning: &Warning) -> &'static str {
    match (warning.kind, warning.level) {
        (WarningKind::Lifted, _) => "AllClear",
        (WarningKind::Withdrawn, _) => "None",
        (_, Level::Red | Level::Orange) if !warning.instruction.is_empty() => "Execute",
        (_, Level::Red | Level::Orange) => "Assess",
        (_, Level::Yellow) => "Prepare",
        (_, Level::Blue) => "Monitor",
    }
}

/// Hazards with a CAP category of their own. CAP puts floods under `Met` ("meteorological, inc. flood") and
/// landslides under `Geo`; water mains and dams are `Infra` ("utility … infrastructure"); escaping gas threatens
/// people before it threatens the network, hence `Safety`.
const HAZARDS: [(&str, &str, &str, &str); 8] = [
    ("gas", "Safety", "燃气泄漏", "Gas leak"),
    ("water", "Infra", "供水异常", "Water supply fault"),
    ("flood", "Met", "洪涝", "Flood"),
    ("forest_fire", "Fire", "森林火险", "Forest fire danger"),
    ("landslide", "Geo", "山体滑坡", "Landslide"),
    ("earthquake", "Geo", "地震", "Earthquake"),
    ("bridge", "Transport", "桥梁异常", "Bridge fault"),
    ("dam", "Infra", "水库大坝异常", "Dam fault"),
];

fn category(hazard: Name) -> &'static str {
    HAZARDS
        .iter()
        .find(|(id, ..)| *id == hazard)
        .map_or("Other", |(_, category, ..)| category)
}

/// Words for what happens where this hazard strikes; for one without an entry, its id.
#[must_use]
pub fn hazard_event(hazard: Name) -> Text {
    match HAZARDS.iter().find(|(id, ..)| *id == hazard) {
        Some((_, _, zh, en)) => Text {
            zh: (*zh).to_owned(),
            en: (*en).to_owned(),
        },
        None if hazard.trim().is_empty() => Text {
            zh: "安全风险".to_owned(),
            en: "Safety risk".to_owned(),
        },
        None => Text::same(&hazard),
    }
}
