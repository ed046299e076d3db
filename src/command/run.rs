//! `citywatch run`: the service, until SIGTERM or Ctrl-C.

use std::process::ExitCode;

use citywatch_ingest::Clock;
use tokio::signal::unix::{SignalKind, signal};

use crate::bundle;
use crate::cli::Run;
use crate::command::password;
use crate::config;
use crate::service::{Lost, Service, Start};

pub async fn run(options: Run) -> ExitCode {
    match serve(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            for problem in problems {
                eprintln!("citywatch run: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Run) -> Result<(), Vec<String>> {
    let config = config::read(&options.config)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let one = |error: &dyn std::fmt::Display| vec![error.to_string()];
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| one(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| one(&error))?;
    let start = Start {
        files: bundle::of_paths(&config.bundle),
        clock: Clock::wall(),
        apply_bundle: options.apply_bundle,
        lost: Lost {
            journal: options.journal_lost,
            ledger: options.ledger_lost,
        },
        announce: password::announce,
    };
    let ended = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(ended);
    let service = tokio::select! {
        started = Service::start(&config, start) => started.map_err(|error| one(&error))?,
        // nothing was accepted yet, so nothing has to be drained
        () = &mut ended => return Ok(()),
    };
    let fault = tokio::select! {
        () = ended => None,
        what = service.fault() => Some(what),
    };
    service.stop().await;
    // half a service would accept readings that nobody judges
    fault.map_or(Ok(()), |what| {
        Err(vec![format!(
            "the {what} has ended by a fault that the log tells; nothing that was accepted is lost: start the service again"
        )])
    })
}
