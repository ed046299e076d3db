//! How the service is: readiness, metrics, counts, and who did what.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use citywatch_alerting::ledger::{Act, Summary};
use citywatch_ingest::link::LinkStatus;
use citywatch_model::Name;
use citywatch_rules::{UnitError, Unjudged, UnjudgedWhy};
use prometheus::{Encoder, TextEncoder};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Viewer;
use super::archive::ArchiveView;
use super::problem::{Problem, Query};
use super::sight::Sight;
use super::view::Problems;

/// Whether the alert book has caught up with what the journal held at the start, and still follows it.
pub async fn ready(State(app): State<App>) -> Response {
    let booked = *app.booked.borrow();
    let detail = if booked < app.ready_at {
        format!(
            "rebuilding: the alert book is at position {booked} of {}",
            app.ready_at
        )
    } else if let Some(fault) = app.road.fault() {
        fault
    } else {
        return "ready".into_response();
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", detail).into_response()
}

/// Prometheus text.
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    if let Some(archive) = &app.archive {
        archive.observe();
    }
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    encoder
        .encode(&app.metrics.gather(), &mut text)
        .map_err(|error| Problem::internal(&error))?;
    Ok((
        [(header::CONTENT_TYPE, encoder.format_type().to_owned())],
        text,
    )
        .into_response())
}

/// Where the parts of the service stand
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServiceStatus)]
pub struct Status {
    /// The journal: everything that was accepted; not for those who are bound, like all that counts the whole
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<JournalStatus>,
    /// The index of readings
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryStatus>,
    /// Brokers of others that bring readings; none for those who are bound
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkView>,
    /// The copy of all readings in InfluxDB; absent if none is configured
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveView>,
    /// Position up to which the alert book is complete
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booked: Option<u64>,
    /// Seconds that the oldest accepted record has waited for the alert book
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_seconds: Option<f64>,
    /// Sensors in the registry that the caller sees
    pub sensors: usize,
    /// The version in force: rules, sensors, zones and plans
    pub version: i64,
    /// Rules in force; with none nothing can raise an alert
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<usize>,
    /// Rule files in force
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_files: Vec<String>,
    /// Sensors that a rule does not see because their unit does not convert
    pub unit_errors: Vec<UnitErrorView>,
    /// Sensors whose readings raise nothing, because they lie outside of the sensor's `min` and `max` or are older than one that
    /// came before
    pub unjudged: Vec<UnjudgedView>,
    /// Registered sensors that no rule looks at: nothing is ever raised there
    pub unwatched_sensors: UnwatchedView,
    /// Alerts and deliveries
    pub summary: Summary,
}

/// The journal
#[derive(Debug, Serialize, ToSchema)]
pub struct JournalStatus {
    /// Position of the newest record
    pub last: u64,
    /// The service's clock at that record
    pub clock: String,
    /// Seconds since a record was taken; ticks of the service's own come every second
    pub silent_seconds: f64,
}

/// The index of readings
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryStatus {
    /// Position up to which it is complete
    pub position: u64,
    /// Distinct readings in it
    pub readings: u64,
    /// Readings that came again with the same value
    pub duplicates: u64,
    /// Readings that came again with another value; the first one stayed
    pub conflicts: u64,
}

/// A link to a broker
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkView {
    /// Its name in the configuration
    pub name: String,
    /// Host and port of the broker
    pub broker: String,
    /// `up`, `down` or `stopped`; while it is not `up`, no reading arrives by this link
    pub state: &'static str,
    /// Since when
    pub since: String,
    /// Connections since the start
    pub connections: u64,
    /// Reconnections at which the broker had forgotten what it kept for us: readings may be lost
    pub sessions_lost: u64,
    /// Why the newest connection failed or ended
    pub last_error: Option<String>,
    /// When that was
    pub last_error_at: Option<String>,
    /// Messages since the start, repeated ones counted again
    pub received: u64,
    /// Messages acknowledged to the broker since the start
    pub acknowledged: u64,
    /// Messages of which at least a part was rejected
    pub rejected: u64,
    /// Messages that wait for the journal
    pub unacknowledged: u64,
    /// Filters that the broker does not let us subscribe to
    pub refused_topics: Vec<String>,
}

impl From<LinkStatus> for LinkView {
    fn from(link: LinkStatus) -> LinkView {
        LinkView {
            name: link.name,
            broker: link.broker,
            state: link.phase.word(),
            since: link.since.to_string(),
            connections: link.connections,
            sessions_lost: link.sessions_lost,
            last_error: link.last_error,
            last_error_at: link.last_error_at.map(|time| time.to_string()),
            received: link.received,
            acknowledged: link.acknowledged,
            rejected: link.rejected,
            unacknowledged: link.unacknowledged,
            refused_topics: link.refused_topics,
        }
    }
}

/// A sensor that a rule does not see because its unit does not convert
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitErrorView {
    /// The rule
    pub rule: String,
    /// The sensor
    pub sensor: String,
    /// What is measured
    pub measurement: String,
    /// The unit that comes
    pub unit: String,
    /// The unit that the rule wants
    pub wanted: String,
    /// Readings since the service started
    pub times: u64,
}

