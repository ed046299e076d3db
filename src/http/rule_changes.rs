//! One rule changed: another text, none, another mode, back to an earlier version. Each is a version of the whole
//! with who, when and why; the state of every other rule survives.

use axum::Json;
use axum::extract::State;
use citywatch_alerting::LedgerError;
use citywatch_model::{Mode, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Admin;
use super::bearer::Bearer;
use super::bundle::ChangeView;
use super::call::Caller;
use super::problem::{Body, Path, Problem, Query};
use super::rules::ever_known;
use super::view::Problems;
use crate::in_force::{Edit, Request, Target, rule_steps};

/// A text for a rule
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutCall {
    /// Its keys, from the first column on
    #[schema(example = "id: gas.leak\nmeasurement: methane\nlevels: { orange: value >= 20 }\n")]
    pub text: String,
    /// Why
    #[schema(example = "order 2026-14")]
    pub reason: String,
    /// The version of the whole that the caller saw in force
    #[serde(default)]
    pub version: Option<i64>,
}

/// Why, and what the caller saw
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeleteQuery {
    /// Why
    pub reason: String,
    /// The version of the whole that the caller saw in force
    pub version: Option<i64>,
}

/// A mode for a rule
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeCall {
    /// `live`, `shadow` or `off`
    #[schema(value_type = String, example = "shadow")]
    pub mode: Mode,
    /// Until when; then the mode before it holds again. Absent: until somebody changes it
    #[serde(default)]
    pub until: Option<Time>,
    /// Why
    #[schema(example = "false alarms since the works at the north gate")]
    pub reason: String,
    /// The version of the whole that the caller saw in force
    #[serde(default)]
    pub version: Option<i64>,
}

/// Back to an earlier version of a rule
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackCall {
    /// Which version of the rule; absent: the last one before the present
    #[serde(default)]
    pub to: Option<i64>,
    /// Why
    pub reason: String,
    /// The version of the whole that the caller saw in force
    #[serde(default)]
    pub version: Option<i64>,
}

/// What is common to all changes of one rule.
struct Change {
    act: &'static str,
    asked: Value,
    reason: String,
    version: Option<i64>,
}

async fn change(
    app: &App,
    (bearer, caller): (Bearer, Caller),
    (id, edit): (String, Edit),
    change: Change,
) -> Result<Json<ChangeView>, Problem> {
    let request = Request {
        act: change.act,
        asked: json!({ "rule": id, "with": change.asked }),
        reason: change.reason,
        dry_run: false,
    };
    let call = caller.call(bearer, change.version);
    let now = app.ledger.now();
    let wish = move |present: &crate::in_force::Present| edit.wish(present, &id, now);
    let outcome = app
        .keeper
        .change(&app.intake, (request, call), wish)
        .await?;
    Ok(Json(outcome.into()))
}

/// Gives a rule this text, in the place of the one it has; the rest of its file stays. A new rule gets a file of its own
#[utoipa::path(put, path = "/api/v1/rules/{id}", tag = "rules", params(("id" = String, Path), Caller),
    request_body = PutCall, responses((status = 200, body = ChangeView), Problems))]
pub async fn put(
    State(app): State<App>,
    Admin(bearer): Admin,
    Path(id): Path<String>,
    caller: Caller,
    Body(body): Body<PutCall>,
) -> Result<Json<ChangeView>, Problem> {
    let asked = Change {
        act: "put rule",
        asked: json!(body),
        reason: body.reason,
        version: body.version,
    };
    change(&app, (bearer, caller), (id, Edit::Put(body.text)), asked).await
}

/// Removes a rule; its open alerts stay open, unwatched, until somebody closes them
#[utoipa::path(delete, path = "/api/v1/rules/{id}", tag = "rules", params(("id" = String, Path), DeleteQuery, Caller),
    responses((status = 200, body = ChangeView), Problems))]
pub async fn delete(
    State(app): State<App>,
    Admin(bearer): Admin,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
    caller: Caller,
) -> Result<Json<ChangeView>, Problem> {
    let asked = Change {
        act: "delete rule",
        asked: json!(query),
        reason: query.reason,
        version: query.version,
    };
    change(&app, (bearer, caller), (id, Edit::Delete), asked).await
}

/// Makes a rule live, puts it into shadow or turns it off, for good or for a time; its state survives between live
/// and shadow
#[utoipa::path(post, path = "/api/v1/rules/{id}/mode", tag = "rules", params(("id" = String, Path), Caller),
    request_body = ModeCall, responses((status = 200, body = ChangeView), Problems))]
pub async fn mode(
    State(app): State<App>,
    Admin(bearer): Admin,
    Path(id): Path<String>,
    caller: Caller,
    Body(body): Body<ModeCall>,
) -> Result<Json<ChangeView>, Problem> {
    let edit = Edit::Mode {
        mode: body.mode,
        until: body.until,
        reason: body.reason.trim().to_owned(),
    };
    let asked = Change {
        act: "rule mode",
        asked: json!(body),
        reason: body.reason,
        version: body.version,
    };
    change(&app, (bearer, caller), (id, edit), asked).await
}

/// Puts a rule back to an earlier version, text and mode; also one that was removed
#[utoipa::path(post, path = "/api/v1/rules/{id}/rollback", tag = "rules", params(("id" = String, Path), Caller),
    request_body = RollbackCall, responses((status = 200, body = ChangeView), Problems))]
pub async fn rollback(
    State(app): State<App>,
    Admin(bearer): Admin,
    Path(id): Path<String>,
    caller: Caller,
    Body(body): Body<RollbackCall>,
) -> Result<Json<ChangeView>, Problem> {
    let target = target(&app, &id, body.to).await?;
    let asked = Change {
        act: "rollback rule",
        asked: json!(body),
        reason: body.reason,
        version: body.version,
    };
    let edit = Edit::Back(Box::new(target));
    change(&app, (bearer, caller), (id, edit), asked).await
}

/// The version that a rule goes back to.
async fn target(app: &App, id: &str, to: Option<i64>) -> Result<Target, Problem> {
    let present = app.keeper.present();
    let rule = ever_known(&present, id)?;
    let steps = rule_steps(&app.ledger, &present.version, (rule, usize::MAX)).await?;
    let seen = steps.first().map_or(0, |step| step.rule.version);
    let mut before = steps.into_iter().skip(1).filter(|step| step.text.is_some());
    let found = match to {
        Some(version) => before.find(|step| step.rule.version == version),
        None => before.next(),
    };
    let Some((text, step)) = found.and_then(|step| Some((step.text.clone()?, step))) else {
        let error = LedgerError::Conflict(match to {
            Some(to) => {
                format!("rule `{id}` has no version {to} before the present one; list its versions")
            }
            None => format!("rule `{id}` has no version before the present one"),
        });
        return Err(error.into());
    };
    Ok(Target {
        seen,
        text,
        mode: step.mode,
    })
}
