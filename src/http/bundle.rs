//! What is in force as a whole: its files, the change from one bundle to another, and every version that there was.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use citywatch_alerting::ledger::{Contents, Version};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::{Admin, Viewer};
use super::call::Caller;
use super::problem::{Object, Path, Problem, Query};
use super::view::Problems;
use crate::bundle::{self, NamedText};
use crate::in_force::{ChangeError, Difference, Outcome, Request, Wish, difference_of};

/// Largest bundle in bytes.
pub const BUNDLE_LIMIT: usize = 32 << 20;

/// A version with who, when and why
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionHead {
    /// From 1
    #[schema(example = 7)]
    pub id: i64,
    /// On the service's clock
    pub at: String,
    /// Who
    #[schema(example = "wang")]
    pub actor: String,
    /// In which role
    pub role: String,
    /// From where
    pub from: String,
    /// Why
    #[schema(example = "pits of the east ring close at 25 cm, order 2026-14")]
    pub reason: String,
    /// The journal's position from which it holds; absent until the journal has it
    pub position: Option<u64>,
}

impl From<&Version> for VersionHead {
    fn from(version: &Version) -> VersionHead {
        VersionHead {
            id: version.id,
            at: version.at.to_string(),
            actor: version.actor.clone(),
            role: version.role.clone(),
            from: version.from.clone(),
            reason: version.reason.clone(),
            position: version.position,
        }
    }
}

/// All files of a version
#[derive(Debug, Serialize, ToSchema)]
pub struct BundleView {
    /// The version
    pub version: VersionHead,
    /// Its files, exactly as they were brought
    pub files: Vec<NamedText>,
}

/// A bundle that is to be in force
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleCall {
    /// All files; what is in force and not among them is removed
    pub files: Vec<NamedText>,
    /// Why; may be left out in a dry run
    #[serde(default)]
    #[schema(example = "sensors of the east ring")]
    pub reason: String,
    /// The version that the caller saw in force
    #[serde(default)]
    pub version: Option<i64>,
    /// Check everything and say what would change, and change nothing
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a change
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeView {
    /// The version in force; after a dry run, and where nothing changed, the one that was
    pub version: VersionHead,
    /// Whether anything changed, or would
    pub changed: bool,
    /// What
    pub difference: Difference,
    /// Tests in the rule files that came out as written; one that does not is a mistake
    pub tests_passed: usize,
}

impl From<Outcome> for ChangeView {
    fn from(outcome: Outcome) -> ChangeView {
        ChangeView {
            version: (&outcome.version).into(),
            changed: outcome.changed,
            difference: outcome.difference,
            tests_passed: outcome.tested.passed,
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        let detail = error.to_string();
        match error {
            ChangeError::Ledger(error) => error.into(),
            ChangeError::Mistakes(mistakes) => Problem {
                mistakes: mistakes.into(),
                ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "mistakes", detail)
            },
            ChangeError::Missing(_) => Problem::not_found(detail),
            ChangeError::Invalid(_) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
            }
            ChangeError::Later(..) => {
                tracing::error!(%detail, "a version is not in force yet");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-in-force-yet", detail)
            }
            ChangeError::Inside(_) => Problem::internal(&detail),
        }
    }
}

/// All files in force, exactly as they were brought; plans hold addresses, so this takes an admin
#[utoipa::path(get, path = "/api/v1/bundle", tag = "versions",
    responses((status = 200, body = BundleView), Problems))]
pub async fn export(State(app): State<App>, _: Admin) -> Json<BundleView> {
    let present = app.keeper.present();
    let files = present.bundle.files.iter().map(|file| NamedText {
        file: file.name.clone(),
        text: file.text.clone(),
    });
    Json(BundleView {
        version: (&present.version).into(),
        files: files.collect(),
    })
}

/// Puts a bundle in force as one change: everything is checked first, and with a single mistake all stays as it is.
/// Modes that stand above the files stay
#[utoipa::path(post, path = "/api/v1/bundle", tag = "versions", params(Caller),
    request_body = BundleCall, responses((status = 200, body = ChangeView), Problems))]
pub async fn apply(
    State(app): State<App>,
    Admin(bearer): Admin,
    caller: Caller,
    body: Result<Json<Object<BundleCall>>, JsonRejection>,
) -> Result<Json<ChangeView>, Problem> {
    let Json(Object(body)) = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!(
                "the bundle is larger than {BUNDLE_LIMIT} bytes, which is the most that is taken"
            );
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
        }
        _ => rejection.into(),
    })?;
    let request = Request {
        act: "apply",
        asked: json!({ "files": body.files, "reason": body.reason, "version": body.version }),
        reason: body.reason,
        dry_run: body.dry_run,
    };
    let call = caller.call(bearer, body.version);
    let wish = |present: &crate::in_force::Present| {
        let files = bundle::of_texts(body.files).map_err(ChangeError::Mistakes)?;
        Ok(Wish {
            files,
            modes: present.wish().modes,
        })
    };
    let outcome = app
        .keeper
        .change(&app.intake, (request, call), wish)
        .await?;
    Ok(Json(outcome.into()))
}

/// Which versions
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VersionQuery {
    /// At most this many, 1 to 1000
    #[serde(default = "hundred")]
    limit: u32,
    /// Only versions with a smaller number
    before: Option<i64>,
}

fn hundred() -> u32 {
    100
}

/// Every version that was ever in force, the newest first
#[utoipa::path(get, path = "/api/v1/versions", tag = "versions", params(VersionQuery),
    responses((status = 200, body = Vec<VersionHead>), Problems))]
pub async fn versions(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<VersionQuery>,
) -> Result<Json<Vec<VersionHead>>, Problem> {
    let limit = query.limit.clamp(1, 1000);
    let versions = app.ledger.versions(limit, query.before).await?;
    Ok(Json(versions.iter().map(Into::into).collect()))
}

/// One version
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Who, when and why
    pub version: VersionHead,
    /// What it consists of; texts by their SHA-256
    pub contents: Contents,
    /// What it changed; without the lines of plans, which hold addresses
    pub difference: Difference,
}

/// One version, and what it changed
#[utoipa::path(get, path = "/api/v1/versions/{id}", tag = "versions", params(("id" = i64, Path)),
    responses((status = 200, body = VersionView), Problems))]
pub async fn version(
    State(app): State<App>,
    _: Viewer,
    Path(id): Path<i64>,
) -> Result<Json<VersionView>, Problem> {
    let version = app.ledger.version(id).await?;
    let difference = difference_of(&app.ledger, &version).await;
    let difference = difference.map_err(|error| Problem::internal(&error))?;
    Ok(Json(VersionView {
        version: (&version).into(),
        contents: version.contents,
        difference: difference.without_secrets(),
    }))
}
