//! Alerts, and what people do with them.

use axum::Json;
use axum::extract::State;
use citywatch_alerting::ledger::{Alert, AlertDetail, AlertFilter, Verdict};
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::access::{Operator, Viewer};
use super::call::Caller;
use super::problem::{Body, Path, Problem, Query};
use super::view::{Page, Problems};

/// Alerts, the newest first
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(AlertFilter),
    responses((status = 200, body = Page<Alert>), Problems))]
pub async fn list(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Query(filter): Query<AlertFilter>,
) -> Result<Json<Page<Alert>>, Problem> {
    Ok(Json(
        app.ledger.seen(&bearer.view).alerts(&filter).await?.into(),
    ))
}

/// One alert with its transitions, acts, warnings and deliveries
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts", params(("id" = i64, Path)),
    responses((status = 200, body = AlertDetail), Problems))]
pub async fn detail(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Path(id): Path<i64>,
) -> Result<Json<AlertDetail>, Problem> {
    Ok(Json(app.ledger.seen(&bearer.view).alert(id).await?))
}

/// 接警
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Acknowledge {
    /// What to remember
    note: String,
    /// Version of the alert that the caller saw
    version: Option<i64>,
}

/// 接警: somebody has seen it and takes it on
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", tag = "alerts", params(("id" = i64, Path), Caller),
    request_body = Acknowledge, responses((status = 200, body = Alert), Problems))]
pub async fn acknowledge(
    State(app): State<App>,
    Operator(bearer): Operator,
    Path(id): Path<i64>,
    caller: Caller,
    Body(body): Body<Acknowledge>,
) -> Result<Json<Alert>, Problem> {
    Ok(Json(
        app.ledger
            .acknowledge(id, &body.note, &caller.call(bearer, body.version))
            .await?,
    ))
}

/// 研判
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// What was found
    verdict: Verdict,
    /// What to remember
    #[serde(default)]
    note: String,
    /// Version of the alert that the caller saw
    version: Option<i64>,
}

/// 研判: somebody has judged whether it is true
#[utoipa::path(post, path = "/api/v1/alerts/{id}/verify", tag = "alerts", params(("id" = i64, Path), Caller),
    request_body = Verify, responses((status = 200, body = Alert), Problems))]
pub async fn verify(
    State(app): State<App>,
    Operator(bearer): Operator,
    Path(id): Path<i64>,
    caller: Caller,
    Body(body): Body<Verify>,
) -> Result<Json<Alert>, Problem> {
    let call = caller.call(bearer, body.version);
    Ok(Json(
        app.ledger
            .verify(id, body.verdict, &body.note, &call)
            .await?,
    ))
}

/// 派单
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The department or person who is sent
    to: String,
    /// What to remember
    #[serde(default)]
    note: String,
    /// Version of the alert that the caller saw
    version: Option<i64>,
}

/// 派单: a department or person is sent
#[utoipa::path(post, path = "/api/v1/alerts/{id}/assign", tag = "alerts", params(("id" = i64, Path), Caller),
    request_body = Assign, responses((status = 200, body = Alert), Problems))]
pub async fn assign(
    State(app): State<App>,
    Operator(bearer): Operator,
    Path(id): Path<i64>,
    caller: Caller,
    Body(body): Body<Assign>,
) -> Result<Json<Alert>, Problem> {
    let call = caller.call(bearer, body.version);
    Ok(Json(
        app.ledger.assign(id, &body.to, &body.note, &call).await?,
    ))
}

/// 办结
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// What was found and done
    note: String,
    /// Close although the condition holds
    #[serde(default)]
    force: bool,
    /// Version of the alert that the caller saw
    version: Option<i64>,
}

/// 办结: done
#[utoipa::path(post, path = "/api/v1/alerts/{id}/close", tag = "alerts", params(("id" = i64, Path), Caller),
    request_body = Close, responses((status = 200, body = Alert), Problems))]
pub async fn close(
    State(app): State<App>,
    Operator(bearer): Operator,
    Path(id): Path<i64>,
    caller: Caller,
    Body(body): Body<Close>,
) -> Result<Json<Alert>, Problem> {
    let call = caller.call(bearer, body.version);
    Ok(Json(
        app.ledger.close(id, &body.note, body.force, &call).await?,
    ))
}
