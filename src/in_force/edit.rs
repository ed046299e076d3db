//! What the API can do to one rule, as wishes: another text, none, another mode, back to an earlier version. Values
//! only; nothing is put in force here.

use citywatch_alerting::LedgerError;
use citywatch_alerting::ledger::{Part, RuleMode};
use citywatch_model::{Mode, Name, Time};
use citywatch_rules::rule_places;

use super::change::ChangeError;
use super::present::{Present, Wish};
use super::rule_text;
use crate::bundle::BundleFile;

/// Where a rule goes back to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The version that the rule had when the way back was looked up.
    pub seen: i64,
    /// Its own text then.
    pub text: String,
    /// What stood above its file then.
    pub mode: Option<RuleMode>,
}

/// What is to become of a rule.
#[derive(Debug, Clone)]
pub enum Edit {
    /// This is its text, new or instead of the one it has.
    Put(String),
    /// It is gone.
    Delete,
    /// Another mode, perhaps for a time.
    Mode {
        mode: Mode,
        until: Option<Time>,
        reason: String,
    },
    /// As it was.
    Back(Box<Target>),
}

impl Edit {
    /// The wish that does it to the rule `id`; `now` is the service's clock.
    ///
    /// # Errors
    /// If there is no such rule, or it cannot be done.
    pub fn wish(self, present: &Present, id: &str, now: Time) -> Result<Wish, ChangeError> {
        match self {
            Edit::Put(text) => put(present, id, &text),
            Edit::Delete => delete(present, id),
            Edit::Mode {
                mode,
                until,
                reason,
            } => {
                if until.is_some_and(|until| until <= now) {
                    return Err(ChangeError::Invalid(format!(
                        "`until` has passed: it is {now} now; name a time to come, or leave it out"
                    )));
                }
                set_mode(present, known(present, id)?, (mode, until, reason))
            }
            Edit::Back(target) => back(present, id, *target, now),
        }
    }
}

fn known(present: &Present, id: &str) -> Result<Name, ChangeError> {
    let found = present.places.keys().find(|rule| rule.as_str() == id);
    found.copied().ok_or_else(|| {
        ChangeError::Missing(format!(
            "there is no rule `{id}` in force; list them to see which there are"
        ))
    })
}

fn put(present: &Present, id: &str, text: &str) -> Result<Wish, ChangeError> {
    let own = one_rule(id, text)?;
    let mut wish = present.wish();
    if let Ok(rule) = known(present, id) {
        let place = &present.places[&rule];
        let file = &mut wish.files[place.file];
        file.text = rule_text::replaced(&file.text, place.range.clone(), &own);
    } else {
        let taken = |name: &str| present.bundle.files.iter().any(|file| file.name == name);
        let mut name = format!("rules/{id}.yaml");
        let mut number = 2;
        while taken(&name) {
            name = format!("rules/{id}-{number}.yaml");
            number += 1;
        }
        wish.files.push(BundleFile {
            part: Part::Rules,
            shown: name.clone(),
            name,
            text: rule_text::alone(&own),
        });
    }
    Ok(wish)
}

/// The text, if it is that of exactly this rule. Other mistakes are told with their place when all is checked.
fn one_rule(id: &str, text: &str) -> Result<String, ChangeError> {
    let text = text.trim_end();
    let ids: Vec<Name> = rule_places(&rule_text::alone(text))
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    match ids.as_slice() {
        [one] if one.as_str() == id => Ok(text.to_owned()),
        [] => Err(ChangeError::Invalid(format!(
            "the text is not that of a rule: write its keys from the first column on, `id: {id}` among them"
        ))),
        [other] => Err(ChangeError::Invalid(format!(
            "the text is that of rule `{other}`, not of `{id}`: change its `id`, or use the other address"
        ))),
        _ => Err(ChangeError::Invalid(
            "the text holds several rules: send one, or all files as a bundle".to_owned(),
        )),
    }
}

fn delete(present: &Present, id: &str) -> Result<Wish, ChangeError> {
    let rule = known(present, id)?;
    let place = &present.places[&rule];
    let mut wish = present.wish();
    match rule_text::removed(&wish.files[place.file].text, place.range.clone()) {
        Some(rest) => wish.files[place.file].text = rest,
        None => {
            wish.files.remove(place.file);
        }
    }
    Ok(wish)
}

/// What the rule's file alone says.
fn of_file(present: &Present, rule: Name) -> Mode {
    let mut rules = present.bundle.rules.rules.iter();
    let found = rules.find(|found| found.info.id == rule);
    found.map_or(Mode::default(), |found| found.info.mode)
}

fn set_mode(
    present: &Present,
    rule: Name,
    (mode, until, reason): (Mode, Option<Time>, String),
) -> Result<Wish, ChangeError> {
    let mut wish = present.wish();
    let standing = wish.modes.remove(&rule);
    if until.is_none() && mode == of_file(present, rule) {
        return Ok(wish);
    }
    // what holds after it: what held before the first of several that follow each other
    let back = standing.and_then(|standing| match standing.until {
        Some(_) => standing.back,
        None => Some(standing.mode),
    });
    let new = RuleMode {
        mode,
        back: until.and(back),
        until,
        reason,
    };
    wish.modes.insert(rule, new);
    Ok(wish)
}

fn back(present: &Present, id: &str, target: Target, now: Time) -> Result<Wish, ChangeError> {
    let rules = &present.version.contents.rules;
    let mut entries = rules.iter().filter(|(rule, _)| rule.as_str() == id);
    let Some((rule, entry)) = entries.next() else {
        return Err(ChangeError::Missing(format!(
            "there never was a rule `{id}`"
        )));
    };
    if entry.version != target.seen {
        return Err(ChangeError::Ledger(LedgerError::Conflict(format!(
            "rule `{id}` is at version {} and no longer at {}: look at it again, then decide",
            entry.version, target.seen
        ))));
    }
    let mut wish = put(present, id, &target.text)?;
    match target.mode {
        // a time that has passed does not come back
        Some(mode) if mode.until.is_none_or(|until| until > now) => wish.modes.insert(*rule, mode),
        Some(_) | None => wish.modes.remove(rule),
    };
    Ok(wish)
}
