//! Warnings: the one click, and how a warning goes on.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use citywatch_alerting::ledger::{IssueWarning, WarningDetail, WarningEntry, WarningFilter};

use super::App;
use super::access::{Operator, Viewer};
use super::call::Caller;
use super::problem::{Body, Path, Problem, Query};
use super::view::{Page, Problems, WarningCall};

/// 一键预警: the CAP message and all deliveries in one transaction. `{}` follows the plan
#[utoipa::path(post, path = "/api/v1/alerts/{id}/warnings", tag = "warnings", params(("id" = i64, Path), Caller),
    request_body = WarningCall, responses((status = 201, body = WarningEntry), Problems))]
pub async fn issue(
    State(app): State<App>,
    Operator(bearer): Operator,
    Path(id): Path<i64>,
    caller: Caller,
    Body(body): Body<WarningCall>,
) -> Result<(StatusCode, Json<WarningEntry>), Problem> {
    let (version, wish) = body.split();
    let entry = app
        .ledger
        .issue_warning(id, &wish, &caller.call(bearer, version))
        .await?;
    Ok((StatusCode::CREATED, Json(entry)))
}

/// Warnings, the newest first
#[utoipa::path(get, path = "/api/v1/warnings", tag = "warnings", params(WarningFilter),
    responses((status = 200, body = Page<WarningEntry>), Problems))]
pub async fn list(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Query(filter): Query<WarningFilter>,
) -> Result<Json<Page<WarningEntry>>, Problem> {
    Ok(Json(
        app.ledger
            .seen(&bearer.view)
            .warnings(&filter)
            .await?
            .into(),
    ))
}

/// One warning with its deliveries, by number or identifier
#[utoipa::path(get, path = "/api/v1/warnings/{id}", tag = "warnings", params(("id" = String, Path)),
    responses((status = 200, body = WarningDetail), Problems))]
pub async fn detail(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Path(id): Path<String>,
) -> Result<Json<WarningDetail>, Problem> {
    Ok(Json(app.ledger.seen(&bearer.view).warning(&id).await?))
}

macro_rules! follow_up {
    ($(#[doc = $doc:literal] $name:ident $path:literal => $method:ident;)*) => {$(
        #[doc = $doc]
        #[utoipa::path(post, path = $path, tag = "warnings", params(("id" = i64, Path), Caller),
            request_body = WarningCall, responses((status = 201, body = WarningEntry), Problems))]
        pub async fn $name(
            State(app): State<App>,
            Operator(bearer): Operator,
            Path(id): Path<i64>,
            caller: Caller,
            Body(body): Body<WarningCall>,
        ) -> Result<(StatusCode, Json<WarningEntry>), Problem> {
            let (version, wish): (Option<i64>, IssueWarning) = body.split();
            let entry = app.ledger.$method(id, &wish, &caller.call(bearer, version)).await?;
            Ok((StatusCode::CREATED, Json(entry)))
        }
    )*};
}

follow_up! {
    #[doc = "更新: a new message replaces text, level or recipients"]
    update "/api/v1/warnings/{id}/update" => update_warning;
    #[doc = "解除: the danger is over"]
    lift "/api/v1/warnings/{id}/lift" => lift_warning;
    #[doc = "更正: the text was wrong, the danger stands"]
    correct "/api/v1/warnings/{id}/correct" => correct_warning;
    #[doc = "撤销: false alarm; nothing more is sent, and whoever was told is told so"]
    withdraw "/api/v1/warnings/{id}/withdraw" => withdraw_warning;
}
