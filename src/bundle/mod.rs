//! The district bundle: sensors, zones, departments and plans, rules. Reads all of it and tells every
//! problem of every file; nothing is put in force here.

mod columns;
mod files;
mod hints;
mod mistake;
mod recipients;
mod unwatched;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use citywatch_alerting::directory::read_directory;
use citywatch_alerting::ledger::Part;
use citywatch_alerting::{Directory, Zone as AlertZone, Zones as AlertZones};
use citywatch_ingest::registry::{Zones, read_registry};
use citywatch_model::{Name, Registry, RuleSource};
use citywatch_rules::ast::RuleSet;

use crate::config;
pub use files::{BundleFile, NamedText, of_folder, of_paths, of_texts};
pub use hints::hints;
pub use mistake::Mistake;
pub use unwatched::unwatched;

/// A bundle whose files can be read.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Sensors, and which zone lies in which.
    pub registry: Arc<Registry>,
    /// Zones as warnings need them.
    pub zones: AlertZones,
    /// Departments, contacts and plans.
    pub directory: Arc<Directory>,
    /// The rules, checked, with the modes that their files say.
    pub rules: RuleSet,
    /// The files, in the order of parts and names.
    pub files: Vec<BundleFile>,
}

/// Reads what the configuration names; what it does not name is empty.
pub fn read(paths: &config::Bundle) -> Result<Bundle, Vec<String>> {
    let bundle = of_paths(paths).and_then(compile_new);
    bundle.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

/// Reads `files` that were never in force: a slip that would leave something out of force is a mistake in them.
pub fn compile_new(files: Vec<BundleFile>) -> Result<Bundle, Vec<Mistake>> {
    let bundle = compile(files)?;
    match columns::misspelt(&bundle) {
        mistakes if mistakes.is_empty() => Ok(bundle),
        mistakes => Err(mistakes),
    }
}

/// Reads `files`, and tells every mistake of every file.
pub fn compile(files: Vec<BundleFile>) -> Result<Bundle, Vec<Mistake>> {
    let mut reader = Reader {
        mistakes: Vec::new(),
    };
    let bundle = reader.bundle(files);
    if reader.mistakes.is_empty() {
        Ok(bundle)
    } else {
        Err(reader.mistakes)
    }
}

/// How the tests in the rule files came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tested {
    /// Tests that came out as written; all of them, or there would be mistakes.
    pub passed: usize,
}

/// What must hold besides each file being right by itself: rules pass their tests, the plans that they name exist, plans
/// reach somebody, and no column of the registry has become a tag by a slip. The registry that stands in `before`, which
/// is in force, is never refused for it, nor are plans and zones asked whom they reach that stand there.
pub fn judge(bundle: &Bundle, before: Option<&Bundle>) -> Result<Tested, Vec<Mistake>> {
    let sensors = Part::Sensors;
    let mut mistakes = match before {
        Some(before) if before.text(sensors) == bundle.text(sensors) => Vec::new(),
        _ => columns::misspelt(bundle),
    };
    mistakes.extend(recipients::unreached(bundle, before));
    for rule in &bundle.rules.rules {
        if let Some(plan) = rule
            .info
            .plan
            .filter(|plan| !bundle.directory.plans.contains_key(plan))
        {
            let (file, line) = bundle.place_of(rule.info.id.as_str());
            let message = format!(
                "rule `{}` names the plan `{plan}`, which plans.yaml does not hold: add the plan, or leave `plan` out",
                rule.info.id
            );
            let mistake = Mistake {
                line,
                ..Mistake::of_file(&file, &message)
            };
            mistakes.push(mistake.written());
        }
    }
    let tested = match citywatch_rules::run_scenarios(&bundle.shown_sources()) {
        Ok(report) => {
            mistakes.extend(report.failed.iter().map(Mistake::from));
            Tested {
                passed: report.passed,
            }
        }
        Err(problems) => {
            mistakes.extend(problems.list.iter().map(Mistake::from));
            Tested::default()
        }
    };
    if mistakes.is_empty() {
        Ok(tested)
    } else {
        Err(mistakes)
    }
}

impl Bundle {
    /// The text of the one file of that part.
    fn text(&self, part: Part) -> Option<&str> {
        let file = self.files.iter().find(|file| file.part == part);
        file.map(|file| file.text.as_str())
    }

