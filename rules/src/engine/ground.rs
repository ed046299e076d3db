//! Which sensors a program runs at, by zone, and the circles around those that ask for others. Made when they are
//! asked for, kept up as sensors join a program, and forgotten when rules or the registry change.

use std::collections::BTreeMap;

use citywatch_model::{Name, Time, Zones};

use super::circle::{Circle, Share};
use super::evaluate::GroupValue;
use super::sensor::SensorState;

/// Who stands where, for each program by itself: sensors that have nothing to do with it cost nothing.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// By slot of the program that contributes.
    pub circles: BTreeMap<u32, Circle>,
    /// By slot of the program that runs there.
    zones: BTreeMap<u32, BTreeMap<Name, InZone>>,
    /// What a zone came to, by slot and zone, at a step and clock.
    pub came_to: BTreeMap<(u32, Name), (u64, Time, GroupValue)>,
}

/// Places of sensors in the order of their ids.
#[derive(Debug, Default)]
struct InZone {
    /// In the zone and in the zones inside it.
    all: Vec<u32>,
    /// In the zone itself.
    direct: Vec<u32>,
}

/// What places, zones and programs mean is looked up here.
#[derive(Clone, Copy)]
pub(super) struct Land<'a> {
    pub sensors: &'a [SensorState],
    pub zones: &'a Zones,
}

impl Ground {
    /// Rules changed, or sensors moved or went.
    pub(super) fn forget(&mut self) {
        *self = Ground::default();
    }

    /// A sensor stands in another zone than it did.
    pub(super) fn forget_zones(&mut self) {
        self.zones.clear();
        self.came_to.clear();
    }

    /// The program at `slot` runs at the sensor at `place` from now on.
    pub(super) fn join(&mut self, slot: u32, place: u32, land: Land<'_>) {
        if let Some(lists) = self.zones.get_mut(&slot) {
            enter(lists, place, land);
        }
        let sensor = &land.sensors[place as usize];
        for (contributing, circle) in &mut self.circles {
            if *contributing == slot {
                circle.join_member(place, sensor, Share::default());
            }
            if circle.owner == slot {
                circle.join_asker(place, sensor);
            }
        }
    }

    /// The program at `slot` no longer runs at the sensor at `place`.
    pub(super) fn leave(&mut self, slot: u32, place: u32, sensor: &SensorState) {
        for zone in self
            .zones
            .get_mut(&slot)
            .into_iter()
            .flat_map(BTreeMap::values_mut)
        {
            zone.all.retain(|held| *held != place);
            zone.direct.retain(|held| *held != place);
        }
        // what contributes leaves only with rules or the registry, and then nothing is held
        self.circles.remove(&slot);
        let asked = self
            .circles
            .values_mut()
            .filter(|circle| circle.owner == slot);
        asked.for_each(|circle| circle.leave(place, sensor));
    }

    /// The sensors in `zone` and the zones inside it at which the program at `slot` runs.
    pub(super) fn inside(&mut self, slot: u32, zone: Name, land: Land<'_>) -> &[u32] {
        let found = self.lists(slot, land).get(&zone);
        found.map_or(&[], |found| &found.all)
    }

    /// The sensors whose own zone is `zone` at which the program at `slot` runs.
    pub(super) fn directly_in(&mut self, slot: u32, zone: Name, land: Land<'_>) -> &[u32] {
        let found = self.lists(slot, land).get(&zone);
        found.map_or(&[], |found| &found.direct)
    }

    fn lists(&mut self, slot: u32, land: Land<'_>) -> &BTreeMap<Name, InZone> {
        self.zones.entry(slot).or_insert_with(|| {
            let mut standing: Vec<u32> = (0..land.sensors.len() as u32).collect();
            standing.retain(|place| land.sensors[*place as usize].bound(slot).is_some());
            standing.sort_by_key(|place| land.sensors[*place as usize].id);
            let mut lists = BTreeMap::new();
            for place in standing {
                enter(&mut lists, place, land);
            }
            lists
        })
    }
}

/// Puts the sensor at `place` into the lists of its zones.
fn enter(lists: &mut BTreeMap<Name, InZone>, place: u32, land: Land<'_>) {
    let sensor = &land.sensors[place as usize];
    let Some(own) = sensor.profile.details.zone else {
        return;
    };
    let insert = |list: &mut Vec<u32>| {
        let at = list.partition_point(|held| land.sensors[*held as usize].id < sensor.id);
        // a cycle of zones comes by again
        if list.get(at) != Some(&place) {
            list.insert(at, place);
        }
    };
    for zone in land.zones.around(own) {
        insert(&mut lists.entry(zone).or_default().all);
    }
    insert(&mut lists.entry(own).or_default().direct);
}
