//! Rules to be read and tried: which are in force, what each says, what it said before, and whether a text would
//! be a rule. Changes nothing.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use citywatch_alerting::ledger::{OpenAlerts, RuleMode};
use citywatch_model::{Level, Name, RuleSource, Text};
use citywatch_rules::ast::Rule;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::access::Viewer;
use super::bundle::VersionHead;
use super::problem::{Body, Path, Problem};
use super::view::Problems;
use crate::bundle::{Mistake, NamedText, of_texts};
use crate::in_force::{Present, RuleStep, rule_alone, rule_steps, unified};

/// Versions of a rule that are listed at most.
const STEPS: usize = 1_000;

/// A rule in force
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleView {
    /// Its id
    #[schema(example = "flood.underpass-depth")]
    pub id: String,
    /// For people
    pub name: Text,
    /// Label such as `flood`; may be empty
    pub hazard: String,
    /// What it measures
    pub measurement: String,
    /// Unit of its values; may be empty
    pub unit: String,
    /// `live`: its transitions become alerts; `shadow`: evaluated and recorded, never notified; `off`
    #[schema(example = "live")]
    pub mode: String,
    /// What stands above its file, for how long and why
    pub set: Option<RuleMode>,
    /// From 1; rises when its own text or its mode changes
    #[schema(example = 3)]
    pub version: i64,
    /// The file that holds it
    pub file: String,
    /// The condition of each level
    pub levels: BTreeMap<String, String>,
    /// Alerts of it that are not closed
    pub open_alerts: u64,
    /// Alerts in shadow of it that are not closed
    pub open_shadow: u64,
}

fn view(present: &Present, rule: &Rule, open: OpenAlerts) -> RuleView {
    let (info, contents) = (&rule.info, &present.version.contents);
    let set = contents.modes.get(&info.id).cloned();
    let levels = Level::ALL.into_iter().zip(&rule.levels);
    let levels = levels.filter_map(|(level, condition)| {
        Some((level.word().to_owned(), condition.as_ref()?.to_string()))
    });
    let file = present.places.get(&info.id);
    let file = file.and_then(|place| present.bundle.files.get(place.file));
    RuleView {
        id: info.id.to_string(),
        name: info.name.clone(),
        hazard: info.hazard.to_string(),
        measurement: info.measurement.to_string(),
        unit: info.unit.to_string(),
        mode: set.as_ref().map_or(info.mode, |set| set.mode).to_string(),
        set,
        version: contents.rules.get(&info.id).map_or(0, |rule| rule.version),
        file: file.map(|file| file.name.clone()).unwrap_or_default(),
        levels: levels.collect(),
        open_alerts: open.live,
        open_shadow: open.shadow,
    }
}

/// The rules in force, in the order of their ids
#[utoipa::path(get, path = "/api/v1/rules", tag = "rules",
    responses((status = 200, body = Vec<RuleView>), Problems))]
pub async fn list(State(app): State<App>, _: Viewer) -> Result<Json<Vec<RuleView>>, Problem> {
    let present = app.keeper.present();
    let open = app.ledger.open_alerts().await?;
    let rules = present.bundle.rules.rules.iter().map(|rule| {
        let open = open.get(&rule.info.id).copied().unwrap_or_default();
        view(&present, rule, open)
    });
    Ok(Json(rules.collect()))
}

/// One version of a rule
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleVersionView {
    /// From 1
    pub version: i64,
    /// The version of the whole that brought it, with who, when and why
    pub brought: VersionHead,
    /// Its mode from then on; absent: it was removed
    pub mode: Option<String>,
    /// What stood above its file
    pub set: Option<RuleMode>,
    /// Its own text; absent: it was removed
    pub text: Option<String>,
    /// What changed in its own text, line by line in the unified form
    pub difference: String,
}

fn steps(id: Name, steps: &[RuleStep]) -> Vec<RuleVersionView> {
    let text = |step: Option<&RuleStep>| {
        let text = step.and_then(|step| step.text.clone());
        text.unwrap_or_default()
    };
    let step = |(index, step): (usize, &RuleStep)| RuleVersionView {
        version: step.rule.version,
        brought: (&step.version).into(),
        mode: step.text.as_ref().map(|_| step.rule.mode.to_string()),
        set: step.mode.clone(),
        difference: unified(&id, &text(steps.get(index + 1)), &text(Some(step))),
        text: step.text.clone(),
    };
    steps.iter().enumerate().map(step).collect()
}

