//! The district bundle: sensors, zones, departments and plans, rules. Reads all of it and tells every
//! problem of every file; nothing is put in force here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use citywatch_alerting::directory::load_directory;
use citywatch_alerting::{Directory, Zone as AlertZone, Zones as AlertZones};
use citywatch_ingest::registry::{Zones, load_registry};
use citywatch_model::{Registry, RuleSource};
use citywatch_rules::ast::RuleSet;

use crate::config;
use crate::rule_files;

/// A bundle without a problem.
#[derive(Debug, Default)]
pub struct Bundle {
    /// Sensors, and which zone lies in which.
    pub registry: Registry,
    /// Zones as warnings need them.
    pub zones: AlertZones,
    /// Departments, contacts and plans.
    pub directory: Arc<Directory>,
    /// Rule files as they were read.
    pub sources: Vec<RuleSource>,
    /// The same rules, checked.
    pub rules: RuleSet,
}

/// Reads what the configuration names; what it does not name is empty.
pub fn read(paths: &config::Bundle) -> Result<Bundle, Vec<String>> {
    let mut reader = Reader {
        problems: Vec::new(),
    };
    let bundle = reader.bundle(paths);
    if reader.problems.is_empty() {
        Ok(bundle)
    } else {
        Err(reader.problems)
    }
}

struct Reader {
    problems: Vec<String>,
}

impl Reader {
    fn bundle(&mut self, paths: &config::Bundle) -> Bundle {
        let mut bundle = Bundle::default();
        if let Some(path) = &paths.sensors {
            bundle.registry = self.keep(load_registry(path));
        }
        if let Some(path) = &paths.zones {
            let zones = self.keep(Zones::load(path));
            self.keep(zones.enter(&mut bundle.registry));
            bundle.zones = for_warnings(&zones);
        }
        if let Some(path) = &paths.plans {
            match load_directory(path) {
                Ok(directory) => bundle.directory = Arc::new(directory),
                Err(problems) => self
                    .problems
                    .extend(problems.iter().map(ToString::to_string)),
            }
        }
        if !paths.rules.is_empty() {
            (bundle.sources, bundle.rules) = self.rules(&paths.rules);
        }
        bundle
    }

    fn rules(&mut self, paths: &[PathBuf]) -> (Vec<RuleSource>, RuleSet) {
        let sources = match rule_files::read(paths) {
            Ok(sources) => sources,
            Err(problems) => {
                self.problems
                    .extend(problems.iter().map(ToString::to_string));
                return Default::default();
            }
        };
        let rules = self.keep(citywatch_rules::compile(&sources));
        (sources, rules)
    }

    fn keep<T: Default, E: std::fmt::Display>(&mut self, read: Result<T, E>) -> T {
        read.unwrap_or_else(|problems| {
            self.problems.push(problems.to_string());
            T::default()
        })
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
