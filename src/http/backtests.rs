//! Backtests on the own history: what would these rules have said? Nothing is put in force and nobody is told.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use citywatch_alerting::ledger::Part;
use citywatch_model::{Duration, Mode, Time};
use citywatch_rules::ast::RuleSet;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::{Operator, Viewer};
use super::call::Caller;
use super::problem::{Body, Path, Problem, Query};
use super::view::Problems;
use crate::backtest::report::TransitionLine;
use crate::backtest::{Labels, Report, labels};
use crate::backtests::{Asked, Backtest, Outcome, TRANSITIONS, Wanted};
use crate::bundle::{BundleFile, Mistake, NamedText};
use crate::in_force::{Edit, Present, rule_alone};

/// What to try on which stretch of the history
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestCall {
    /// One rule; it is compared with the rule of that id in force
    #[serde(default)]
    #[schema(example = "id: gas.leak\nmeasurement: methane\nlevels: { orange: value >= 20 }\n")]
    pub text: Option<String>,
    /// Whole rule files; they are compared with all rules in force. Without `text` and `files` the rules in force
    /// are tried
    #[serde(default)]
    pub files: Vec<NamedText>,
    /// First event time; absent: from the beginning
    #[serde(default)]
    pub from: Option<Time>,
    /// Event time before which it ends; absent: to the end
    #[serde(default)]
    pub to: Option<Time>,
    /// Labelled events as CSV: `event_id,start,end,sensor_id`
    #[serde(default)]
    #[schema(example = "event_id,start,end\nburst-1,2026-01-15T23:00:00Z,2026-01-16T20:00:00Z\n")]
    pub labels: Option<String>,
    /// How long after its end a labelled event may still be answered
    #[serde(default)]
    pub grace: Duration,
    /// Operator positions that share the alerts
    #[serde(default = "one")]
    #[schema(minimum = 1)]
    pub positions: u16,
}

fn one() -> u16 {
    1
}

/// Where a backtest stands
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BacktestState {
    /// It runs
    Running,
    /// It has a report
    Finished,
    /// Somebody stopped it
    Stopped,
    /// It has an error
    Failed,
}

/// A backtest
#[derive(Debug, Serialize, ToSchema)]
pub struct BacktestView {
    /// Counted from the start of the service
    #[schema(example = 3)]
    pub id: u64,
    /// Who asked
    pub by: String,
    /// When
    pub asked: Time,
    /// Where it stands
    pub state: BacktestState,
    /// From 0 to 1
    pub progress: f64,
    /// Why it failed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What came out, once it is finished; not in lists
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// The first transitions, in order; not in lists
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<TransitionLine>,
}

impl BacktestView {
    /// Without report and transitions.
    fn head(backtest: &Backtest) -> BacktestView {
        let outcome = backtest.outcome();
        let state = match &outcome {
            None => BacktestState::Running,
            Some(Outcome::Finished(_)) => BacktestState::Finished,
            Some(Outcome::Stopped) => BacktestState::Stopped,
            Some(Outcome::Failed(_)) => BacktestState::Failed,
        };
        let error = match outcome {
            Some(Outcome::Failed(error)) => Some(error),
            None | Some(Outcome::Finished(_) | Outcome::Stopped) => None,
        };
        BacktestView {
            id: backtest.id,
            by: backtest.by.clone(),
            asked: backtest.asked,
            state,
            progress: backtest.progress(),
            error,
            report: None,
            transitions: Vec::new(),
        }
    }
}

/// Begins a backtest on the service's own history, at low priority; one runs at a time, and a restart forgets them
#[utoipa::path(post, path = "/api/v1/backtests", tag = "rules", params(Caller), request_body = BacktestCall,
    responses((status = 202, body = BacktestView), Problems))]
pub async fn begin(
    State(app): State<App>,
    Operator(bearer): Operator,
    caller: Caller,
    Body(body): Body<BacktestCall>,
) -> Result<(StatusCode, Json<BacktestView>), Problem> {
    let conflict = |detail| Problem::new(StatusCode::CONFLICT, "conflict", detail);
    let asked = asked(&app, (bearer.name, caller), &body)?;
    let before = app.backtests.begun_before(&asked).map_err(|first| {
        conflict(format!(
            "the idempotency key was used for backtest {}, which is another call: take a new key for a new call",
            first.id
        ))
    })?;
    if let Some(before) = before {
        return Ok((StatusCode::ACCEPTED, Json(BacktestView::head(&before))));
    }
    let present = app.keeper.present();
    let wanted = tokio::task::spawn_blocking(move || wanted(body, &present)).await;
    let wanted = wanted.map_err(|error| Problem::internal(&error))??;
    let history = app.history.clone();
    let backtest = app.backtests.begin(history, wanted, asked).map_err(|running| {
        conflict(format!(
            "backtest {} of `{}` runs: wait for it, or stop it with DELETE /api/v1/backtests/{}",
            running.id, running.by, running.id
        ))
    })?;
    let view = BacktestView::head(&backtest);
    Ok((StatusCode::ACCEPTED, Json(view)))
}

fn asked(app: &App, (by, caller): (String, Caller), body: &BacktestCall) -> Result<Asked, Problem> {
    let call = serde_json::to_string(body).map_err(|error| Problem::internal(&error))?;
    Ok(Asked {
        by,
        at: app.ledger.now(),
        key: caller.key().map(|key| (key, call)),
    })
}

