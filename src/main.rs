//! The program `citywatch`: command line, configuration, wiring, HTTP API, demo.

#![allow(
    clippy::print_stdout,
    reason = "the command line speaks on standard output"
)]

mod backtest;
mod backtests;
mod bundle;
mod cap_broker;
mod cli;
mod command;
mod config;
mod demo;
mod http;
mod http_client;
mod in_force;
mod latency;
mod lock;
mod pipeline;
mod rule_files;
mod selection;
mod service;

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(options) => command::check::run(&options),
        Command::Backtest(options) => command::backtest::run(&options),
        Command::Run(options) => serve(LogForm::Json, command::run::run(options)),
        Command::Demo(options) => serve(LogForm::Text, demo::run(options)),
        Command::Apply(options) => serve(LogForm::Text, command::district::apply(options)),
        Command::Diff(options) => serve(LogForm::Text, command::district::diff(options)),
        Command::Export(options) => serve(LogForm::Text, command::district::export(options)),
        Command::TestChannel(options) => serve(LogForm::Text, command::test_channel::run(options)),
        Command::AdminPassword(options) => serve(LogForm::Text, command::password::run(options)),
        Command::Simulate(options) => serve(LogForm::Text, command::simulate::run(options)),
    }
}

/// How log lines look.
#[derive(Clone, Copy)]
enum LogForm {
    Json,
    Text,
}

/// Runs `work` on a runtime, with logs on standard error. `RUST_LOG` chooses what is logged.
fn serve(form: LogForm, work: impl Future<Output = ExitCode>) -> ExitCode {
    let (default, json) = match form {
        LogForm::Json => (
            "info,fjall=warn,lsm_tree=warn,rmqtt=error,rmqtt_net=error,rmqtt_codec=error,rumqttc=error",
            true,
        ),
        LogForm::Text => (
            "warn,rmqtt=error,rmqtt_net=error,rmqtt_codec=error,rumqttc=error",
            false,
        ),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        log.json().flatten_event(true).init()
    } else {
        log.init()
    }
    on_runtime(work)
}

/// Runs `work` to its end, and nothing beyond it.
fn on_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // all that counts is synced and closed by now; what still blocks a thread, such as asking for the
            // address of a department whose name server is silent, is not waited for
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("citywatch: cannot start threads: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_blocked_thread_does_not_hold_up_the_end() {
        let (release, held) = mpsc::channel::<()>();
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            on_runtime(async move {
                let (begin, begun) = tokio::sync::oneshot::channel();
                tokio::task::spawn_blocking(move || {
                    begin.send(()).unwrap();
                    held.recv()
                });
                begun.await.unwrap();
                ExitCode::SUCCESS
            });
            end.send(()).unwrap();
        });
        let ended = ended.recv_timeout(Duration::from_secs(20));
        assert!(release.send(()).is_ok(), "the thread is still blocked");
        assert_eq!(ended, Ok(()));
    }
}