impl From<&UnitError> for UnitErrorView {
    fn from(error: &UnitError) -> UnitErrorView {
        UnitErrorView {
            rule: error.rule.to_string(),
            sensor: error.sensor.to_string(),
            measurement: error.measurement.to_string(),
            unit: error.unit.to_string(),
            wanted: error.wanted.to_string(),
            times: error.times,
        }
    }
}

/// Registered sensors that no rule looks at, because of their kind, tags, zone or measurements
#[derive(Debug, Serialize, ToSchema)]
pub struct UnwatchedView {
    /// How many the caller sees
    pub count: usize,
    /// The first 20 of them
    pub first: Vec<String>,
}

impl UnwatchedView {
    fn of(seen: &[&Name]) -> UnwatchedView {
        UnwatchedView {
            count: seen.len(),
            first: seen.iter().take(20).map(ToString::to_string).collect(),
        }
    }
}

/// Readings of a sensor that raise nothing
#[derive(Debug, Serialize, ToSchema)]
pub struct UnjudgedView {
    /// `implausible`: shown to no rule; `late`: only fills windows
    #[schema(value_type = String)]
    pub kind: UnjudgedWhy,
    /// The sensor
    pub sensor: String,
    /// What is measured
    pub measurement: String,
    /// The newest value, as it came
    pub value: f64,
    /// Event time of the newest
    pub time: String,
    /// Readings since the service started
    pub times: u64,
}

impl From<&Unjudged> for UnjudgedView {
    fn from(unjudged: &Unjudged) -> UnjudgedView {
        UnjudgedView {
            kind: unjudged.why,
            sensor: unjudged.sensor.to_string(),
            measurement: unjudged.measurement.to_string(),
            value: unjudged.value,
            time: unjudged.time.to_string(),
            times: unjudged.times,
        }
    }
}

/// Where the parts of the service stand
#[utoipa::path(get, path = "/api/v1/status", tag = "status", responses((status = 200, body = Status), Problems))]
pub async fn status(
    State(app): State<App>,
    Viewer(bearer): Viewer,
) -> Result<Json<Status>, Problem> {
    let summary = app.ledger.seen(&bearer.view).summary().await?;
    let sight = Sight::new(&app, &bearer.view);
    let facts = app.facts.borrow().clone();
    let sees = |sensor| sight.sees(facts.registry.sensors.get(&sensor));
    let unit_errors = app.notes.unit_errors();
    let unit_errors = unit_errors.iter().filter(|error| sees(error.sensor));
    let unjudged = app.notes.unjudged();
    let unjudged = unjudged.iter().filter(|entry| sees(entry.sensor));
    let present = app.keeper.present();
    let unwatched = present.unwatched().iter().filter(|sensor| sees(**sensor));
    let part = Status {
        journal: None,
        history: None,
        links: Vec::new(),
        archive: None,
        booked: None,
        behind_seconds: None,
        sensors: facts
            .registry
            .sensors
            .values()
            .filter(|sensor| sight.sees(Some(sensor)))
            .count(),
        version: facts.in_force.version,
        rules: None,
        rule_files: Vec::new(),
        unit_errors: unit_errors.map(Into::into).collect(),
        unjudged: unjudged.map(Into::into).collect(),
        unwatched_sensors: UnwatchedView::of(&unwatched.collect::<Vec<_>>()),
        summary,
    };
    if !bearer.view.is_whole() {
        return Ok(Json(part));
    }
    // before the counts, which may be ahead of it but not behind
    let (position, booked) = (app.history.cursor(), *app.booked.borrow());
    let count = app.history.count();
    Ok(Json(Status {
        journal: Some(JournalStatus {
            last: app.journal.last(),
            clock: app.journal.last_clock().to_string(),
            silent_seconds: app.road.standstill().silent.as_secs_f64(),
        }),
        history: Some(HistoryStatus {
            position,
            readings: count.readings,
            duplicates: count.duplicates,
            conflicts: count.conflicts,
        }),
        links: app.links.statuses().into_iter().map(Into::into).collect(),
        archive: app.archive.as_ref().map(|archive| archive.status().into()),
        booked: Some(booked),
        behind_seconds: Some(app.road.standstill().behind.as_secs_f64()),
        rules: Some(present.at_work()),
        rule_files: facts
            .in_force
            .sources
            .iter()
            .map(|source| source.file.clone())
            .collect(),
        ..part
    }))
}

/// Which acts
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// At most this many, 1 to 1000
    #[serde(default = "hundred")]
    limit: u32,
    /// Only acts with a smaller id
    before: Option<i64>,
}

fn hundred() -> u32 {
    100
}

/// Who did what, newest first
#[utoipa::path(get, path = "/api/v1/audit", tag = "status", params(AuditQuery), responses((status = 200, body = Vec<Act>), Problems))]
pub async fn audit(
    State(app): State<App>,
    _: Viewer,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Vec<Act>>, Problem> {
    let acts = app
        .ledger
        .audit(query.limit.clamp(1, 1000), query.before)
        .await?;
    Ok(Json(acts))
}
