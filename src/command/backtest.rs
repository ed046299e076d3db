//! `citywatch backtest`: recorded readings through the engine, transitions on standard output.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use citywatch_ingest::recorded::{self, BadRow, Options};
use citywatch_model::{Observation, Registry, Time, Transition};
use citywatch_rules::ast::RuleSet;
use citywatch_rules::{Setup, Summary};
use indicatif::{ProgressBar, ProgressStyle};

use crate::bundle;
use crate::cli::{Backtest, Format};
use crate::config;

/// Bad rows that are shown one by one; all are counted.
const SHOWN_BAD_ROWS: usize = 20;

pub fn run(options: &Backtest) -> ExitCode {
    match replay(options) {
        Ok(()) => ExitCode::SUCCESS,
        // whoever reads our output has seen enough
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => problem(&format!("cannot write the transitions: {error}")),
        Err(Failure::Problems(problems)) => problem(&problems.join("\n")),
    }
}

fn problem(text: &str) -> ExitCode {
    eprintln!("citywatch backtest: {text}");
    ExitCode::FAILURE
}

enum Failure {
    Output(io::Error),
    Problems(Vec<String>),
}

fn replay(options: &Backtest) -> Result<(), Failure> {
    let paths = config::Bundle {
        sensors: options.sensors.clone(),
        zones: options.zones.clone(),
        plans: None,
        rules: options.rules.clone(),
    };
    let bundle = bundle::read(&paths).map_err(Failure::Problems)?;
    let one = |error: &dyn std::fmt::Display| Failure::Problems(vec![error.to_string()]);
    let registry = Arc::new(bundle.registry.clone());
    let bad_rows = Arc::new(AtomicUsize::new(0));
    let options_read = Options {
        registry,
        on_bad_row: Some(tell_bad_rows(bad_rows.clone())),
    };
    let recorded = recorded::open(&options.data, options_read).map_err(|error| one(&error))?;
    let read = recorded.progress();
    let bar = progress(read.total());
    let shown = bar.clone();
    let observations = recorded.enumerate().map(move |(index, observation)| {
        if index % 65_536 == 0 {
            shown.set_position(read.read());
        }
        observation
    });
    let mut printer = Printer::new(options.format, &bundle.rules);
    let summary = evaluate(
        options,
        &bundle.rules,
        bundle.registry,
        observations,
        &mut printer,
    );
    bar.finish_and_clear();
    let summary = summary.map_err(|error| one(&error))?;
    printer.end().map_err(Failure::Output)?;
    print_summary(options.format, &summary, bad_rows.load(Ordering::Relaxed));
    Ok(())
}

fn evaluate(
    options: &Backtest,
    rules: &RuleSet,
    registry: Registry,
    observations: impl Iterator<Item = Observation>,
    printer: &mut Printer,
) -> Result<Summary, citywatch_rules::EngineError> {
    let setup = Setup {
        rules: Arc::new(rules.clone()),
        registry,
        workers: usize::from(options.workers),
        epoch: options.epoch as usize,
    };
    citywatch_rules::backtest(observations, setup, |transition| printer.print(transition))
}

fn tell_bad_rows(count: Arc<AtomicUsize>) -> Box<dyn FnMut(&BadRow) + Send> {
    Box::new(move |row| match count.fetch_add(1, Ordering::Relaxed) {
        told if told < SHOWN_BAD_ROWS => eprintln!("{row}"),
        SHOWN_BAD_ROWS => eprintln!("more bad rows follow; they are counted"),
        _ => {}
    })
}

fn progress(bytes: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    if let Ok(style) =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {percent}% {eta} left")
    {
        bar.set_style(style);
    }
    bar
}

/// Prints transitions as they come; remembers the first failure and prints nothing after it.
struct Printer {
    format: Format,
    units: std::collections::HashMap<citywatch_model::Name, citywatch_model::Name>,
    out: BufWriter<io::Stdout>,
    failed: Option<io::Error>,
}

impl Printer {
    fn new(format: Format, rules: &RuleSet) -> Printer {
        let units = rules
            .rules
            .iter()
            .map(|rule| (rule.info.id, rule.info.unit))
            .collect();
        Printer {
            format,
            units,
            out: BufWriter::with_capacity(1 << 16, io::stdout()),
            failed: None,
        }
    }

    fn print(&mut self, transition: &Transition) {
        if self.failed.is_none() {
            self.failed = self.write(transition).err();
        }
    }

    fn write(&mut self, transition: &Transition) -> io::Result<()> {
        match self.format {
            Format::Jsonl => {
                let line = Line {
                    time: transition.time,
                    kind: transition.kind.word(),
                    rule: transition.rule.as_str(),
                    subject: transition.subject.as_str(),
                    level: transition.level.word(),
                    value: transition.value,
                };
                serde_json::to_writer(&mut self.out, &line)?;
                self.out.write_all(b"\n")
            }
            Format::Text => {
                let Transition {
                    time,
                    kind,
                    rule,
                    subject,
                    level,
                    ..
                } = transition;
                let time = time.to_string();
                write!(self.out, "{time:<24} {kind:<6} {level:<6} {rule} {subject}")?;
                if let Some(value) = transition.value {
                    let unit = self.units.get(rule).map_or("", |unit| unit.as_str());
                    write!(
                        self.out,
                        " {value}{}{unit}",
                        if unit.is_empty() { "" } else { " " }
                    )?;
                }
                writeln!(self.out)
            }
        }
    }

    fn end(mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

/// A transition as a line of `--format jsonl`.
#[derive(serde::Serialize)]
struct Line<'a> {
    time: citywatch_model::Time,
    kind: &'a str,
    rule: &'a str,
    subject: &'a str,
    level: &'a str,
    value: Option<f64>,
}

/// For people, on standard error with `jsonl`, whose standard output holds transitions only.
fn print_summary(format: Format, summary: &Summary, bad_rows: usize) {
    let text = summary_text(summary, bad_rows);
    match format {
        Format::Jsonl => eprint!("{text}"),
        Format::Text => print!("\n{text}"),
    }
}

fn summary_text(summary: &Summary, bad_rows: usize) -> String {
    let moment =
        |time: Option<Time>| time.map_or_else(|| "never".to_owned(), |time| time.to_string());
    let mut text = format!(
        "{} readings in {} observations, {} to {}\n{} transitions: {} raise, {} change, {} clear\n",
        summary.readings,
        summary.observations,
        moment(summary.first),
        moment(summary.last),
        summary.raised + summary.changed + summary.cleared,
        summary.raised,
        summary.changed,
        summary.cleared
    );
    let counts = &summary.counts;
    for (count, what) in [
        (bad_rows as u64, "bad rows, not read"),
        (counts.late, "late readings, which only fill windows"),
        (counts.repeats, "readings that came twice"),
        (
            counts.conflicts,
            "readings that came again with another value; the first one counts",
        ),
        (counts.implausible, "implausible readings, shown to no rule"),
        (
            counts.unit_errors,
            "readings in a unit that a rule cannot convert, not shown to it",
        ),
    ] {
        if count > 0 {
            text.push_str(&format!("{count} {what}\n"));
        }
    }
    for error in &counts.unit_newest {
        text.push_str(&format!(
            "  {}: {} sends {} in `{}`, the rule wants `{}`, {} times\n",
            error.rule, error.sensor, error.measurement, error.unit, error.wanted, error.times
        ));
    }
    text
}
