//! `citywatch apply`, `diff` and `export`: a folder against what is in force. They speak to the running service; if
//! none runs, they use its ledger.

mod folder;
mod reach;

use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use citywatch_alerting::ledger::Part;

use crate::bundle::{self, BundleFile};
use crate::cli::{Apply, Diff, Export, Target};
use folder::{Places, files};
use reach::{Compared, Found, Reach};

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

async fn diff_folder(options: &Diff) -> Ended {
    let files = files(&options.target)?;
    let reach = Reach::open(&options.target).await?;
    let found = reach.difference(files.clone()).await?;
    reach.close().await?;
    if found.difference.is_empty() {
        println!("nothing differs: version {} is in force", found.version);
        return Ok(ExitCode::SUCCESS);
    }
    show(&files, &found);
    Ok(ExitCode::FAILURE)
}

async fn apply_folder(options: &Apply) -> Ended {
    let files = files(&options.target)?;
    let reach = Reach::open(&options.target).await?;
    let found = reach.difference(files.clone()).await?;
    if found.difference.is_empty() {
        println!("nothing differs: version {} is in force", found.version);
        reach.close().await?;
        return Ok(ExitCode::SUCCESS);
    }
    show(&files, &found);
    keeps_rules(&files, &found, &options.target)?;
    if !options.yes && !confirmed(found.difference.rules_removed())? {
        println!("nothing was changed");
        reach.close().await?;
        return Ok(ExitCode::FAILURE);
    }
    let reason = options.reason.clone().unwrap_or_else(|| {
        let folder = options.target.folder.display();
        format!("citywatch apply {folder}")
    });
    let version = reach.apply(files, &reason, &found).await?;
    match reach.ledger() {
        None => println!("version {version} is in force"),
        Some(ledger) => println!(
            "version {version} is written to the ledger {}; no service runs here, and it is in force as soon as one starts",
            ledger.display()
        ),
    }
    reach.close().await?;
    Ok(ExitCode::SUCCESS)
}

/// What is different, and what `check` would warn of.
fn show(files: &[BundleFile], found: &Compared) {
    print!("{}", found.difference);
    println!("{} tests in the rule files passed", found.tests_passed);
    // they have no mistake, or there were no difference
    let hints = bundle::compile(files.to_vec()).map(|bundle| bundle::hints(&bundle));
    for hint in hints.unwrap_or_default() {
        eprintln!("warning: {hint}\n");
    }
}

/// Refuses a bundle without any rule while rules are in force, as `run --apply-bundle` does: half a copy looks like that.
fn keeps_rules(files: &[BundleFile], found: &Compared, target: &Target) -> Result<(), String> {
    let removed = found.difference.rules_removed();
    let ruled = files.iter().any(|file| file.part == Part::Rules)
        && bundle::compile(files.to_vec()).is_ok_and(|bundle| !bundle.rules.rules.is_empty());
    if ruled || removed == 0 {
        return Ok(());
    }
    Err(format!(
        "nothing was changed: the bundle of {} has no rule, and would take away all {removed} that are in force: add the rule files, or name them under [bundle] rules in its citywatch.toml",
        target.folder.display()
    ))
}

/// Asks the person at the terminal; without one, `--yes` must have been said.
fn confirmed(rules_removed: usize) -> Result<bool, String> {
    if !std::io::stdin().is_terminal() {
        return Err("nothing was changed: say --yes where nobody can be asked".to_owned());
    }
    match rules_removed {
        0 => print!("Put this in force? [y/N] "),
        1 => print!("1 rule is removed. Put this in force? [y/N] "),
        count => print!("{count} rules are removed. Put this in force? [y/N] "),
    }
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
    let places = Places::of(&options.target);
    let differing: Vec<(PathBuf, &BundleFile)> = files
        .iter()
        .map(|file| (places.of_file(&file.name), file))
        .filter(|(path, file)| std::fs::read(path).map_or(true, |old| old != file.text.as_bytes()))
        .collect();
    let old = differing.iter().filter(|(path, _)| path.exists());
    let names: Vec<String> = old
        .filter(|(path, _)| !options.force || !places.holds(path))
        .map(|(path, _)| path.display().to_string())
        .collect();
    if !names.is_empty() {
        return Err(format!(
            "these files differ from what is in force and were left alone, and nothing was written: {}; say --force to overwrite those in the folder, or name another folder",
            names.join(", ")
        ));
    }
    for (path, file) in differing {
        write(&path, file).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    println!(
        "version {version}: {} files written to {}",
        files.len(),
        folder.display()
    );
    for left in places.others(&files) {
        println!(
            "{left} is not in force; the next `citywatch apply` of this folder would put it in force"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, file: &BundleFile) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    if file.part == Part::Plans {
        // they hold secrets and addresses; one that is there keeps the rights that people gave it
        options.mode(0o600);
    }
    options.open(path)?.write_all(file.text.as_bytes())
}
