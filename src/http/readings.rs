//! Readings: the HTTP door, the history for charts, and what was rejected.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use citywatch_ingest::decode::Format;
use citywatch_ingest::{
    Door, Form, HistoryError, IntakeError, Message, RejectedPayload, Rejection, StoredReading,
};
use citywatch_model::{Name, Time, existing_name, flags};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::{Device, Viewer};
use super::problem::{Problem, Query};
use super::sensors::known;
use super::view::Problems;

/// What became of a payload
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedReadings {
    /// Readings that are on disk now
    pub accepted: usize,
    /// Journal position of the newest of them
    pub position: u64,
    /// What was not taken
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
}

/// Something that was not taken
#[derive(Debug, Serialize, ToSchema)]
pub struct Rejected {
    /// The element of the payload's array, counted from 0
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// A stable word such as `malformed_json`
    pub reason: String,
    /// What was wrong, where, and what to send instead
    pub detail: String,
}

impl From<&Rejection> for Rejected {
    fn from(rejection: &Rejection) -> Rejected {
        Rejected {
            index: rejection.index,
            reason: rejection.reason.word().to_owned(),
            detail: rejection.detail.clone(),
        }
    }
}

/// Brings readings in Citywatch JSON, or in SenML as `application/senml+json`; answers when they are on disk. What
/// can be taken is taken: `rejected` tells the rest
#[utoipa::path(post, path = "/api/v1/readings", tag = "readings",
    request_body(
        content((serde_json::Value = "application/json"), (serde_json::Value = "application/senml+json")),
        description = "Citywatch JSON: one object, or an array of them; or a SenML pack (RFC 8428)"),
    responses((status = 200, body = AcceptedReadings), Problems))]
pub async fn accept(
    State(app): State<App>,
    Device(bearer): Device,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<AcceptedReadings>, Problem> {
    let source = format!("{}@{peer}", bearer.name);
    let payload = match body {
        Ok(payload) => payload,
        Err(rejection) => {
            let problem = Problem::bad_body(rejection.status(), rejection.body_text());
            app.intake
                .refuse_unread(Door::Http, &source, problem.detail.clone())
                .await;
            return Err(problem);
        }
    };
    let form = form(&headers);
    let message = Message {
        door: Door::Http,
        source: &source,
        topic: None,
        payload: &payload,
        form,
        retained: false,
    };
    let accepted = app.intake.accept(message).await.map_err(unavailable)?;
    let rejected: Vec<Rejected> = accepted.rejected.iter().map(Into::into).collect();
    if accepted.readings == 0 {
        let detail = rejected.first().map_or_else(
            || "the payload holds no reading".to_owned(),
            |first| first.detail.clone(),
        );
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "rejected", detail);
        return Err(Problem {
            rejected,
            ..problem
        });
    }
    Ok(Json(AcceptedReadings {
        accepted: accepted.readings,
        position: accepted.position,
        rejected,
    }))
}

/// Anything but SenML is read as Citywatch JSON, since devices label it in many ways, or not at all.
fn form(headers: &HeaderMap) -> Form<'static> {
    let named = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = named
        .and_then(|text| text.split(';').next())
        .unwrap_or_default();
    if essence
        .trim()
        .eq_ignore_ascii_case("application/senml+json")
    {
        Form::Format(Format::Senml)
    } else {
        Form::Usual
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: IntakeError) -> Problem {
    let detail = format!("{error}; nothing was accepted, send it again");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "intake-unavailable",
        detail,
    )
}

/// One reading
#[derive(Debug, Serialize, ToSchema)]
pub struct Reading {
    /// What was measured
    pub measurement: String,
    /// How much
    pub value: f64,
    /// Unit as it came; may be empty
    pub unit: String,
    /// When it was measured
    pub time: String,
    /// When it arrived
    pub arrival: String,
    /// Any of `no_time`, `future`, `unknown_sensor`, `implausible`
    pub flags: Vec<&'static str>,
}

impl From<&StoredReading> for Reading {
    fn from(reading: &StoredReading) -> Reading {
        Reading {
            measurement: reading.measurement.to_string(),
            value: reading.value,
            unit: reading.unit.to_string(),
            time: reading.time.to_string(),
            arrival: reading.arrival.to_string(),
            flags: flag_words(reading.flags),
        }
    }
}

/// Bits of [`flags`] as words.
pub fn flag_words(bits: u8) -> Vec<&'static str> {
    let words = [
        (flags::NO_TIME, "no_time"),
        (flags::FUTURE, "future"),
        (flags::UNKNOWN_SENSOR, "unknown_sensor"),
        (flags::IMPLAUSIBLE, "implausible"),
    ];
    let set = words.into_iter().filter(|(bit, _)| bits & bit != 0);
    set.map(|(_, word)| word).collect()
}

