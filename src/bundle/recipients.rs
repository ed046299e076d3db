//! Whom a bundle reaches. A department in a zone that there is not, and a plan that warns by itself and reaches nobody, are
//! mistakes; what is lawful and yet mostly a slip is a hint: a hazard that no rule has, a department without channels.

use std::collections::BTreeSet;

use citywatch_alerting::directory::{LevelPlan, Places, Plan, nearest};
use citywatch_alerting::ledger::Part;
use citywatch_model::{Level, Name};

use super::{Bundle, Mistake};

/// What is refused. Plans and zones that stand in `before`, which is in force already, are not asked.
pub fn unreached(bundle: &Bundle, before: Option<&Bundle>) -> Vec<Mistake> {
    let known = |part: Part| before.is_some_and(|before| bundle.text(part) == before.text(part));
    if known(Part::Plans) && known(Part::Zones) {
        return Vec::new();
    }
    let file = PlansFile::of(bundle);
    let mut mistakes = unknown_zones(bundle, &file);
    for (plan, level, named) in levels(bundle, &file) {
        if named.automatic && reaches_nobody(bundle, named) {
            let message = format!(
                "plan `{}` warns by itself at {level} and reaches nobody there: name departments with such channels under `tell`, or leave `automatic` out",
                plan.id
            );
            mistakes.push(file.mistake(&path_of(plan, level), &message));
        }
    }
    mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    mistakes
}

/// What `check` and `apply` warn of.
pub fn hints(bundle: &Bundle) -> Vec<Mistake> {
    let file = PlansFile::of(bundle);
    let mut hints = Vec::new();
    let rules = &bundle.rules.rules;
    if rules.is_empty() {
        let message = "there are no rules, so nothing can raise an alert: name rule files under [bundle] rules, or put them into the folder rules";
        hints.push(Mistake::of_file("rules", message));
    } else if bundle.directory.plans.is_empty() {
        let message = "there are no plans, so nobody is told of any alert: say in plans.yaml who is told what, and name it under [bundle] plans";
        hints.push(Mistake::of_file(&file.shown, message));
    }
    for department in bundle.directory.departments.values() {
        if department.endpoints().next().is_none() {
            let message = format!(
                "department `{}` has no channel, nor has any of its contacts, so no warning reaches it: add `channels`",
                department.id
            );
            hints.push(file.mistake(&format!("departments/{}", department.id), &message));
        }
    }
    let hazards: BTreeSet<&str> = rules.iter().map(|rule| rule.info.hazard.as_str()).collect();
    let hazards: Vec<&str> = hazards.into_iter().collect();
    for plan in bundle.directory.plans.values() {
        let unknown = |hazard: &Name| !hazards.is_empty() && !hazards.contains(&hazard.as_str());
        if let Some(hazard) = plan.hazard.filter(unknown) {
            let message = format!(
                "plan `{}` serves the hazard `{hazard}`, which no rule has: {}",
                plan.id,
                meant(&hazard, &hazards, "add rules for it, or leave the plan out")
            );
            hints.push(file.mistake(&format!("plans/{}/hazard", plan.id), &message));
        }
    }
    for (plan, level, named) in levels(bundle, &file) {
        if !named.automatic && reaches_nobody(bundle, named) {
            let message = format!(
                "plan `{}` reaches nobody at {level}: name departments with such channels under `tell`",
                plan.id
            );
            hints.push(file.mistake(&path_of(plan, level), &message));
        }
    }
    hints.sort_by_key(|hint| (hint.line, hint.column));
    hints
}

