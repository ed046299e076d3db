//! `citywatch admin-password`: the way back in for somebody who has the machine, and nobody else. Works on the ledger of
//! a service that is stopped; passwords go to standard output and never into the log.

use std::process::ExitCode;
use std::sync::Arc;

use citywatch_alerting::ledger::{Actor, Call};
use citywatch_alerting::{Ledger, Settings};

use crate::cli::AdminPassword;
use crate::config;
use crate::lock::{self, LockError};

pub async fn run(options: AdminPassword) -> ExitCode {
    match give(&options).await {
        Ok((name, password)) => {
            announce(&name, &password);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("citywatch admin-password: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Tells a one-time password to whoever started the program.
pub fn announce(name: &str, password: &str) {
    println!(
        "账号 account {name}, 一次性密码 one-time password {password}\n\
         首次登录时必须修改。It must be changed at the first login, and is not shown again."
    );
}

async fn give(options: &AdminPassword) -> Result<(String, String), String> {
    let config = config::read(&options.config).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let folder = &config.storage.folder;
    let _lock = lock::take(folder).map_err(|error| match error {
        LockError::Taken(_) => {
            "the service runs: stop it first, or let another admin reset the password".to_owned()
        }
        error @ LockError::Unusable { .. } => error.to_string(),
    })?;
    let metrics = prometheus::Registry::new();
    let path = folder.join("ledger.sqlite");
    let opened = Ledger::open(path, Arc::default(), Settings::default(), &metrics).await;
    let ledger = opened.map_err(|error| error.to_string())?;
    let given = rescue(&ledger, &options.name).await;
    ledger.shutdown().await.map_err(|error| error.to_string())?;
    given
}

async fn rescue(ledger: &Ledger, name: &str) -> Result<(String, String), String> {
    let told = |error: citywatch_alerting::LedgerError| error.to_string();
    if let Some((account, password)) = ledger.first_account().await.map_err(told)? {
        return Ok((account.name, password));
    }
    let call = Call {
        actor: Actor {
            name: std::env::var("USER").unwrap_or_else(|_| "command line".to_owned()),
            role: "admin".to_owned(),
            from: "command line".to_owned(),
        },
        ..Call::default()
    };
    let (account, password) = ledger.rescue_admin(name, &call).await.map_err(told)?;
    Ok((account.name, password))
}
