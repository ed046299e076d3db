//! What is in force, and what would be: a bundle with the version that brought it. Everything that can fail is done
//! here, on values; putting the outcome in force is `keeper`'s affair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::{Contents, PartText, RuleMode, RuleVersion, Version, sha256};
use citywatch_model::{Mode, Name, RulesInForce, Time};

use super::difference::Difference;
use super::rule_text::{self, Place};
use crate::bundle::{self, Bundle, BundleFile, Mistake, Tested};

/// What is in force.
#[derive(Debug)]
pub struct Present {
    /// The newest version.
    pub version: Version,
    /// What its texts say.
    pub bundle: Bundle,
    /// Where each rule stands in them.
    pub places: BTreeMap<Name, Place>,
    /// Sought when somebody asks: a city has many sensors.
    unwatched: OnceLock<Vec<Name>>,
}

/// What somebody wants to be in force.
#[derive(Debug, Clone)]
pub struct Wish {
    /// All files.
    pub files: Vec<BundleFile>,
    /// Modes that stand above them.
    pub modes: BTreeMap<Name, RuleMode>,
}

/// A wish without a mistake, ready to be put in force.
#[derive(Debug)]
pub struct Proposal {
    /// Number of the version that it would be.
    pub id: i64,
    pub contents: Contents,
    /// By their SHA-256.
    pub texts: BTreeMap<String, String>,
    pub bundle: Bundle,
    pub difference: Difference,
    /// How the tests in its rule files came out.
    pub tested: Tested,
}

impl Present {
    /// What the ledger holds; `None` if it is new.
    ///
    /// # Errors
    /// If the ledger cannot be read, or this program does not understand what it holds.
    pub async fn load(ledger: &Ledger) -> Result<Option<Present>, String> {
        let newest = ledger.newest_version().await;
        let Some(version) = newest.map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let bundle = bundle_of(ledger, &version).await?;
        Ok(Some(Present::new(version, bundle)))
    }

    fn new(version: Version, mut bundle: Bundle) -> Present {
        // where the files lay when they were brought says nothing any more
        for file in &mut bundle.files {
            file.shown.clone_from(&file.name);
        }
        let places = rule_text::places(&bundle.files);
        Present {
            version,
            bundle,
            places,
            unwatched: OnceLock::new(),
        }
    }

    /// Registered sensors that no rule looks at.
    pub fn unwatched(&self) -> &[Name] {
        self.unwatched
            .get_or_init(|| bundle::unwatched(&self.bundle))
    }

    /// A bundle that holds until there is a first version, which comes with the first rules.
    pub fn unwritten(bundle: Bundle) -> Present {
        let none = Version {
            id: 0,
            at: Time::MIN,
            actor: String::new(),
            role: String::new(),
            from: String::new(),
            reason: "no rules yet".to_owned(),
            position: None,
            contents: Contents::default(),
        };
        Present::new(none, bundle)
    }

    /// What holds once `proposal` was written as `version`.
    pub fn after(version: Version, proposal: Proposal) -> Present {
        Present::new(version, proposal.bundle)
    }

    /// Plans and zones have no place in the journal: the ledger takes them from memory.
    pub fn enter(&self, ledger: &Ledger) {
        ledger.set_directory(Arc::clone(&self.bundle.directory));
        ledger.set_zones(Arc::new(self.bundle.zones.clone()));
    }

    /// What is in force, as a wish to begin from.
    pub fn wish(&self) -> Wish {
        Wish {
            files: self.bundle.files.clone(),
            modes: self.version.contents.modes.clone(),
        }
    }

    /// Whether its texts are those of `files`, which stand in the order of parts and names.
    pub fn holds(&self, files: &[BundleFile]) -> bool {
        let same = |(own, file): (&BundleFile, &BundleFile)| {
            (own.part, &own.name, &own.text) == (file.part, &file.name, &file.text)
        };
        let own = &self.bundle.files;
        own.len() == files.len() && own.iter().zip(files).all(same)
    }

    /// How many rules are not off.
    pub fn at_work(&self) -> usize {
        let versions = self.version.contents.rules.values();
        let there = versions.filter(|rule| rule.sha256.is_some());
        there.filter(|rule| rule.mode != Mode::Off).count()
    }

    /// The rules as the journal holds them.
    pub fn rules(&self) -> RulesInForce {
        let contents = &self.version.contents;
        let there = contents
            .rules
            .iter()
            .filter(|(_, rule)| rule.sha256.is_some());
        let modes = contents.modes.iter();
        RulesInForce {
            version: self.version.id,
            sources: self.bundle.sources(),
            rule_versions: there.map(|(id, rule)| (*id, rule.version)).collect(),
            modes: modes.map(|(id, mode)| (*id, mode.mode)).collect(),
        }
    }
}

/// The bundle of a version, read from its texts.
///
/// # Errors
/// If a text is not there, or this program does not understand it.
pub async fn bundle_of(ledger: &Ledger, version: &Version) -> Result<Bundle, String> {
    let parts = &version.contents.parts;
    let wanted: BTreeSet<String> = parts.iter().map(|part| part.sha256.clone()).collect();
    let texts = ledger
        .texts(wanted)
        .await
        .map_err(|error| error.to_string())?;
    let file = |part: &PartText| BundleFile {
        part: part.part,
        name: part.file.clone(),
        shown: part.file.clone(),
        text: texts.get(&part.sha256).cloned().unwrap_or_default(),
    };
    bundle::compile(parts.iter().map(file).collect()).map_err(|mistakes| {
        format!(
            "this program does not understand version {} in the ledger: start the program that wrote it\n{}",
            version.id,
            told(&mistakes)
        )
    })
}

