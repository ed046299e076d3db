//! Tokens for programs, as admins see them. A token is shown once, in the answer that made it.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use citywatch_alerting::LedgerError;
use citywatch_alerting::accounts::ApiToken;
use citywatch_alerting::ledger::NewToken;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::access::Admin;
use super::call::Caller;
use super::gate::Gate;
use super::problem::{Body, Path, Problem};
use super::view::Problems;

/// A token with its letters
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeToken {
    /// What is known of it
    #[serde(flatten)]
    #[schema(inline)]
    about: ApiToken,
    /// Shown this once
    token: String,
}

/// All tokens that were made here, the newest first; those of the configuration are not among them
#[utoipa::path(get, path = "/api/v1/tokens", tag = "accounts",
    responses((status = 200, body = Vec<ApiToken>), Problems))]
pub async fn list(State(app): State<App>, _: Admin) -> Json<Vec<ApiToken>> {
    Json(app.ledger.tokens())
}

/// Makes a token for a program. One that brings readings cannot be bound
#[utoipa::path(post, path = "/api/v1/tokens", tag = "accounts", params(Caller), request_body = NewToken,
    responses((status = 201, body = MadeToken), Problems))]
pub async fn create(
    State(app): State<App>,
    Admin(bearer): Admin,
    Extension(gate): Extension<Gate>,
    caller: Caller,
    Body(body): Body<NewToken>,
) -> Result<Response, Problem> {
    super::accounts::known(&app, &body.hazards, &body.zones)?;
    if gate.names().any(|name| name == body.name.trim()) {
        return Err(LedgerError::Conflict(format!(
            "`{}` is the name of a token of the configuration: take another",
            body.name.trim()
        ))
        .into());
    }
    let (about, token) = app
        .ledger
        .create_token(&body, &caller.call(bearer, None))
        .await?;
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((
        StatusCode::CREATED,
        headers,
        Json(MadeToken { about, token }),
    )
        .into_response())
}

/// Takes a token back; it is refused from now on
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "accounts", params(("id" = i64, Path), Caller),
    responses((status = 200, body = ApiToken), Problems))]
pub async fn revoke(
    State(app): State<App>,
    Admin(bearer): Admin,
    Path(id): Path<i64>,
    caller: Caller,
) -> Result<Json<ApiToken>, Problem> {
    Ok(Json(
        app.ledger
            .revoke_token(id, &caller.call(bearer, None))
            .await?,
    ))
}
