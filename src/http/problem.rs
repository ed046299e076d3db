//! Errors as RFC 9457 problem documents.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::BODY_LIMIT;
use crate::bundle::Mistake;

/// What went wrong, where, and what to do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A stable name of this kind of problem
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// The same in words
    #[schema(value_type = String)]
    pub title: Box<str>,
    /// HTTP status
    pub status: u16,
    /// This very case, and the way out
    pub detail: String,
    /// Version of the alert, or of what is in force, as it is now, where the caller's was stale
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// What is wrong in the files that were sent
    #[serde(skip_serializing_if = "<[Mistake]>::is_empty")]
    #[schema(value_type = Vec<Mistake>)]
    pub mistakes: Box<[Mistake]>,
    /// What was refused, element by element
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<super::readings::Rejected>,
}

impl Problem {
    /// A problem of kind `urn:citywatch:problem:{name}`.
    pub fn new(status: StatusCode, name: &str, detail: impl Into<String>) -> Problem {
        Problem {
            kind: format!("urn:citywatch:problem:{name}").into(),
            title: name.replace('-', " ").into(),
            status: status.as_u16(),
            detail: detail.into(),
            version: None,
            mistakes: Box::default(),
            rejected: Vec::new(),
        }
    }

    /// Nothing under that address or id.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The request itself is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// The body could not be taken; `said` is what the HTTP library says of it.
    pub fn bad_body(status: StatusCode, said: String) -> Problem {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!(
                "the body is larger than {BODY_LIMIT} bytes, which is the most that is taken: send it in parts"
            );
            return Problem::new(status, "too-large", detail);
        }
        Problem::new(status, "bad-body", said)
    }

    /// Something inside failed; logged here, once, because the caller cannot mend it.
    pub fn internal(error: &dyn std::fmt::Display) -> Problem {
        tracing::error!(%error, "a request failed inside");
        let detail = format!("{error}; the service's log says more");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"citywatch\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        Problem::bad_body(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Problem {
        Problem::bad_request(rejection.body_text())
    }
}

/// `axum::Json`, its errors as problem documents.
#[derive(axum::extract::FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub struct Body<T>(pub T);

/// `axum::extract::Query`, its errors as problem documents.
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// `axum::extract::Path`, its errors as problem documents.
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);
