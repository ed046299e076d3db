//! Zones: the areas of responsibility in force, as far as somebody sees.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use citywatch_model::{Name, Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::access::Viewer;
use super::sight::Sight;
use super::view::Problems;

/// An area of responsibility
#[derive(Debug, Serialize, ToSchema)]
pub struct ZoneView {
    /// What sensors, departments and bounds name
    #[schema(example = "street-1")]
    pub id: String,
    /// For people
    pub name: Text,
    /// The zone that contains it; absent for a top zone, and where the caller does not see it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Its outline: corners as WGS 84 latitude and longitude in degrees; empty if unknown
    #[schema(value_type = Vec<Vec<f64>>)]
    pub polygon: Vec<(f64, f64)>,
    /// IANA name of its local time
    #[schema(example = "Asia/Shanghai")]
    pub time_zone: String,
    /// Sensors that the caller sees directly in it, those in zones that nest in it not counted
    pub sensors: usize,
}

/// The zones in force that the caller sees, in the order of their ids
#[utoipa::path(get, path = "/api/v1/zones", tag = "zones",
    responses((status = 200, body = Vec<ZoneView>), Problems))]
pub async fn list(State(app): State<App>, Viewer(bearer): Viewer) -> Json<Vec<ZoneView>> {
    let sight = Sight::new(&app, &bearer.view);
    let present = app.keeper.present();
    let registry = &present.bundle.registry;
    let mut sensors: BTreeMap<Name, usize> = BTreeMap::new();
    for sensor in registry.sensors.values() {
        if let Some(zone) = sensor.zone.filter(|_| sight.sees(Some(sensor))) {
            *sensors.entry(zone).or_default() += 1;
        }
    }
    let sees = |zone: &Name| bearer.view.sees_zone(zone.as_str());
    let zones = present.bundle.zones.0.iter();
    let zones = zones.filter(|(id, _)| sees(id)).map(|(id, zone)| ZoneView {
        id: id.to_string(),
        name: zone.name.clone(),
        parent: zone.parent.filter(sees).map(|parent| parent.to_string()),
        polygon: zone.polygon.clone(),
        time_zone: registry.zones.time_zone_at(Some(*id)).to_string(),
        sensors: sensors.get(id).copied().unwrap_or_default(),
    });
    Json(zones.collect())
}