    /// The rule files under their names in the bundle.
    pub fn sources(&self) -> Vec<RuleSource> {
        sources(&self.files, |file| &file.name)
    }

    /// The rule files under the names that people gave them.
    pub fn shown_sources(&self) -> Vec<RuleSource> {
        sources(&self.files, |file| &file.shown)
    }

    /// The name in messages of the file that holds the rule, and the line, from 1, where it begins there.
    pub fn place_of(&self, rule: &str) -> (String, Option<u32>) {
        self.place_in(rule, citywatch_rules::rule_places)
    }

    /// The same of a derived series.
    pub fn place_of_series(&self, series: &str) -> (String, Option<u32>) {
        self.place_in(series, citywatch_rules::derive_places)
    }

    fn place_in(&self, wanted: &str, places: fn(&str) -> Places) -> (String, Option<u32>) {
        let rules = self.files.iter().filter(|file| file.part == Part::Rules);
        let mut holding = rules.filter_map(|file| {
            let places = places(&file.text);
            let (_, bytes) = places.into_iter().find(|(id, _)| id.as_str() == wanted)?;
            let line = 1 + file.text[..bytes.start].matches('\n').count();
            Some((file.shown.clone(), u32::try_from(line).ok()))
        });
        holding.next().unwrap_or_default()
    }
}

fn sources(files: &[BundleFile], name: impl Fn(&BundleFile) -> &String) -> Vec<RuleSource> {
    files
        .iter()
        .filter(|file| file.part == Part::Rules)
        .map(|file| RuleSource {
            file: name(file).clone(),
            text: file.text.clone(),
        })
        .collect()
}

/// Rules or series of a file, with their bytes.
type Places = Vec<(Name, Range<usize>)>;

struct Reader {
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn bundle(&mut self, files: Vec<BundleFile>) -> Bundle {
        let mut bundle = Bundle::default();
        for part in [Part::Sensors, Part::Zones, Part::Plans] {
            let mut of_part = files.iter().filter(|file| file.part == part);
            let Some(file) = of_part.next() else { continue };
            if let Some(second) = of_part.next() {
                let message = format!("stands beside {}: a bundle has one of the two", file.shown);
                self.mistakes
                    .push(Mistake::of_file(&second.shown, &message));
            }
            self.part(file, &mut bundle);
        }
        let sources = sources(&files, |file| &file.shown);
        match citywatch_rules::compile(&sources) {
            Ok(rules) => bundle.rules = rules,
            Err(problems) => self
                .mistakes
                .extend(problems.list.iter().map(Mistake::from)),
        }
        bundle.files = files;
        bundle
    }

    fn part(&mut self, file: &BundleFile, bundle: &mut Bundle) {
        let (path, bytes) = (Path::new(&file.shown), file.text.as_bytes());
        match file.part {
            Part::Sensors => {
                let registry = self.kept(read_registry(path, bytes));
                bundle.registry = Arc::new(registry.unwrap_or_default());
            }
            Part::Zones => {
                // against zones that could not be read every sensor would stand in an unknown one
                let Some(zones) = self.kept(Zones::read(path, bytes)) else {
                    return;
                };
                self.kept(zones.enter(Arc::make_mut(&mut bundle.registry)));
                bundle.zones = for_warnings(&zones);
            }
            Part::Plans => match read_directory(&file.shown, &file.text) {
                Ok(directory) => bundle.directory = Arc::new(directory),
                Err(problems) => self.mistakes.extend(problems.iter().map(Mistake::from)),
            },
            Part::Rules => {}
        }
    }

    fn kept<T>(&mut self, read: Result<T, citywatch_ingest::registry::Problems>) -> Option<T> {
        read.map_err(|problems| self.mistakes.extend(problems.0.iter().map(Mistake::from)))
            .ok()
    }
}

fn for_warnings(zones: &Zones) -> AlertZones {
    let zones = zones.iter().map(|zone| {
        let zone_for_warnings = AlertZone {
            name: zone.name.clone(),
            parent: zone.parent,
            polygon: zone.polygon.clone(),
            geocodes: Vec::new(),
        };
        (zone.id, zone_for_warnings)
    });
    AlertZones(BTreeMap::from_iter(zones))
}
