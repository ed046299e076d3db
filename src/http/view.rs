//! Shapes of bodies that more than one handler uses.

use citywatch_alerting::ledger::IssueWarning;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::problem::Problem;

/// What every call may answer instead
#[derive(IntoResponses)]
#[allow(
    dead_code,
    reason = "only described; handlers answer a Problem with its status"
)]
pub enum Problems {
    /// The request is wrong
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// No token, or one that is not known
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The token's role does not allow it
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// Somebody was faster, or the thing is past that stage
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body is larger than 1 MiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not JSON by its content type
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// What was asked cannot be done as it stands
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// Something inside failed
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// Nothing was kept; the same call may succeed later
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// A part of a list
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows, the newest first
    pub items: Vec<T>,
    /// `cursor` of the next page; absent on the last
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> From<citywatch_alerting::ledger::Page<T>> for Page<T> {
    fn from(page: citywatch_alerting::ledger::Page<T>) -> Page<T> {
        Page {
            items: page.items,
            next: page.next,
        }
    }
}

/// What a warning is to say and to whom; all of it may be left out.
#[derive(Debug)]
pub struct WarningCall {
    version: Option<i64>,
    wish: IssueWarning,
}

/// By hand as well: a flattened struct that refuses unknown keys would refuse `version`.
impl PartialSchema for WarningCall {
    fn schema() -> RefOr<Schema> {
        let mut schema = IssueWarning::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let version = Option::<i64>::schema();
            object.properties.insert("version".to_owned(), version);
        }
        schema
    }
}

impl ToSchema for WarningCall {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        IssueWarning::schemas(schemas);
    }
}

impl WarningCall {
    /// The version, and the wish.
    pub fn split(self) -> (Option<i64>, IssueWarning) {
        (self.version, self.wish)
    }
}

/// By hand, because a flattened struct cannot refuse unknown keys.
impl<'de> Deserialize<'de> for WarningCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WarningCall, D::Error> {
        let mut keys = Map::deserialize(deserializer)?;
        let version = keys.remove("version").unwrap_or(Value::Null);
        let version = Option::deserialize(version)
            .map_err(|error| D::Error::custom(format!("version: {error}")))?;
        let wish = IssueWarning::deserialize(Value::Object(keys)).map_err(D::Error::custom)?;
        Ok(WarningCall { version, wish })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_click_may_say_nothing_and_may_not_say_nonsense() {
        let call: WarningCall = serde_json::from_str("{}").unwrap();
        assert_eq!(call.split(), (None, IssueWarning::default()));
        let call: WarningCall = serde_json::from_str(r#"{"version":3,"level":"red"}"#).unwrap();
        assert_eq!(call.split().0, Some(3));
        let error = serde_json::from_str::<WarningCall>(r#"{"levle":"red"}"#).unwrap_err();
        assert!(error.to_string().contains("levle"), "{error}");
    }
}
