//! The archive: how far it is, and what it refused.

use axum::Json;
use axum::extract::State;
use citywatch_ingest::archive::{ArchiveStatus, RefusedPoint};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Viewer;
use super::problem::{Problem, Query};
use super::readings::flag_words;
use super::view::Problems;

/// The copy of all readings in InfluxDB
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ArchiveStatus)]
pub struct ArchiveView {
    /// Journal position up to which everything is archived or set aside
    pub position: u64,
    /// Journal records that are not archived yet
    pub behind_records: u64,
    /// The service's time between what is archived and the journal's end, in seconds
    pub behind_seconds: f64,
    /// Points written since the service started; a point written again counts again
    pub written: u64,
    /// Points set aside because the archive refused them, those of earlier runs too
    pub refused: u64,
    /// Since when nothing could be written; absent while all is well
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<String>,
    /// The newest failure since the service started, also if it is over
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ArchiveFailure>,
}

/// A failure of the archive
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveFailure {
    /// When
    pub time: String,
    /// What went wrong and what to look at
    pub reason: String,
}

impl From<ArchiveStatus> for ArchiveView {
    fn from(status: ArchiveStatus) -> ArchiveView {
        ArchiveView {
            position: status.position,
            behind_records: status.behind_records,
            behind_seconds: status.behind.millis() as f64 / 1_000.0,
            written: status.written,
            refused: status.refused,
            waiting_since: status.waiting_since.map(|time| time.to_string()),
            last_error: status.last_error.map(|failure| ArchiveFailure {
                time: failure.time.to_string(),
                reason: failure.reason,
            }),
        }
    }
}

/// How many
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RefusedQuery {
    /// At most this many, 1 to 10000
    #[serde(default = "hundred")]
    limit: usize,
}

fn hundred() -> usize {
    100
}

/// A reading that the archive refused
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedReading {
    /// When it was refused
    pub refused: String,
    /// What the archive said
    pub reason: String,
    /// Sensor
    pub sensor: String,
    /// What was measured
    pub measurement: String,
    /// When it was measured
    pub time: String,
    /// How much
    pub value: Option<f64>,
    /// Unit as it came; may be empty
    pub unit: String,
    /// Any of `no_time`, `future`, `unknown_sensor`, `implausible`
    pub flags: Vec<&'static str>,
}

impl From<RefusedPoint> for RefusedReading {
    fn from(point: RefusedPoint) -> RefusedReading {
        RefusedReading {
            refused: point.refused.to_string(),
            reason: point.reason,
            sensor: point.sensor,
            measurement: point.measurement,
            time: point.time.to_string(),
            value: point.value,
            unit: point.unit,
            flags: flag_words(point.flags),
        }
    }
}

/// The newest readings that the archive refused; the newest 10,000 are kept
#[utoipa::path(get, path = "/api/v1/archive/refused", tag = "status", params(RefusedQuery),
    responses((status = 200, body = Vec<RefusedReading>), Problems))]
pub async fn refused(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<RefusedQuery>,
) -> Result<Json<Vec<RefusedReading>>, Problem> {
    let Some(archive) = app.archive.clone() else {
        return Err(Problem::not_found(
            "no archive is configured: add [archive] to the configuration",
        ));
    };
    let limit = query.limit.clamp(1, 10_000);
    let read = tokio::task::spawn_blocking(move || archive.refused(limit)).await;
    let points = read
        .map_err(|error| Problem::internal(&error))?
        .map_err(|error| Problem::internal(&error))?;
    Ok(Json(points.into_iter().map(Into::into).collect()))
}
