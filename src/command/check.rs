//! `citywatch check`: every problem of configuration, registry, zones, plans and rules, then the tests in
//! the rule files. Brokers that links lead to are tried out; what they do not keep is a warning, not a problem.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use citywatch_alerting::ledger::Part;
use citywatch_ingest::link;
use citywatch_model::RuleSource;

use crate::bundle::{self, Bundle, Mistake};
use crate::cli::Check;
use crate::config::{self, Config, Link};
use crate::rule_files;

/// Longest trial of one broker.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

/// Which configuration is checked where neither it nor rules are named.
const USUAL_CONFIG: &str = "citywatch.toml";

pub fn run(options: &Check) -> ExitCode {
    let mut report = Report::default();
    match &options.config {
        Some(path) => report.check_config(path),
        None if options.rules.is_empty() => report.check_config(Path::new(USUAL_CONFIG)),
        None => {}
    }
    if !options.rules.is_empty() {
        match rule_files::read(&options.rules) {
            Ok(sources) => report.check_rules(&sources),
            Err(problems) => problems.iter().for_each(|problem| report.problem(problem)),
        }
    }
    report.end()
}

/// Gateways that plans want and the configuration does not have, at the first line that names them.
fn unserved(config: &Config, bundle: &Bundle) -> Vec<Mistake> {
    let plans = bundle.files.iter().find(|file| file.part == Part::Plans);
    let problems = config::unserved(config, &bundle.directory).into_iter();
    problems
        .filter_map(|(kind, problem)| {
            let file = plans?;
            let named = |line: &str| {
                let code = line.split('#').next().unwrap_or_default();
                let mut words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                words.any(|word| word == kind)
            };
            let line = file.text.lines().position(named);
            let mistake = Mistake {
                line: line.and_then(|line| u32::try_from(line + 1).ok()),
                ..Mistake::of_file(&file.shown, &problem)
            };
            Some(mistake.written())
        })
        .collect()
}

#[derive(Default)]
struct Report {
    problems: usize,
}

impl Report {
    fn problem(&mut self, problem: &dyn std::fmt::Display) {
        self.problems += 1;
        eprintln!("{problem}\n");
    }

    fn check_config(&mut self, path: &Path) {
        let (config, problems) = config::read_all(path);
        problems.iter().for_each(|problem| self.problem(problem));
        let Some(config) = config else { return };
        if problems.is_empty() {
            self.check_gateways(path, &config);
        }
        match bundle::read(&config.bundle) {
            Ok(bundle) => {
                println!(
                    "{}: {} sensors, {} zones, {} departments, {} rules",
                    path.display(),
                    bundle.registry.sensors.len(),
                    bundle.zones.0.len(),
                    bundle.directory.departments.len(),
                    bundle.rules.rules.len()
                );
                self.check_bundle(&config, &bundle, problems.is_empty());
            }
            Err(problems) => problems.iter().for_each(|problem| self.problem(problem)),
        }
        if problems.is_empty() {
            config.links.iter().for_each(|link| self.check_link(link));
        }
    }

    fn check_gateways(&mut self, path: &Path, config: &Config) {
        if let Some(archive) = &config.archive {
            check_archive(archive, &config.storage.folder);
        }
        let gateways = [
            config.sms.as_ref().map(|sms| sms.settings().map(drop)),
            config.mail.as_ref().map(|mail| mail.settings("").map(drop)),
        ];
        for problem in gateways.into_iter().flatten().filter_map(Result::err) {
            self.problem(&format!("{}: {problem}", path.display()));
        }
    }

    /// A configuration that is not `whole` may lack what the bundle wants, so only its own files are judged.
    fn check_bundle(&mut self, config: &Config, bundle: &Bundle, whole: bool) {
        if whole || config.bundle.plans.is_some() {
            self.judge(bundle);
        } else {
            self.check_rules(&bundle.shown_sources());
        }
        if whole {
            for problem in unserved(config, bundle) {
                self.problem(&problem);
            }
            for hint in bundle::hints(bundle) {
                eprintln!("warning: {hint}\n");
            }
        }
    }

    /// Tries the broker out; whatever it answers, the configuration is no worse for it.
    fn check_link(&mut self, link: &Link) {
        let settings = match link.read() {
            Ok(settings) => settings,
            Err(problem) => return self.problem(&problem),
        };
        if let Err(problem) = settings.check() {
            return self.problem(&problem);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let findings = match runtime {
            Ok(runtime) => runtime.block_on(link::probe(&settings, TRIAL_LIMIT)),
            Err(error) => return self.problem(&error),
        };
        for finding in findings {
            if finding.warning {
                eprintln!("link `{}`: warning: {}\n", link.name, finding.text);
            } else {
                println!("link `{}`: {}", link.name, finding.text);
            }
        }
    }

    /// What the service judges before it puts a bundle in force.
    fn judge(&mut self, bundle: &Bundle) {
        match bundle::judge(bundle, None) {
            Ok(tested) => told_tests(tested.passed, bundle.sources().len(), 0),
            Err(mistakes) => mistakes.iter().for_each(|mistake| self.problem(mistake)),
        }
    }

    fn check_rules(&mut self, sources: &[RuleSource]) {
        match citywatch_rules::run_scenarios(sources) {
            Ok(report) => {
                told_tests(report.passed, sources.len(), report.failed.len());
                report
                    .failed
                    .iter()
                    .for_each(|failure| self.problem(failure));
            }
            Err(problems) => {
                self.problems += problems.list.len();
                eprintln!(
                    "{}",
                    problems.render(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                );
            }
        }
    }

    fn end(self) -> ExitCode {
        match self.problems {
            0 => ExitCode::SUCCESS,
            count => {
                eprintln!(
                    "{count} {}",
                    if count == 1 { "problem" } else { "problems" }
                );
                ExitCode::FAILURE
            }
        }
    }
}

fn told_tests(passed: usize, files: usize, failed: usize) {
    println!("{passed} tests in {files} rule files passed, {failed} failed");
}

/// An archive that does not answer now is no mistake of the configuration, and the service starts without it.
fn check_archive(archive: &config::Archive, storage: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let reached = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let settings = archive.settings(storage)?;
            let reached = runtime.block_on(citywatch_ingest::archive::reach(&settings));
            runtime.shutdown_background();
            reached
        });
    match reached {
        Ok(()) => println!("the archive at {} answers", archive.url),
        Err(reason) => eprintln!(
            "warning: the archive at {} does not answer: {reason}\n",
            archive.url
        ),
    }
}
