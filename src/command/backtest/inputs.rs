//! Everything a backtest needs besides readings: rules, sensors, zones, plans, labels, from the files that the
//! options and the configuration name, or as they are in force. All problems are told at once.

use std::path::PathBuf;
use std::sync::Arc;

use citywatch_alerting::{Directory, Zones};
use citywatch_model::{Registry, name};
use citywatch_rules::ast::RuleSet;
use jiff::tz::TimeZone;

use super::Failure;
use super::own_history::{self, OwnHistory};
use crate::backtest::Plans;
use crate::backtest::labels::{self, Labels};
use crate::cli::Backtest;
use crate::config::{self, Config};
use crate::{bundle, rule_files};

/// What the options name, read and checked.
pub struct Inputs {
    pub rules: Arc<RuleSet>,
    pub against: Option<Arc<RuleSet>>,
    pub registry: Arc<Registry>,
    pub labels: Option<Labels>,
    pub timezone: TimeZone,
    /// The service's own history, if that is what is read.
    pub own: Option<OwnHistory>,
    directory: Option<Arc<Directory>>,
    zones: Zones,
}

impl Inputs {
    pub fn gather(options: &Backtest) -> Result<Inputs, Failure> {
        let config = match &options.config {
            Some(path) => {
                Some(config::read(path).map_err(|found| Failure::Problems(lines(&found)))?)
            }
            None => None,
        };
        let timezone = timezone(options, config.as_ref())?;
        let bounds = (options.from, options.to);
        if let (Some(from), Some(to)) = bounds
            && from.resolve(&timezone) >= to.resolve(&timezone)
        {
            return Err(Failure::Usage("--from does not lie before --to".to_owned()));
        }
        let own = match &config {
            Some(config) if options.data.is_empty() => {
                Some(own_history::open(&config.storage.folder).map_err(Failure::one)?)
            }
            _ => None,
        };
        let paths = paths(options, config.as_ref(), own.is_some());
        Gatherer::default().gather(options, &paths, (own, timezone))
    }

    pub fn plans(&self) -> Option<Plans<'_>> {
        let directory = self.directory.as_deref()?;
        Some(Plans {
            directory,
            zones: &self.zones,
        })
    }
}

/// What an option names comes before what the configuration names; what is in force before either's file.
fn paths(options: &Backtest, config: Option<&Config>, in_force: bool) -> config::Bundle {
    let named = config
        .map(|config| config.bundle.clone())
        .unwrap_or_default();
    let either = |option: &Option<PathBuf>, named: Option<PathBuf>| option.clone().or(named);
    config::Bundle {
        sensors: either(&options.sensors, named.sensors.filter(|_| !in_force)),
        zones: either(&options.zones, named.zones),
        plans: either(&options.plans, named.plans),
        rules: if options.rules.is_empty() && !in_force {
            named.rules
        } else {
            options.rules.clone()
        },
    }
}

fn timezone(options: &Backtest, config: Option<&Config>) -> Result<TimeZone, Failure> {
    if let Some(zone) = &options.timezone {
        return Ok(zone.clone());
    }
    let default = config::Service::default();
    let service = config.map_or(&default, |config| &config.service);
    TimeZone::get(&service.timezone).map_err(Failure::one)
}

/// Collects problems instead of ending with the first.
#[derive(Default)]
struct Gatherer {
    problems: Vec<String>,
}

impl Gatherer {
    fn gather(
        mut self,
        options: &Backtest,
        paths: &config::Bundle,
        (own, timezone): (Option<OwnHistory>, TimeZone),
    ) -> Result<Inputs, Failure> {
        let read = bundle::read(paths);
        let bundle = self.keep(read);
        let labels = options.labels.as_deref().map(|path| {
            let events = self.keep(labels::load(path).map_err(|found| lines(&found)));
            Labels::new(events, options.grace)
        });
        let against = (!options.against.is_empty()).then(|| self.rules(&options.against));
        if !self.problems.is_empty() {
            return Err(Failure::Problems(self.problems));
        }
        let read = Arc::new(bundle.rules);
        let in_force = own.as_ref().map(|own| Arc::clone(&own.rules));
        let (rules, replaced) = match in_force {
            Some(in_force) if paths.rules.is_empty() => (in_force, None),
            in_force => (read, in_force),
        };
        let registry = match &own {
            Some(own) if paths.sensors.is_none() => own.registry.clone(),
            _ => {
                let mut registry = bundle.registry;
                Arc::make_mut(&mut registry).zones.time_zone =
                    name(timezone.iana_name().unwrap_or_default());
                registry
            }
        };
        Ok(Inputs {
            rules,
            against: against.map(Arc::new).or(replaced),
            registry,
            labels,
            timezone,
            own,
            directory: paths.plans.as_ref().map(|_| bundle.directory),
            zones: bundle.zones,
        })
    }

    fn rules(&mut self, paths: &[PathBuf]) -> RuleSet {
        let sources = rule_files::read(paths).map_err(|found| lines(&found));
        let compiled = sources.and_then(|sources| {
            citywatch_rules::compile(&sources).map_err(|problems| vec![problems.to_string()])
        });
        self.keep(compiled)
    }

    fn keep<T: Default>(&mut self, read: Result<T, Vec<String>>) -> T {
        read.unwrap_or_else(|problems| {
            self.problems.extend(problems);
            T::default()
        })
    }
}

fn lines(problems: &[config::Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
