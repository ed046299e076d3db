//! What is in force when the service starts, and changes while it does not run. Writes only the ledger: the journal
//! follows when the service has read it.

use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::{Actor, Call, NewVersion};
use serde_json::json;

use super::present::{Present, Proposal, Wish, propose, told};
use crate::bundle::{self, BundleFile, Mistake};

/// What is in force from this start on: what the ledger holds, or the bundle of `files` if the ledger is new or
/// `apply_bundle` asks for it. Otherwise a bundle that differs is only told. A bundle without rules is never written: half a
/// configuration looks like that, and what is in force stays when the file is whole again.
///
/// # Errors
/// If the bundle is needed and has mistakes, it would take all rules away, or the ledger fails.
pub async fn begin(
    ledger: &Ledger,
    files: Result<Vec<BundleFile>, Vec<Mistake>>,
    apply_bundle: bool,
) -> Result<Present, String> {
    let present = choose(ledger, files, apply_bundle).await?;
    if present.at_work() == 0 {
        tracing::warn!(
            "there are no rules in force, or all are off, so nothing can raise an alert: name rule files under [bundle] rules in the configuration and start again, or use `citywatch apply`"
        );
    }
    Ok(present)
}

async fn choose(
    ledger: &Ledger,
    files: Result<Vec<BundleFile>, Vec<Mistake>>,
    apply_bundle: bool,
) -> Result<Present, String> {
    let present = match Present::load(ledger).await? {
        Some(present) if !apply_bundle => {
            tell_difference(&present, files);
            return Ok(present);
        }
        present => present,
    };
    let bundle = files.and_then(bundle::compile_new);
    let bundle = bundle.map_err(|mistakes| told(&mistakes))?;
    let ruled = present
        .as_ref()
        .map(|present| present.bundle.rules.rules.len());
    match ruled {
        None if bundle.rules.rules.is_empty() => return Ok(Present::unwritten(bundle)),
        Some(rules @ 1..) if bundle.rules.rules.is_empty() => {
            return Err(format!(
                "the bundle in the files has no rule, and --apply-bundle would take away all {rules} that are in force: name rule files under [bundle] rules, or start without --apply-bundle"
            ));
        }
        _ => {}
    }
    let reason = if present.is_none() {
        "first start"
    } else {
        "run --apply-bundle"
    };
    let call = Call {
        actor: actor("bundle"),
        ..Call::default()
    };
    let (_, now) = apply(ledger, present, bundle.files, (reason, call)).await?;
    Ok(now)
}

/// A part of the program that acts for a person at its command line.
fn actor(name: &str) -> Actor {
    Actor {
        name: name.to_owned(),
        role: "service".to_owned(),
        from: String::new(),
    }
}

/// Writes `files` as a version if they differ from what is in force; modes that stand above the files stay. Answers
/// the version that was written, if one was, and what is in force now.
///
/// # Errors
/// Every mistake in the files, or why the ledger failed.
pub async fn apply(
    ledger: &Ledger,
    present: Option<Present>,
    files: Vec<BundleFile>,
    (reason, call): (&str, Call),
) -> Result<(Option<i64>, Present), String> {
    let modes = present.as_ref().map(|present| present.wish().modes);
    let wish = Wish {
        files,
        modes: modes.unwrap_or_default(),
    };
    let proposal = propose(present.as_ref(), wish).map_err(|mistakes| told(&mistakes))?;
    match present {
        Some(present) if proposal.difference.is_empty() => Ok((None, present)),
        _ => write(ledger, proposal, (reason, call)).await,
    }
}

async fn write(
    ledger: &Ledger,
    proposal: Proposal,
    (reason, call): (&str, Call),
) -> Result<(Option<i64>, Present), String> {
    let change = proposal.difference.numbers();
    let new = NewVersion {
        id: proposal.id,
        contents: proposal.contents.clone(),
        texts: &proposal.texts,
        act: "apply",
        asked: &json!(null),
        reason,
        change: &change,
    };
    let written = ledger.add_version(&new, &call).await;
    let version = written.map_err(|error| error.to_string())?;
    tracing::info!(version = version.id, %change, "a bundle was put in force");
    Ok((Some(version.id), Present::after(version, proposal)))
}

fn tell_difference(present: &Present, files: Result<Vec<BundleFile>, Vec<Mistake>>) {
    let modes = present.wish().modes;
    let proposal = match files {
        // files that are in force already were judged then: a start reads them once
        Ok(files) if present.holds(&files) => return,
        Ok(files) => propose(Some(present), Wish { files, modes }),
        Err(mistakes) => Err(mistakes),
    };
    match proposal {
        Ok(proposal) if proposal.difference.is_empty() => {}
        Ok(proposal) => tracing::warn!(
            version = present.version.id,
            difference = %proposal.difference.numbers(),
            "the bundle in the files differs from the one in force, which stays; `citywatch diff` shows how, `citywatch apply` puts the files in force"
        ),
        Err(mistakes) => {
            for mistake in mistakes {
                tracing::warn!(%mistake, "the bundle in the files has a mistake; what is in force stays");
            }
        }
    }
}
