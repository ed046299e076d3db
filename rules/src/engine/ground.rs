//! Where sensors stand: who is near whom, and who is in which zone. Lists are made when they are asked for and
//! forgotten when the registry changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use citywatch_model::{Name, Time, Zones};
use rstar::RTree;
use rstar::primitives::GeomWithData;

use super::evaluate::GroupValue;
use super::sensor::SensorState;

/// Mean radius of the earth in metres (IUGG).
const EARTH_M: f64 = 6_371_008.8;

/// A point on the unit sphere, with the place of its sensor.
type Spot = GeomWithData<[f64; 3], u32>;

/// Neighbourhoods. Lists hold places of sensors in the order of their ids.
#[derive(Debug, Default)]
pub(super) struct Ground {
    spots: Option<RTree<Spot>>,
    /// By the bits of the distance and the sensor.
    near: BTreeMap<(u64, u32), Arc<[u32]>>,
    /// By zone: sensors in it and in the zones inside it, and those that stand in it directly.
    zones: Option<BTreeMap<Name, InZone>>,
    /// What a zone came to, by slot and zone, at a step and clock.
    pub came_to: BTreeMap<(u32, Name), (u64, Time, GroupValue)>,
}

#[derive(Debug, Default)]
struct InZone {
    all: Arc<[u32]>,
    direct: Arc<[u32]>,
}

impl Ground {
    /// Sensors moved, came or went.
    pub(super) fn forget(&mut self) {
        *self = Ground::default();
    }

    /// The others within `metres` of the sensor at `place`; none if it has no place on the map.
    pub(super) fn near(&mut self, sensors: &[SensorState], place: u32, metres: f64) -> Arc<[u32]> {
        let key = (metres.to_bits(), place);
        if let Some(known) = self.near.get(&key) {
            return Arc::clone(known);
        }
        let spots = self.spots.get_or_insert_with(|| {
            let spot = |(place, sensor): (usize, &SensorState)| {
                let at = sensor.profile.details.place?;
                Some(Spot::new(on_sphere(at), place as u32))
            };
            RTree::bulk_load(sensors.iter().enumerate().filter_map(spot).collect())
        });
        let mut found = Vec::new();
        if let Some(here) = sensors[place as usize].profile.details.place {
            // the straight line through the earth, a little longer so that only the arc decides
            let chord = 2.0
                * (metres / EARTH_M / 2.0)
                    .min(std::f64::consts::FRAC_PI_2)
                    .sin();
            let reach = (chord + 1e-9).powi(2);
            let within = |other: &u32| {
                let there = sensors[*other as usize].profile.details.place;
                *other != place && there.is_some_and(|there| distance_m(here, there) <= metres)
            };
            let candidates = spots.locate_within_distance(on_sphere(here), reach);
            found.extend(candidates.map(|spot| spot.data).filter(within));
            found.sort_by_key(|place| sensors[*place as usize].id);
        }
        let found: Arc<[u32]> = found.into();
        self.near.insert(key, Arc::clone(&found));
        found
    }

    /// The sensors in `zone` and the zones inside it.
    pub(super) fn inside(
        &mut self,
        sensors: &[SensorState],
        zones: &Zones,
        zone: Name,
    ) -> Arc<[u32]> {
        let found = self.zone(sensors, zones, zone);
        found
            .map(|found| Arc::clone(&found.all))
            .unwrap_or_default()
    }

    /// The sensors whose own zone is `zone`.
    pub(super) fn directly_in(
        &mut self,
        sensors: &[SensorState],
        zones: &Zones,
        zone: Name,
    ) -> Arc<[u32]> {
        let found = self.zone(sensors, zones, zone);
        found
            .map(|found| Arc::clone(&found.direct))
            .unwrap_or_default()
    }

    fn zone(&mut self, sensors: &[SensorState], zones: &Zones, zone: Name) -> Option<&InZone> {
        let all = self.zones.get_or_insert_with(|| by_zone(sensors, zones));
        all.get(&zone)
    }
}

fn by_zone(sensors: &[SensorState], zones: &Zones) -> BTreeMap<Name, InZone> {
    let mut standing: Vec<(u32, Name)> = sensors
        .iter()
        .zip(0..)
        .filter_map(|(sensor, place)| Some((place, sensor.profile.details.zone?)))
        .collect();
    standing.sort_by_key(|(place, _)| sensors[*place as usize].id);
    let mut lists: BTreeMap<Name, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
    for (place, own) in standing {
        for zone in zones.around(own) {
            let (all, _) = lists.entry(zone).or_default();
            // a cycle of zones comes by again
            if all.last() != Some(&place) {
                all.push(place);
            }
        }
        lists.entry(own).or_default().1.push(place);
    }
    let list = |(zone, (all, direct)): (Name, (Vec<u32>, Vec<u32>))| {
        let (all, direct) = (all.into(), direct.into());
        (zone, InZone { all, direct })
    };
    lists.into_iter().map(list).collect()
}

fn on_sphere((latitude, longitude): (f64, f64)) -> [f64; 3] {
    let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
    let (height, ring) = latitude.sin_cos();
    let (y, x) = longitude.sin_cos();
    [ring * x, ring * y, height]
}

/// Metres between two points given by latitude and longitude in degrees (haversine).
pub(super) fn distance_m(one: (f64, f64), two: (f64, f64)) -> f64 {
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let across = one.0.to_radians().cos() * two.0.to_radians().cos() * half(one.1, two.1);
    2.0 * EARTH_M * (half(one.0, two.0) + across).sqrt().min(1.0).asin()
}