/// Mistakes as lines.
pub fn told(mistakes: &[Mistake]) -> String {
    let lines: Vec<&str> = mistakes
        .iter()
        .map(|mistake| mistake.text.as_str())
        .collect();
    lines.join("\n\n")
}

/// Checks all of `wish` and says what it would change; changes nothing.
///
/// # Errors
/// Every mistake; tests in rule files that fail are among them.
pub fn propose(present: Option<&Present>, wish: Wish) -> Result<Proposal, Vec<Mistake>> {
    let bundle = bundle::compile(wish.files)?;
    let tested = match present {
        // only a mode changes, and that must not wait for files to be mended
        Some(present) if present.holds(&bundle.files) => {
            bundle::judge(&bundle, Some(&present.bundle)).unwrap_or_default()
        }
        present => bundle::judge(&bundle, present.map(|present| &present.bundle))?,
    };
    let old = present.map(|present| &present.version.contents);
    let id = present.map_or(0, |present| present.version.id) + 1;
    let places = rule_text::places(&bundle.files);
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut parts = Vec::new();
    for file in &bundle.files {
        let sha256 = sha256(&file.text);
        parts.push(PartText {
            part: file.part,
            file: file.name.clone(),
            sha256: sha256.clone(),
        });
        texts.insert(sha256, file.text.clone());
    }
    let mut modes = wish.modes;
    modes.retain(|rule, _| places.contains_key(rule));
    let nothing = BTreeMap::new();
    let rules = rule_versions(
        old.map_or(&nothing, |old| &old.rules),
        &now(&bundle, &places, &modes),
        id,
    );
    for place in places.values() {
        texts.insert(sha256(&place.text), place.text.clone());
    }
    let contents = Contents {
        parts,
        modes,
        rules,
    };
    let difference = Difference::between(
        present.map(|present| (&present.bundle, &present.version.contents)),
        (&bundle, &contents),
    );
    Ok(Proposal {
        id,
        contents,
        texts,
        bundle,
        difference,
        tested,
    })
}

/// What makes a version of a rule.
#[derive(PartialEq)]
struct Now {
    sha256: String,
    derived_sha256: Option<String>,
    mode: Mode,
}

impl Now {
    fn is(&self, version: &RuleVersion) -> bool {
        version.sha256.as_ref() == Some(&self.sha256)
            && version.derived_sha256 == self.derived_sha256
            && version.mode == self.mode
    }
}

fn now(
    bundle: &Bundle,
    places: &BTreeMap<Name, Place>,
    modes: &BTreeMap<Name, RuleMode>,
) -> BTreeMap<Name, Now> {
    let derived = rule_text::derived(bundle);
    let rules = bundle.rules.rules.iter().map(|rule| &rule.info);
    rules
        .filter_map(|info| {
            let place = places.get(&info.id)?;
            let read = rule_text::read_by(&place.text, &derived);
            let now = Now {
                sha256: sha256(&place.text),
                derived_sha256: (!read.is_empty()).then(|| sha256(&read)),
                mode: modes.get(&info.id).map_or(info.mode, |mode| mode.mode),
            };
            Some((info.id, now))
        })
        .collect()
}

fn rule_versions(
    old: &BTreeMap<Name, RuleVersion>,
    now: &BTreeMap<Name, Now>,
    id: i64,
) -> BTreeMap<Name, RuleVersion> {
    let mut rules = old.clone();
    for (rule, version) in &mut rules {
        // a rule that comes back goes on counting
        if !now.contains_key(rule) && version.sha256.take().is_some() {
            version.since = id;
        }
    }
    for (rule, now) in now {
        let before = rules.get(rule);
        if before.filter(|before| now.is(before)).is_none() {
            let version = RuleVersion {
                version: before.map_or(0, |before| before.version) + 1,
                sha256: Some(now.sha256.clone()),
                derived_sha256: now.derived_sha256.clone(),
                mode: now.mode,
                since: id,
            };
            rules.insert(*rule, version);
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::bundle::{NamedText, of_texts};

    const RULE: &str =
        "rules:\n  - { id: t.high, measurement: level, levels: { red: value >= 5 } }\n";

    fn files(sensors: &str, rules: &str) -> Vec<BundleFile> {
        let named = |(file, text): (&str, &str)| NamedText {
            file: file.to_owned(),
            text: text.to_owned(),
        };
        of_texts(
            [("sensors.csv", sensors), ("rules/t.yaml", rules)]
                .map(named)
                .into(),
        )
        .unwrap()
    }

    #[test]
    fn a_registry_that_is_in_force_refuses_no_other_change() {
        // `Max` was taken for a tag once
        let sensors = "sensor_id,Max\ns-1,30\n";
        let present = Present::unwritten(bundle::compile(files(sensors, RULE)).unwrap());
        let wish = |files| Wish {
            files,
            modes: BTreeMap::new(),
        };
        for rules in [RULE, &RULE.replace('5', "6")] {
            assert!(
                propose(Some(&present), wish(files(sensors, rules))).is_ok(),
                "{rules}"
            );
        }
        let sensors = "sensor_id,Max\ns-1,40\n";
        let mistakes = propose(Some(&present), wish(files(sensors, RULE))).unwrap_err();
        assert!(told(&mistakes).contains("`max`"), "{}", told(&mistakes));
    }
}
