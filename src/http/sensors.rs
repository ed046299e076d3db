//! Sensors: registered ones with their newest readings, and those that nobody registered.

use axum::Json;
use axum::extract::State;
use citywatch_ingest::StoredReading;
use citywatch_model::{Name, Sensor, existing_name};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Viewer;
use super::bearer::Bearer;
use super::problem::{Path, Problem, Query};
use super::readings::Reading;
use super::sight::Sight;
use super::view::{Page, Problems};

/// A registered device
#[derive(Debug, Serialize, ToSchema)]
pub struct SensorView {
    /// What payloads carry
    pub id: String,
    /// For people
    pub name: String,
    /// WGS 84 latitude and longitude in degrees
    #[schema(value_type = Option<Vec<f64>>)]
    pub place: Option<(f64, f64)>,
    /// The innermost zone
    pub zone: Option<String>,
    /// What rules select by
    pub tags: std::collections::BTreeMap<String, String>,
    /// What it measures; empty if the registry does not say
    pub measurements: Vec<String>,
    /// Usual time between readings, in seconds
    pub interval_seconds: Option<f64>,
    /// After this many seconds its newest value counts as unknown
    pub stale_after_seconds: f64,
    /// Least plausible value
    pub min: Option<f64>,
    /// Greatest plausible value
    pub max: Option<f64>,
}

impl From<&Sensor> for SensorView {
    fn from(sensor: &Sensor) -> SensorView {
        SensorView {
            id: sensor.id.to_string(),
            name: sensor.name.clone(),
            place: sensor.place,
            zone: sensor.zone.map(|zone| zone.to_string()),
            tags: sensor
                .tags
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
            measurements: sensor
                .measurements
                .iter()
                .map(ToString::to_string)
                .collect(),
            interval_seconds: sensor.interval.map(citywatch_model::Duration::seconds),
            stale_after_seconds: sensor.stale_after().seconds(),
            min: sensor.min,
            max: sensor.max,
        }
    }
}

/// Which sensors
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SensorQuery {
    /// At most this many, 1 to 1000
    #[serde(default = "hundred")]
    limit: usize,
    /// `next` of the page before
    cursor: Option<String>,
}

fn hundred() -> usize {
    100
}

/// Registered sensors in the order of their ids
#[utoipa::path(get, path = "/api/v1/sensors", tag = "sensors", params(SensorQuery),
    responses((status = 200, body = Page<SensorView>), Problems))]
pub async fn list(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Query(query): Query<SensorQuery>,
) -> Json<Page<SensorView>> {
    let sight = Sight::new(&app, &bearer.view);
    let facts = app.facts.borrow().clone();
    let limit = query.limit.clamp(1, 1000);
    let after = |id: &str| query.cursor.as_deref().is_none_or(|cursor| id > cursor);
    let mut found = facts
        .registry
        .sensors
        .values()
        .filter(|sensor| after(sensor.id.as_str()) && sight.sees(Some(sensor)));
    let items: Vec<SensorView> = found.by_ref().take(limit).map(Into::into).collect();
    let next = found
        .next()
        .and_then(|_| items.last().map(|last| last.id.clone()));
    Json(Page { items, next })
}

/// A sensor that speaks and that nobody registered
#[derive(Debug, Serialize, ToSchema)]
pub struct UnknownSensorView {
    /// What its payloads carry
    pub id: String,
    /// First reading, by arrival
    pub first_seen: String,
    /// Newest reading, by arrival
    pub last_seen: String,
    /// Readings since the service started
    pub readings: u64,
    /// Where it came in
    pub door: String,
}

/// Sensors that speak and that nobody registered; their readings are kept and judged
#[utoipa::path(get, path = "/api/v1/sensors/unknown", tag = "sensors",
    responses((status = 200, body = Vec<UnknownSensorView>), Problems))]
pub async fn unknown(State(app): State<App>, _: Viewer) -> Json<Vec<UnknownSensorView>> {
    let unknown = app
        .intake
        .unknown_sensors()
        .into_iter()
        .map(|sensor| UnknownSensorView {
            id: sensor.id.to_string(),
            first_seen: sensor.first_seen.to_string(),
            last_seen: sensor.last_seen.to_string(),
            readings: sensor.readings,
            door: sensor.door.word().to_owned(),
        });
    Json(unknown.collect())
}

/// A sensor and its newest readings
#[derive(Debug, Serialize, ToSchema)]
pub struct SensorDetail {
    /// What the registry says; absent if nobody registered it
    pub sensor: Option<SensorView>,
    /// The newest reading of each measurement
    pub newest: Vec<Reading>,
}

/// One sensor and its newest readings
#[utoipa::path(get, path = "/api/v1/sensors/{id}", tag = "sensors", params(("id" = String, Path)),
    responses((status = 200, body = SensorDetail), Problems))]
pub async fn detail(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Path(id): Path<String>,
) -> Result<Json<SensorDetail>, Problem> {
    let sensor = known(&app, &bearer, &id)?;
    let registered: Option<SensorView> = app
        .facts
        .borrow()
        .registry
        .sensors
        .get(&sensor)
        .map(Into::into);
    let history = app.history.clone();
    let newest: Vec<StoredReading> =
        super::readings::blocking(move || history.newest(sensor)).await?;
    if registered.is_none() && newest.is_empty() {
        return Err(unknown_sensor(&id));
    }
    Ok(Json(SensorDetail {
        sensor: registered,
        newest: newest.iter().map(Into::into).collect(),
    }))
}

/// The sensor with that id, if the caller may see it; what he may not see is answered as what there is not.
pub fn known(app: &App, bearer: &Bearer, id: &str) -> Result<Name, Problem> {
    let sensor = existing_name(id).ok_or_else(|| unknown_sensor(id))?;
    let facts = app.facts.borrow().clone();
    let sight = Sight::new(app, &bearer.view);
    if !sight.sees(facts.registry.sensors.get(&sensor)) {
        return Err(unknown_sensor(id));
    }
    Ok(sensor)
}

pub fn unknown_sensor(id: &str) -> Problem {
    Problem::not_found(format!("no sensor `{id}` is registered or has ever spoken"))
}
