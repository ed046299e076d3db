//! Errors as RFC 9457 problem documents.

use std::fmt;
use std::marker::PhantomData;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
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

/// `axum::Json` of an object, its errors as problem documents.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let Json(Object(body)) = Json::from_request(request, state).await?;
        Ok(Body(body))
    }
}

/// A value that is read from a JSON object only: serde would take a list for the fields of a struct as well, in the order in
/// which they stand in the program.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object, {…}")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// `axum::extract::Query`, its errors as problem documents.
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// `axum::extract::Path`, its errors as problem documents.
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);
