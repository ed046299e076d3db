//! `citywatch apply`, `diff` and `export`: a folder against what is in force. They speak to the running service; if
//! none runs, they use its ledger.

mod reach;

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::bundle::{self, BundleFile, Mistake};
use crate::cli::{Apply, Diff, Export};
use crate::in_force::told;
use reach::{Found, Reach};

/// Ended without a problem, or why not.
type Ended = Result<ExitCode, String>;

pub async fn apply(options: Apply) -> ExitCode {
    ended("apply", apply_folder(&options).await)
}

pub async fn diff(options: Diff) -> ExitCode {
    ended("diff", diff_folder(&options).await)
}

pub async fn export(options: Export) -> ExitCode {
    ended("export", export_folder(&options).await)
}

fn ended(command: &str, ended: Ended) -> ExitCode {
    ended.unwrap_or_else(|problem| {
        eprintln!("citywatch {command}: {problem}");
        ExitCode::FAILURE
    })
}

fn files(folder: &Path) -> Result<Vec<BundleFile>, String> {
    let files = bundle::of_folder(folder).map_err(|mistakes| told(&mistakes))?;
    if files.is_empty() {
        return Err(format!(
            "{} holds nothing of a bundle: it needs sensors.csv, zones.yaml, plans.yaml or rules/NAME.yaml",
            folder.display()
        ));
    }
    Ok(files)
}

async fn diff_folder(options: &Diff) -> Ended {
    let files = files(&options.target.folder)?;
    let reach = Reach::open(&options.target).await?;
    let found = reach.difference(files).await?;
    reach.close().await?;
    if found.difference.is_empty() {
        println!("nothing differs: version {} is in force", found.version);
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", found.difference);
    println!("{} tests in the rule files passed", found.tests_passed);
    Ok(ExitCode::FAILURE)
}

async fn apply_folder(options: &Apply) -> Ended {
    let files = files(&options.target.folder)?;
    let reach = Reach::open(&options.target).await?;
    let found = reach.difference(files.clone()).await?;
    if found.difference.is_empty() {
        println!("nothing differs: version {} is in force", found.version);
        reach.close().await?;
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", found.difference);
    println!("{} tests in the rule files passed", found.tests_passed);
    if !options.yes && !confirmed()? {
        println!("nothing was changed");
        reach.close().await?;
        return Ok(ExitCode::FAILURE);
    }
    let reason = options.reason.clone().unwrap_or_else(|| {
        let folder = options.target.folder.display();
        format!("citywatch apply {folder}")
    });
    let version = reach.apply(files, &reason, &found).await?;
    if reach.is_running() {
        println!("version {version} is in force");
    } else {
        println!(
            "version {version} is written; no service runs here, and it is in force as soon as one starts"
        );
    }
    reach.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the person at the terminal; without one, `--yes` must have been said.
fn confirmed() -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        return Err("nothing was changed: say --yes where nobody can be asked".to_owned());
    }
    print!("Put this in force? [y/N] ");
    let failed = |error: std::io::Error| error.to_string();
    std::io::stdout().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "是"))
}

async fn export_folder(options: &Export) -> Ended {
    let folder = &options.target.folder;
    let reach = Reach::open(&options.target).await?;
    let Found { version, files } = reach.files().await?;
    reach.close().await?;
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    if !options.force {
        let differs = |file: &&BundleFile| {
            let old = std::fs::read(folder.join(&file.name));
            old.is_ok_and(|old| old != file.text.as_bytes())
        };
        let names: Vec<&str> = files
            .iter()
            .filter(differs)
            .map(|file| file.name.as_str())
            .collect();
        if !names.is_empty() {
            return Err(format!(
                "these files differ from what is in force and were left alone, and nothing was written: {}; say --force to overwrite them, or name another folder",
                names.join(", ")
            ));
        }
    }
    for file in &files {
        let path = folder.join(&file.name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|error| unreadable(&error))?;
        std::fs::write(&path, &file.text).map_err(|error| unreadable(&error))?;
    }
    println!(
        "version {version}: {} files written to {}",
        files.len(),
        folder.display()
    );
    for left in others(folder, &files) {
        println!(
            "{left} is not in force; the next `citywatch apply` of this folder would put it in force"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Files of a bundle in the folder that are not among `files`.
fn others(folder: &Path, files: &[BundleFile]) -> Vec<String> {
    let known: BTreeSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let there = bundle::of_folder(folder).unwrap_or_else(|mistakes: Vec<Mistake>| {
        // what cannot be read is told by the next `apply`
        tracing::warn!("{}", told(&mistakes));
        Vec::new()
    });
    let names = there.into_iter().map(|file| file.name);
    names
        .filter(|name| !known.contains(name.as_str()))
        .collect()
}
