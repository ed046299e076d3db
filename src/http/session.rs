//! Logging in and out, and one's own password. The cookie is seen by no script; what a page needs for writing calls it
//! reads from the body.

use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use citywatch_alerting::accounts::{Bounds, Scope, Secret};
use citywatch_alerting::ledger::{Actor, LoggedIn, LoginError, SessionInfo};
use citywatch_model::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::access::Granted;
use super::bearer::{Bearer, By};
use super::gate::{Gate, cookie, csrf_token};
use super::origin::Client;
use super::problem::{Body, Problem};
use super::refusal::{Refusal, Refused};
use super::rights::{Right, Standing};
use super::view::Problems;
use crate::config::Role;

/// Who wants to come in
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginCall {
    /// Name of the account
    #[schema(example = "wang.lei")]
    name: String,
    /// Its password
    password: Secret,
}

/// Another password
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordCall {
    /// The present one
    present: Secret,
    /// The new one: at least 10 characters, not the name
    new: Secret,
}

/// Who calls, and what he may
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Name of the account or token
    pub name: String,
    /// For people; may be empty
    pub display_name: String,
    /// Role of the account or of a token of the configuration
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Scopes of a token that was made through the API
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scope>,
    /// What he is bound to
    #[serde(flatten)]
    #[schema(inline)]
    pub bounds: Bounds,
    /// What he may do
    pub rights: Vec<Right>,
    /// The password must be changed before anything else
    pub must_change_password: bool,
    /// For the header `X-CSRF-Token` of writing calls in this session
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csrf_token: Option<String>,
    /// When the session ends unless it is used before
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_until: Option<Time>,
    /// When the session or the token ends in any case
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

impl SessionView {
    fn new(bearer: &Bearer, cookie: Option<&str>) -> SessionView {
        let session = bearer.session();
        let (role, scopes) = match &bearer.standing {
            Standing::Role(role) => (Some(*role), Vec::new()),
            Standing::Scopes(scopes) => (None, scopes.iter().copied().collect()),
        };
        let has = |right: &Right| bearer.has(*right).is_ok();
        SessionView {
            name: bearer.name.clone(),
            display_name: session
                .map(|session| session.account.display_name.clone())
                .unwrap_or_default(),
            role,
            scopes,
            bounds: bearer.bounds.clone(),
            rights: Right::GRANTED.into_iter().filter(has).collect(),
            must_change_password: session
                .is_some_and(|session| session.account.must_change_password),
            csrf_token: session.and(cookie).map(csrf_token),
            idle_until: session.map(|session| session.idle_until),
            expires: match &bearer.by {
                By::Session(session) => Some(session.expires),
                By::Config(expires) => *expires,
                By::Token(_) => None,
            },
        }
    }
}

/// Where a call came from, for what is refused inside a handler.
type Whence = (Extension<Gate>, Extension<Client>, Method, Uri);

/// Logs in: sets the cookie of a session, and answers what its writing calls must send
#[utoipa::path(post, path = "/api/v1/session", tag = "accounts", request_body = LoginCall, security(()),
    responses((status = 200, body = SessionView),
        (status = 429, content_type = "application/problem+json", body = Problem, description = "Too many failures"),
        Problems))]
pub async fn log_in(
    State(app): State<App>,
    from: Whence,
    Body(body): Body<LoginCall>,
) -> Result<Response, Response> {
    let now = citywatch_alerting::wall_clock();
    let client = from.1.address;
    let done = app
        .ledger
        .log_in(&body.name, &body.password, client, now)
        .await;
    let logged_in = done.map_err(|error| refused(error, &body.name, &from))?;
    Ok(entered(&app, &from.0, logged_in))
}

/// Who calls, and what he may
#[utoipa::path(get, path = "/api/v1/session", tag = "accounts",
    responses((status = 200, body = SessionView), Problems))]
pub async fn who(Granted(bearer): Granted, parts: Parts) -> Response {
    let view = SessionView::new(&bearer, cookie(&parts.headers));
    ([(header::CACHE_CONTROL, "no-store")], Json(view)).into_response()
}

/// Logs out
#[utoipa::path(delete, path = "/api/v1/session", tag = "accounts",
    responses((status = 204, description = "The session has ended"), Problems))]
pub async fn log_out(
    State(app): State<App>,
    Granted(bearer): Granted,
    from: Whence,
) -> Result<Response, Problem> {
    let session = session(&bearer)?;
    app.ledger.log_out(session, actor(&bearer, &from.1)).await?;
    Ok((
        StatusCode::NO_CONTENT,
        [(header::SET_COOKIE, from.0.cookie("", 0))],
    )
        .into_response())
}

/// Changes the own password; all other sessions of the account end
#[utoipa::path(post, path = "/api/v1/session/password", tag = "accounts", request_body = PasswordCall,
    responses((status = 200, body = SessionView),
        (status = 429, content_type = "application/problem+json", body = Problem, description = "Too many failures"),
        Problems))]
pub async fn change_password(
    State(app): State<App>,
    Granted(bearer): Granted,
    from: Whence,
    Body(body): Body<PasswordCall>,
) -> Result<Response, Response> {
    let now = citywatch_alerting::wall_clock();
    let session = session(&bearer).map_err(IntoResponse::into_response)?;
    let whence = (from.1.address, actor(&bearer, &from.1));
    let passwords = (&body.present, &body.new);
    let changed = app
        .ledger
        .change_password(session, passwords, whence, now)
        .await;
    let logged_in = changed.map_err(|error| refused(error, &bearer.name, &from))?;
    Ok(entered(&app, &from.0, logged_in))
}

fn session(bearer: &Bearer) -> Result<&SessionInfo, Problem> {
    bearer
        .session()
        .ok_or_else(|| Problem::internal(&"a token came where only sessions come"))
}

fn actor(bearer: &Bearer, client: &Client) -> Actor {
    Actor {
        name: bearer.name.clone(),
        role: bearer.role(),
        from: client.shown.clone(),
    }
}

fn entered(app: &App, gate: &Gate, logged_in: LoggedIn) -> Response {
    let cookie = logged_in.cookie.reveal();
    let now = citywatch_alerting::wall_clock();
    let seconds = (logged_in.session.expires.millis() - now.millis()) / 1_000;
    let bearer = Bearer::of_session(logged_in.session, &app.ledger);
    let view = SessionView::new(&bearer, Some(cookie));
    let headers = [
        (header::SET_COOKIE, gate.cookie(cookie, seconds)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, Json(view)).into_response()
}

fn refused(error: LoginError, name: &str, (gate, client, method, uri): &Whence) -> Response {
    let refusal = match error {
        LoginError::Wrong { why } => Refusal::WrongPassword(why),
        LoginError::Wait(wait) => Refusal::Locked(wait.seconds),
        LoginError::Ledger(error) => return retry_later(Problem::from(error)),
    };
    // people type a password where the name belongs: only names of accounts go into the log
    let known = matches!(refusal, Refusal::WrongPassword(why) if why != NOBODY);
    let refused = Refused {
        who: known.then_some(name),
        client,
        method,
        path: uri.path(),
    };
    gate.refuse(&refusal, &refused)
}

fn retry_later(problem: Problem) -> Response {
    let busy = problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16();
    let mut response = problem.into_response();
    if busy {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// What the ledger says of a name that nobody has.
const NOBODY: &str = citywatch_alerting::ledger::NO_SUCH_ACCOUNT;