/// Which readings
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ReadingQuery {
    /// Sensor id
    sensor: String,
    /// Measurement
    measurement: String,
    /// From this event time, RFC 3339; a day before `to` unless given
    #[param(value_type = Option<String>)]
    from: Option<Time>,
    /// Up to this event time, included; now unless given
    #[param(value_type = Option<String>)]
    to: Option<Time>,
    /// At most about this many points, 1 to 10000
    #[serde(default = "points")]
    points: usize,
}

fn points() -> usize {
    500
}

/// Neighbouring readings of one unit, down-sampled
#[derive(Debug, Serialize, ToSchema)]
pub struct Point {
    /// Event time of the newest of them
    pub time: String,
    /// Least value
    pub min: f64,
    /// Greatest value
    pub max: f64,
    /// Mean value
    pub mean: f64,
    /// Value of the newest
    pub last: f64,
    /// How many
    pub count: u64,
    /// Unit as it came; may be empty
    pub unit: String,
}

/// Readings of one sensor and measurement, down-sampled for charts; extremes are kept
#[utoipa::path(get, path = "/api/v1/readings", tag = "readings", params(ReadingQuery),
    responses((status = 200, body = Vec<Point>), Problems))]
pub async fn history(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Query(query): Query<ReadingQuery>,
) -> Result<Json<Vec<Point>>, Problem> {
    let sensor = known(&app, &bearer, &query.sensor)?;
    let measurement = measured(&app, sensor, &query.measurement).await?;
    let to = query.to.unwrap_or_else(|| app.ledger.now());
    let from = query
        .from
        .unwrap_or(to - citywatch_model::Duration::from_secs(86_400));
    if from > to {
        return Err(Problem::bad_request(format!(
            "`from` {from} lies after `to` {to}"
        )));
    }
    let history = app.history.clone();
    let points = query.points.clamp(1, 10_000);
    let buckets = blocking(move || history.series(sensor, measurement, (from, to), points)).await?;
    let points = buckets.into_iter().map(|bucket| Point {
        time: bucket.time.to_string(),
        min: bucket.min,
        max: bucket.max,
        mean: bucket.mean,
        last: bucket.last,
        count: bucket.count,
        unit: bucket.unit.to_string(),
    });
    Ok(Json(points.collect()))
}

/// What the sensor measures under that name, or is registered to measure.
async fn measured(app: &App, sensor: Name, measurement: &str) -> Result<Name, Problem> {
    let unknown = || {
        let said = format!("sensor `{sensor}` has never sent `{measurement}`");
        Problem::not_found(said)
    };
    let facts = app.facts.borrow().clone();
    let registered = facts.registry.sensors.get(&sensor);
    let found = existing_name(measurement).ok_or_else(unknown)?;
    if registered.is_some_and(|sensor| sensor.measurements.contains(&found)) {
        return Ok(found);
    }
    let history = app.history.clone();
    let newest = blocking(move || history.newest(sensor)).await?;
    let sent = newest.iter().any(|reading| reading.measurement == found);
    sent.then_some(found).ok_or_else(unknown)
}

/// How many
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RejectedQuery {
    /// At most this many, 1 to 10000
    #[serde(default = "hundred")]
    limit: usize,
}

fn hundred() -> usize {
    100
}

/// A message of which at least a part was rejected
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedMessage {
    /// When it arrived
    pub time: String,
    /// `broker`, `http` or `link`
    pub door: String,
    /// Client id or peer address
    pub source: String,
    /// Where it was published
    pub topic: Option<String>,
    /// At most 4 KiB of it, as text
    pub payload: String,
    /// Length of all of it
    pub payload_bytes: usize,
    /// The first 20 rejections
    pub rejections: Vec<Rejected>,
    /// How many there were
    pub rejection_count: usize,
}

impl From<RejectedPayload> for RejectedMessage {
    fn from(payload: RejectedPayload) -> RejectedMessage {
        RejectedMessage {
            time: payload.time.to_string(),
            door: payload.door,
            source: payload.source,
            topic: payload.topic,
            payload: payload.payload,
            payload_bytes: payload.payload_bytes,
            rejections: payload.rejections.iter().map(Into::into).collect(),
            rejection_count: payload.rejection_count,
        }
    }
}

/// The newest rejected messages; the newest 10,000 are kept
#[utoipa::path(get, path = "/api/v1/readings/rejected", tag = "readings", params(RejectedQuery),
    responses((status = 200, body = Vec<RejectedMessage>), Problems))]
pub async fn rejected(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<RejectedQuery>,
) -> Result<Json<Vec<RejectedMessage>>, Problem> {
    let intake = app.intake.clone();
    let limit = query.limit.clamp(1, 10_000);
    let rejected = blocking(move || intake.rejected(limit)).await?;
    Ok(Json(rejected.into_iter().map(Into::into).collect()))
}

/// Runs a read from disk off the threads that serve requests.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, Problem> {
    let read = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(&error))?;
    read.map_err(|error| Problem::internal(&error))
}
