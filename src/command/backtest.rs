//! `citywatch backtest`: gathers rules, sensors, plans and labels, replays recorded readings or the service's
//! own history, prints the transitions and the report. What a report says is `crate::backtest`'s affair.

mod inputs;
mod own_history;
mod print;
mod readings;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::backtest::{self, BacktestError, Report, Task};
use crate::cli::{Backtest, Format};

use inputs::Inputs;
use print::Printer;
use readings::Readings;

pub fn run(options: &Backtest) -> ExitCode {
    match replay(options) {
        Ok(()) => ExitCode::SUCCESS,
        // whoever reads our output has seen enough
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Failure::Output(error)) => problem(&format!("cannot write the transitions: {error}")),
        Err(Failure::Problems(problems)) => problem(&problems.join("\n")),
        Err(Failure::Usage(text)) => {
            eprintln!("citywatch backtest: {text}");
            ExitCode::from(2)
        }
    }
}

fn problem(text: &str) -> ExitCode {
    eprintln!("citywatch backtest: {text}");
    ExitCode::FAILURE
}

enum Failure {
    /// Standard output takes no more.
    Output(io::Error),
    Problems(Vec<String>),
    Usage(String),
}

impl Failure {
    fn one(error: impl std::fmt::Display) -> Failure {
        Failure::Problems(vec![error.to_string()])
    }
}

fn replay(options: &Backtest) -> Result<(), Failure> {
    let inputs = Inputs::gather(options)?;
    // a file that cannot be written is told before the long work, not after it
    let file = options.report.as_deref().map(create).transpose()?;
    let readings = Readings::open(options, &inputs)?;
    let mut printer = Printer::new(options.format, &inputs.rules);
    let report = evaluate(options, &inputs, readings, &mut printer);
    printer.end().map_err(Failure::Output)?;
    let report = report.map_err(Failure::one)?;
    print(options.format, &report).map_err(Failure::Output)?;
    if report.data.readings == 0 {
        eprintln!("citywatch backtest: {}", nothing_read(options));
    }
    if let Some((path, file)) = file {
        write(file, &report).map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}

fn evaluate(
    options: &Backtest,
    inputs: &Inputs,
    readings: Readings,
    printer: &mut Printer,
) -> Result<Report, BacktestError> {
    let task = Task {
        rules: Arc::clone(&inputs.rules),
        registry: &inputs.registry,
        against: inputs.against.clone(),
        labels: inputs.labels.as_ref(),
        plans: inputs.plans(),
        timezone: inputs.timezone.clone(),
        positions: options.positions,
        workers: usize::from(options.workers),
        epoch: options.epoch as usize,
    };
    let (bad_rows, bar) = (readings.bad_rows(), readings.bar());
    let mut out = |transition: &citywatch_model::Transition| {
        if printer.print(transition) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let report = backtest::run(&task, readings, &mut out);
    bar.finish_and_clear();
    let mut report = report?;
    report.data.bad_rows = bad_rows.told();
    Ok(report)
}

fn nothing_read(options: &Backtest) -> &'static str {
    if options.from.is_some() || options.to.is_some() {
        "no readings in the chosen time: look at --from and --to"
    } else {
        "no readings at all"
    }
}

/// For people, on standard error with `jsonl`, whose standard output holds transitions only.
fn print(format: Format, report: &Report) -> io::Result<()> {
    match format {
        Format::Jsonl => write!(io::stderr().lock(), "{report}"),
        Format::Text => write!(io::stdout().lock(), "\n{report}"),
    }
}

fn create(path: &Path) -> Result<(&Path, File), Failure> {
    let file = File::create(path).map_err(|error| unwritable(path, &error))?;
    Ok((path, file))
}

fn write(file: File, report: &Report) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, report)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::one(format!(
        "cannot write the report {}: {error}; name another file with --report",
        path.display()
    ))
}
