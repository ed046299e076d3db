//! Why a request is not let in: each reason with its status, its words, its line in the log and its count. No secret
//! and no query ever goes into the log.

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus::{IntCounterVec, Opts, Registry};

use super::origin::Client;
use super::problem::Problem;
use super::rights::{Lacking, Right};

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Neither a token nor a session came.
    NoCredentials,
    /// Something came that nobody knows.
    UnknownToken,
    /// A known token whose time is over, or that was taken back.
    DeadToken(String),
    /// The session has ended, or never was.
    NoSession,
    /// Name and password do not go together; the text is for the log alone.
    WrongPassword(&'static str),
    /// Too many failures.
    Locked(i64),
    /// A writing call in a session without its token.
    NoCsrfToken,
    /// A page of another site sent it.
    ForeignSite,
    /// The one-time password must be changed first.
    PasswordChange,
    /// A right is lacking.
    Lacks(Right, Lacking),
    /// Nobody has decided what that address takes.
    Undecided,
}

impl Refusal {
    /// A stable word for log and metrics.
    const fn word(&self) -> &'static str {
        match self {
            Refusal::NoCredentials => "no_credentials",
            Refusal::UnknownToken => "unknown_token",
            Refusal::DeadToken(_) => "dead_token",
            Refusal::NoSession => "no_session",
            Refusal::WrongPassword(_) => "wrong_password",
            Refusal::Locked(_) => "locked",
            Refusal::NoCsrfToken => "no_csrf_token",
            Refusal::ForeignSite => "foreign_site",
            Refusal::PasswordChange => "password_change",
            Refusal::Lacks(_, Lacking::Role) => "role",
            Refusal::Lacks(_, Lacking::Scope) => "scope",
            Refusal::Lacks(_, Lacking::Bound) => "bound",
            Refusal::Undecided => "undecided",
        }
    }

    fn problem(&self) -> Problem {
        let unauthorized =
            |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        let forbidden = |detail: &str| Problem::new(StatusCode::FORBIDDEN, "forbidden", detail);
        match self {
            Refusal::NoCredentials => unauthorized(
                "no token was sent: send the header `Authorization: Bearer TOKEN`, or log in at POST /api/v1/session",
            ),
            Refusal::UnknownToken => unauthorized(
                "the token is not known: send one of [[tokens]], one made at POST /api/v1/tokens, or that of the file admin.token in the data folder",
            ),
            Refusal::DeadToken(said) => unauthorized(said),
            Refusal::NoSession => {
                unauthorized("the session has ended: log in again at POST /api/v1/session")
            }
            Refusal::WrongPassword(_) => {
                unauthorized("name or password is wrong, or the account is disabled")
            }
            Refusal::Locked(seconds) => Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "locked",
                format!("too many failed logins: try again in {seconds} s"),
            ),
            Refusal::NoCsrfToken => forbidden(
                "a writing call in a session needs the header X-CSRF-Token with `csrf_token` of GET /api/v1/session",
            ),
            Refusal::ForeignSite => forbidden("a page of another site sent this call"),
            Refusal::PasswordChange => Problem::new(
                StatusCode::FORBIDDEN,
                "password-change-needed",
                "the password was given by somebody else: change it at POST /api/v1/session/password first",
            ),
            Refusal::Lacks(_, Lacking::Bound) => forbidden(
                "this concerns the whole district, and the account or token is bound to hazards or zones",
            ),
            Refusal::Lacks(Right::Session, _) => {
                forbidden("this needs somebody who is logged in by name and password, not a token")
            }
            Refusal::Lacks(right, Lacking::Role) => forbidden(&format!(
                "the role does not allow this; it takes the right `{}`",
                name(*right)
            )),
            Refusal::Lacks(right, Lacking::Scope) => forbidden(&format!(
                "no scope of the token allows this; it takes the right `{}`",
                name(*right)
            )),
            Refusal::Undecided => forbidden("nobody has decided who may call this address"),
        }
    }
}

/// The right as `GET /api/v1/session` lists it.
fn name(right: Right) -> String {
    serde_json::to_value(right)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// What was refused, for the log.
pub struct Refused<'a> {
    /// Who, if that is known.
    pub who: Option<&'a str>,
    pub client: &'a Client,
    pub method: &'a Method,
    /// Without the query.
    pub path: &'a str,
}

/// Counts and logs refusals; clones share the counts.
#[derive(Debug, Clone)]
pub struct Refusals {
    count: IntCounterVec,
}

impl Refusals {
    /// Registers the counter.
    ///
    /// # Errors
    /// If one of that name is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Refusals> {
        let count = IntCounterVec::new(
            Opts::new(
                "citywatch_http_refusals_total",
                "Requests that were not let in, by reason",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(count.clone()))?;
        Ok(Refusals { count })
    }

    /// Counts it, logs it, and answers what the caller is told.
    pub fn refuse(&self, refusal: &Refusal, refused: &Refused<'_>) -> Response {
        let word = refusal.word();
        self.count.with_label_values(&[word]).inc();
        let why = match refusal {
            Refusal::WrongPassword(why) => why,
            Refusal::NoCredentials
            | Refusal::UnknownToken
            | Refusal::DeadToken(_)
            | Refusal::NoSession
            | Refusal::Locked(_)
            | Refusal::NoCsrfToken
            | Refusal::ForeignSite
            | Refusal::PasswordChange
            | Refusal::Lacks(..)
            | Refusal::Undecided => "",
        };
        tracing::warn!(
            reason = word, why, who = refused.who.unwrap_or_default(), from = refused.client.shown,
            method = %refused.method, path = refused.path, "refused"
        );
        let mut response = refusal.problem().into_response();
        if let Refusal::Locked(seconds) = refusal {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        response
    }
}
