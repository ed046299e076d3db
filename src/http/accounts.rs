//! Accounts as admins see them. A password is shown once, in the answer that gave it, and must be changed at the first
//! login.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use citywatch_alerting::LedgerError;
use citywatch_alerting::accounts::Account;
use citywatch_alerting::ledger::{AccountChange, NewAccount};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::access::Admin;
use super::call::Caller;
use super::problem::{Body, Path, Problem};
use super::view::Problems;

/// An account with a password for its next login
#[derive(Debug, Serialize, ToSchema)]
pub struct GivenPassword {
    /// The account
    account: Account,
    /// Shown this once; good for a login that changes it
    password: String,
}

/// All accounts, by name
#[utoipa::path(get, path = "/api/v1/accounts", tag = "accounts",
    responses((status = 200, body = Vec<Account>), Problems))]
pub async fn list(State(app): State<App>, _: Admin) -> Json<Vec<Account>> {
    Json(app.ledger.accounts())
}

/// Makes an account. Bound to zones it sees only what lies in them or in zones that nest in them; bound to hazards
/// only what is of them
#[utoipa::path(post, path = "/api/v1/accounts", tag = "accounts", params(Caller), request_body = NewAccount,
    responses((status = 201, body = GivenPassword), Problems))]
pub async fn create(
    State(app): State<App>,
    Admin(bearer): Admin,
    caller: Caller,
    Body(body): Body<NewAccount>,
) -> Result<Response, Problem> {
    known(&app, &body.hazards, &body.zones)?;
    let given = app
        .ledger
        .create_account(&body, &caller.call(bearer, None))
        .await?;
    Ok((StatusCode::CREATED, shown_once(given)).into_response())
}

/// Changes an account; its sessions end at once
#[utoipa::path(patch, path = "/api/v1/accounts/{name}", tag = "accounts", params(("name" = String, Path), Caller),
    request_body = AccountChange, responses((status = 200, body = Account), Problems))]
pub async fn change(
    State(app): State<App>,
    Admin(bearer): Admin,
    Path(name): Path<String>,
    caller: Caller,
    Body(body): Body<AccountChange>,
) -> Result<Json<Account>, Problem> {
    let (none, nowhere) = Default::default();
    known(
        &app,
        body.hazards.as_ref().unwrap_or(&none),
        body.zones.as_ref().unwrap_or(&nowhere),
    )?;
    let call = caller.call(bearer, None);
    Ok(Json(app.ledger.change_account(&name, body, &call).await?))
}

/// Gives an account another password; its sessions end at once
#[utoipa::path(post, path = "/api/v1/accounts/{name}/password", tag = "accounts", params(("name" = String, Path), Caller),
    responses((status = 200, body = GivenPassword), Problems))]
pub async fn reset(
    State(app): State<App>,
    Admin(bearer): Admin,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Response, Problem> {
    let given = app
        .ledger
        .reset_password(&name, &caller.call(bearer, None))
        .await?;
    Ok(shown_once(given).into_response())
}

fn shown_once((account, password): (Account, String)) -> impl IntoResponse {
    (
        [(header::CACHE_CONTROL, "no-store")],
        Json(GivenPassword { account, password }),
    )
}

/// Refuses bounds that nothing could lie in: a slip of the pen must not make an operator blind.
pub fn known<'a>(
    app: &App,
    hazards: impl IntoIterator<Item = &'a String>,
    zones: impl IntoIterator<Item = &'a String>,
) -> Result<(), Problem> {
    let present = app.keeper.present();
    let mut unknown = hazards.into_iter().filter(|hazard| {
        let mut rules = present.bundle.rules.rules.iter();
        !rules.any(|rule| rule.info.hazard.as_str() == hazard.as_str())
    });
    if let Some(hazard) = unknown.next() {
        let said = format!(
            "no rule in force has the hazard `{hazard}`: put its rules in force first, or mend the name"
        );
        return Err(LedgerError::Invalid(said).into());
    }
    let there = app.ledger.zones();
    let mut unknown = zones
        .into_iter()
        .filter(|zone| !there.0.keys().any(|known| known.as_str() == zone.as_str()));
    if let Some(zone) = unknown.next() {
        let said =
            format!("there is no zone `{zone}` in force: put it in force first, or mend the name");
        return Err(LedgerError::Invalid(said).into());
    }
    Ok(())
}