/// The rule of that id, in force or not any more.
pub fn ever_known(present: &Present, id: &str) -> Result<Name, Problem> {
    let mut known = present.version.contents.rules.keys();
    let found = known.find(|rule| rule.as_str() == id);
    found.copied().ok_or_else(|| {
        Problem::not_found(format!(
            "there is no rule `{id}` and there never was; list them to see which there are"
        ))
    })
}

async fn versions_of(app: &App, id: Name) -> Result<Vec<RuleVersionView>, Problem> {
    let present = app.keeper.present();
    let found = rule_steps(&app.ledger, &present.version, (id, STEPS)).await?;
    Ok(steps(id, &found))
}

/// A rule with its text and its versions
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleDetail {
    /// The rule
    pub rule: RuleView,
    /// Its own text, as `PUT` takes it
    pub text: String,
    /// Its versions, the newest first
    pub versions: Vec<RuleVersionView>,
}

/// One rule in force
#[utoipa::path(get, path = "/api/v1/rules/{id}", tag = "rules", params(("id" = String, Path)),
    responses((status = 200, body = RuleDetail), Problems))]
pub async fn detail(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<RuleDetail>, Problem> {
    let present = app.keeper.present();
    let mut rules = present.bundle.rules.rules.iter();
    let rule = rules
        .find(|rule| rule.info.id.as_str() == id)
        .ok_or_else(|| {
            Problem::not_found(format!(
                "there is no rule `{id}` in force; list them to see which there are"
            ))
        })?;
    let id = rule.info.id;
    let open = app.ledger.open_alerts().await?;
    let place = present.places.get(&id);
    Ok(Json(RuleDetail {
        rule: view(&present, rule, open.get(&id).copied().unwrap_or_default()),
        text: place.map(|place| place.text.clone()).unwrap_or_default(),
        versions: versions_of(&app, id).await?,
    }))
}

/// The versions of a rule, the newest first; also of one that was removed
#[utoipa::path(get, path = "/api/v1/rules/{id}/versions", tag = "rules", params(("id" = String, Path)),
    responses((status = 200, body = Vec<RuleVersionView>), Problems))]
pub async fn versions(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<String>,
) -> Result<Json<Vec<RuleVersionView>>, Problem> {
    let id = ever_known(&app.keeper.present(), &id)?;
    Ok(Json(versions_of(&app, id).await?))
}

/// Rules to be tried: files, or one text
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckCall {
    /// Rule files that belong together
    #[serde(default)]
    pub files: Vec<NamedText>,
    /// Or a rule file, or the keys of one rule
    #[serde(default)]
    #[schema(example = "id: gas.leak\nmeasurement: methane\nlevels: { orange: value >= 20 }\n")]
    pub text: Option<String>,
}

/// What was found
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckView {
    /// Whether all of it could be put in force, as far as rules alone can tell
    pub good: bool,
    /// Every mistake with its place, and every test that did not come out as written
    pub mistakes: Vec<Mistake>,
    /// Tests that came out as written
    pub passed: usize,
    /// The file that places refer to, where one was made of `text`
    pub file: Option<NamedText>,
}

/// Reads rules and runs their tests; nothing is changed
#[utoipa::path(post, path = "/api/v1/rules/check", tag = "rules", request_body = CheckCall,
    responses((status = 200, body = CheckView), Problems))]
pub async fn check(_: Viewer, Body(body): Body<CheckCall>) -> Result<Json<CheckView>, Problem> {
    let made = body.text.map(|text| NamedText {
        file: "rules/check.yaml".to_owned(),
        text: rule_alone(&text),
    });
    let mut texts = body.files;
    texts.extend(made.clone());
    if texts.is_empty() {
        return Err(Problem::bad_request("send `files` or `text`"));
    }
    let tried = tokio::task::spawn_blocking(move || try_out(texts)).await;
    let (mistakes, passed) = tried.map_err(|error| Problem::internal(&error))?;
    Ok(Json(CheckView {
        good: mistakes.is_empty(),
        mistakes,
        passed,
        file: made,
    }))
}

fn try_out(texts: Vec<NamedText>) -> (Vec<Mistake>, usize) {
    let files = match of_texts(texts) {
        Ok(files) => files,
        Err(mistakes) => return (mistakes, 0),
    };
    let sources: Vec<RuleSource> = files.into_iter().map(Into::into).collect();
    match citywatch_rules::run_scenarios(&sources) {
        Ok(report) => (
            report.failed.iter().map(Into::into).collect(),
            report.passed,
        ),
        Err(problems) => (problems.list.iter().map(Into::into).collect(), 0),
    }
}
