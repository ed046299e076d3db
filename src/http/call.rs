//! The circumstances of a writing call: who, from where, with which idempotency key.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use citywatch_alerting::LedgerError;
use citywatch_alerting::ledger::{Actor, Call};
use utoipa::IntoParams;

use super::bearer::Bearer;
use super::origin::Client;
use super::problem::Problem;
use axum::http::{HeaderValue, StatusCode};

/// Header of a writing call
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Caller {
    /// The same call with the same key gets the first answer again and does nothing. A secret that the first answer held is not
    /// kept: then the answer is 409 and says what to do
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
    #[param(ignore)]
    from: String,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let key = keys.next().map(HeaderValue::to_str).transpose();
        // a key that is not understood must not be taken for none: the act would be done twice
        let key = key.map_err(|_| {
            Problem::bad_request("the Idempotency-Key must be visible ASCII, such as a UUID")
        })?;
        if keys.next().is_some() {
            let detail = "there are several Idempotency-Key headers: send one";
            return Err(Problem::bad_request(detail));
        }
        if key.is_some_and(|key| key.trim().is_empty()) {
            let detail =
                "the Idempotency-Key is empty: send one such as a UUID, or leave the header out";
            return Err(Problem::bad_request(detail));
        }
        let client = parts.extensions.get::<Client>();
        Ok(Caller {
            key: key.map(str::to_owned),
            from: client
                .map(|client| client.shown.clone())
                .unwrap_or_default(),
        })
    }
}

impl Caller {
    /// The key alone, for what the ledger does not keep.
    pub fn key(self) -> Option<String> {
        self.key
    }

    /// The call as the ledger wants it; `version` is what the caller saw.
    pub fn call(self, bearer: Bearer, version: Option<i64>) -> Call {
        let role = bearer.role();
        Call {
            actor: Actor {
                name: bearer.name,
                role,
                from: self.from,
            },
            version,
            key: self.key,
            view: bearer.view,
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Problem {
        let detail = error.to_string();
        match error {
            LedgerError::NotFound { .. } => Problem::not_found(detail),
            LedgerError::Stale { present, .. } => Problem {
                version: Some(present),
                ..Problem::new(StatusCode::CONFLICT, "stale-version", detail)
            },
            LedgerError::StaleVersion { present, .. } => Problem {
                version: Some(present),
                ..Problem::new(StatusCode::CONFLICT, "stale-version", detail)
            },
            LedgerError::Conflict(_) => Problem::new(StatusCode::CONFLICT, "conflict", detail),
            LedgerError::Invalid(_) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
            }
            LedgerError::Busy(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail),
            error if error.may_retry() => {
                tracing::error!(%error, "the ledger did not do what was asked");
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "ledger-unavailable",
                    detail,
                )
            }
            error => Problem::internal(&error),
        }
    }
}