fn wanted(body: BacktestCall, present: &Present) -> Result<Wanted, Problem> {
    let invalid = |detail: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
    let (from, to) = (body.from.unwrap_or(Time::MIN), body.to.unwrap_or(Time::MAX));
    if from >= to {
        return Err(invalid("`from` does not lie before `to`"));
    }
    if body.positions == 0 {
        return Err(invalid("`positions` must be at least 1"));
    }
    let events = (body.labels.as_deref())
        .map(|text| labels::read("labels", text.as_bytes()))
        .transpose()
        .map_err(|problems| mistaken(problems.iter().map(Mistake::from).collect()))?;
    let in_force = citywatch_rules::compile_in_force(&present.rules());
    let in_force = in_force.map_err(|problems| Problem::internal(&problems))?;
    let (rules, against) = match (body.text, body.files) {
        (None, files) if files.is_empty() => (in_force, None),
        (None, files) => {
            let files = crate::bundle::of_texts(files).map_err(mistaken)?;
            (compiled(files)?, Some(in_force))
        }
        (Some(text), files) if files.is_empty() => {
            let (id, rules) = replaced(text, present)?;
            (rules, Some(only(in_force, &id)))
        }
        (Some(_), _) => return Err(invalid("send either `text` or `files`")),
    };
    let registry = present.bundle.registry.clone();
    let timezone = TimeZone::get(registry.zones.time_zone.as_str());
    Ok(Wanted {
        rules: Arc::new(rules),
        against: against.map(Arc::new),
        labels: events.map(|events| Labels::new(events, body.grace)),
        plans: (
            Arc::clone(&present.bundle.directory),
            present.bundle.zones.clone(),
        ),
        registry,
        from,
        to,
        positions: body.positions,
        timezone: timezone.map_err(|error| Problem::internal(&error))?,
    })
}

/// The rule of `text` as it would run among the others in force, and its id.
fn replaced(text: String, present: &Present) -> Result<(String, RuleSet), Problem> {
    let places = citywatch_rules::rule_places(&rule_alone(&text));
    let [(id, _)] = places.as_slice() else {
        let detail = "`text` is not that of one rule: send whole files as `files`";
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            detail,
        ));
    };
    let id = id.to_string();
    let wish = Edit::Put(text).wish(present, &id, Time::MIN)?;
    let mut rules = only(compiled(wish.files)?, &id);
    for rule in &mut rules.rules {
        // one that is off says nothing, and somebody who tries it wants to hear it
        Arc::make_mut(rule).info.mode = Mode::Live;
    }
    Ok((id, rules))
}

fn only(mut rules: RuleSet, id: &str) -> RuleSet {
    rules.rules.retain(|rule| rule.info.id == id);
    rules
}

fn compiled(files: Vec<BundleFile>) -> Result<RuleSet, Problem> {
    let rules = files.into_iter().filter(|file| file.part == Part::Rules);
    let sources: Vec<_> = rules.map(Into::into).collect();
    citywatch_rules::compile(&sources)
        .map_err(|problems| mistaken(problems.list.iter().map(Mistake::from).collect()))
}

fn mistaken(mistakes: Vec<Mistake>) -> Problem {
    let detail = format!(
        "nothing was tried: {} mistakes in what was sent",
        mistakes.len()
    );
    Problem {
        mistakes: mistakes.into(),
        ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "mistakes", detail)
    }
}

/// Backtests since the start of the service, the newest 20, the newest first
#[utoipa::path(get, path = "/api/v1/backtests", tag = "rules",
    responses((status = 200, body = Vec<BacktestView>), Problems))]
pub async fn list(State(app): State<App>, _: Viewer) -> Json<Vec<BacktestView>> {
    let backtests = app.backtests.list();
    Json(
        backtests
            .iter()
            .map(|one| BacktestView::head(one))
            .collect(),
    )
}

/// How much of it
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DetailQuery {
    /// At most this many transitions, up to 10000
    #[serde(default = "hundred")]
    transitions: usize,
}

fn hundred() -> usize {
    100
}

/// How far a backtest is, and its report
#[utoipa::path(get, path = "/api/v1/backtests/{id}", tag = "rules", params(("id" = u64, Path), DetailQuery),
    responses((status = 200, body = BacktestView), Problems))]
pub async fn detail(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<u64>,
    Query(query): Query<DetailQuery>,
) -> Result<Json<BacktestView>, Problem> {
    let backtest = find(&app, id)?;
    let mut view = BacktestView::head(&backtest);
    if let Some(Outcome::Finished(done)) = backtest.outcome() {
        let transitions = done
            .transitions
            .iter()
            .take(query.transitions.min(TRANSITIONS));
        view.transitions = transitions.cloned().collect();
        view.report = Some(done.report.clone());
    }
    Ok(Json(view))
}

/// Stops a backtest that runs
#[utoipa::path(delete, path = "/api/v1/backtests/{id}", tag = "rules", params(("id" = u64, Path)),
    responses((status = 200, body = BacktestView), Problems))]
pub async fn stop(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<u64>,
) -> Result<Json<BacktestView>, Problem> {
    let backtest = find(&app, id)?;
    backtest.stop();
    Ok(Json(BacktestView::head(&backtest)))
}

fn find(app: &App, id: u64) -> Result<Arc<Backtest>, Problem> {
    app.backtests.get(id).ok_or_else(|| {
        Problem::not_found(format!(
            "there is no backtest {id}; the newest 20 since the service started are kept"
        ))
    })
}