/// The text of a part that has one file.
/// Zones of departments that neither zones.yaml nor, without it, any sensor has. Where nobody has a zone, none is asked.
fn unknown_zones(bundle: &Bundle, file: &PlansFile) -> Vec<Mistake> {
    let zones: BTreeSet<Name> = if bundle.zones.0.is_empty() {
        let sensors = bundle.registry.sensors.values();
        sensors.filter_map(|sensor| sensor.zone).collect()
    } else {
        bundle.zones.0.keys().copied().collect()
    };
    let known: Vec<&str> = zones.iter().map(|zone| zone.as_str()).collect();
    let mut mistakes = Vec::new();
    for department in bundle.directory.departments.values() {
        let unknown = department.zones.iter();
        for zone in unknown.filter(|zone| !zones.is_empty() && !zones.contains(zone)) {
            let message = format!(
                "department `{}` answers for the zone `{zone}`, which there is not, and would be told of nothing there: {}",
                department.id,
                meant(zone, &known, "write an id of zones.yaml, or leave it out")
            );
            let path = format!("departments/{}/zones/{zone}", department.id);
            mistakes.push(file.mistake(&path, &message));
        }
    }
    mistakes
}

fn meant(word: &str, known: &[&str], otherwise: &str) -> String {
    nearest(word, known).map_or_else(
        || otherwise.to_owned(),
        |known| format!("did you mean `{known}`?"),
    )
}

/// The levels that plans name; the others do what a milder one does.
fn levels<'b>(
    bundle: &'b Bundle,
    file: &'b PlansFile,
) -> impl Iterator<Item = (&'b Plan, Level, &'b LevelPlan)> {
    let plans = bundle.directory.plans.values();
    let levels = plans.flat_map(|plan| {
        let levels = plan.levels.iter();
        levels.map(move |(level, named)| (plan, *level, named))
    });
    levels.filter(|(plan, level, _)| file.places.get(&path_of(plan, *level)).is_some())
}

fn path_of(plan: &Plan, level: Level) -> String {
    format!("plans/{}/levels/{level}", plan.id)
}

fn reaches_nobody(bundle: &Bundle, level: &LevelPlan) -> bool {
    let channels = level.channels.as_deref();
    let routes = bundle.directory.routes(&level.tell, channels, &[]);
    routes.is_empty()
}

/// The file with the plans, and where things stand in it.
struct PlansFile {
    shown: String,
    places: Places,
}

impl PlansFile {
    fn of(bundle: &Bundle) -> PlansFile {
        let file = bundle.files.iter().find(|file| file.part == Part::Plans);
        PlansFile {
            shown: file.map_or("plans.yaml", |file| &file.shown).to_owned(),
            places: Places::of(file.map_or("", |file| &file.text)),
        }
    }

    fn mistake(&self, path: &str, message: &str) -> Mistake {
        let (line, column) = self.places.get(path).unzip();
        let number = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
        let mistake = Mistake {
            line: number(line),
            column: number(column),
            ..Mistake::of_file(&self.shown, message)
        };
        mistake.written()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{NamedText, compile, judge, of_texts};
    use super::*;

    fn bundle(texts: &[(&str, &str)]) -> Bundle {
        let texts = texts.iter().map(|(file, text)| NamedText {
            file: (*file).to_owned(),
            text: (*text).to_owned(),
        });
        compile(of_texts(texts.collect()).unwrap()).unwrap()
    }

    #[test]
    fn what_is_in_force_is_not_asked_when_something_else_changes() {
        let zones = ("zones.yaml", "zones: [{ id: street-1, name: 一 }]\n");
        let plans = (
            "plans.yaml",
            "departments: [{ id: office, zones: [street-9], channels: [{ kind: cap_mqtt }] }]\n",
        );
        let before = bundle(&[zones, plans]);
        assert_eq!(judge(&before, None).unwrap_err().len(), 1);
        judge(&before, Some(&before)).unwrap();
        let sensors = ("sensors.csv", "sensor_id,zone\na,street-1\n");
        judge(&bundle(&[zones, plans, sensors]), Some(&before)).unwrap();
        let renamed = ("zones.yaml", "zones: [{ id: street-2, name: 二 }]\n");
        let mistakes = judge(&bundle(&[renamed, plans]), Some(&before)).unwrap_err();
        assert!(
            mistakes[0].text.starts_with("plans.yaml:1:") && mistakes[0].text.contains("street-9"),
            "{mistakes:?}"
        );
    }
}
