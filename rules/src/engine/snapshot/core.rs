//! How a core is kept: what is in force, then its sensors. Only state that cannot be computed from that is
//! written, so that nothing which is read can point at anything that is not there.

use std::sync::Arc;

use citywatch_model::{Name, RulesInForce, Time, Zones};
use ustr::UstrMap;

use super::codec::{Damaged, Kept, Reader, Writer, ensure};
use crate::ast::RuleSet;
use crate::engine::bound::Bound;
use crate::engine::core::{Core, Reached, Role, Share};
use crate::engine::fit::{lay_series, tasks};
use crate::engine::profile::{Limits, Profile};
use crate::engine::program::Program;
use crate::engine::sensor::{SensorState, Track};

/// Programs for which a table of slots has room, those that left it included.
const MOST_SLOTS: u32 = 1 << 20;

/// What all cores know alike.
pub(in crate::engine) struct InForce {
    pub rules: Arc<RuleSet>,
    pub sources: Arc<RulesInForce>,
    pub zones: Zones,
    pub reached: Reached,
    /// Of registered sensors.
    pub limits: UstrMap<Limits>,
}

/// A sensor as it was read, not bound yet.
pub(in crate::engine) struct Loaded {
    pub state: SensorState,
    pub registered: bool,
}

impl Kept for Track {
    fn write(&self, to: &mut Writer) {
        self.measurement.write(to);
        self.newest.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Track, Damaged> {
        Ok(Track {
            measurement: Kept::read(from)?,
            newest: Kept::read(from)?,
            series: Default::default(),
        })
    }
}

impl Core {
    /// The section of the programs, which is the same for all cores of the first stage.
    pub(crate) fn write_all_programs(&self) -> Option<Vec<u8>> {
        let mut to = Writer::default();
        self.write_programs(&mut to);
        to.finish()
    }

    /// Which program stands in which slot, and what rules name at other sensors.
    pub(in crate::engine) fn write_programs(&self, to: &mut Writer) {
        (self.programs.len() as u32).write(to);
        self.order.write(to);
        (self.remotes.list.len() as u64).write(to);
        for remote in &self.remotes.list {
            remote.time.write(to);
            remote.value.write(to);
        }
    }

    /// The sensors that this core follows, each with what the registry says about it, in at most so many `sections`.
    pub(crate) fn write_sensors(&self, sections: usize) -> Option<Vec<Vec<u8>>> {
        let held = self.sensors.iter().zip(0..);
        let held: Vec<&SensorState> = held
            .filter(|(_, place)| !self.vacant.contains(place))
            .map(|(sensor, _)| sensor)
            .collect();
        let each = held.len().div_ceil(sections).max(1);
        held.chunks(each)
            .map(|sensors| self.write_section(sensors))
            .collect()
    }

    fn write_section(&self, sensors: &[&SensorState]) -> Option<Vec<u8>> {
        let mut to = Writer::default();
        (sensors.len() as u64).write(&mut to);
        for sensor in sensors {
            let registered = self.limits.contains_key(&sensor.id);
            registered.write(&mut to);
            if registered {
                sensor.profile.write(&mut to);
            }
            self.write_sensor(sensor, &mut to);
        }
        to.finish()
    }

    pub(in crate::engine) fn write_sensor(&self, sensor: &SensorState, to: &mut Writer) {
        sensor.id.write(to);
        sensor.registered.write(to);
        sensor.alarmed.write(to);
        sensor.interval_ms.write(to);
        sensor.tracks.write(to);
        sensor.series.write(to);
        let bounds = sensor.bounds.iter().filter_map(|bound| {
            let program = self.programs[bound.slot as usize].as_ref()?;
            Some((bound, program))
        });
        (bounds.clone().count() as u64).write(to);
        for (bound, program) in bounds {
            bound.slot.write(to);
            bound.write(program, &sensor.series, to);
        }
    }

    /// A core without sensors, with the programs as they stood.
    pub(in crate::engine) fn resumed(
        (share, role): (Share, Role),
        in_force: &InForce,
        from: &mut Reader<'_>,
    ) -> Result<Core, Damaged> {
        let mut core = Core::new(share);
        core.role = role;
        core.zones = in_force.zones.clone();
        core.limits = in_force.limits.clone();
        let Reached {
            position,
            clock,
            resumed,
        } = in_force.reached;
        (core.position, core.clock, core.resumed) = (position, clock, resumed);
        let slots = u32::read(from)?;
        let order: Vec<u32> = Kept::read(from)?;
        let mut tasks = tasks(&in_force.rules, role);
        tasks.sort_by_key(|task| task.id());
        ensure(
            tasks.len() == order.len() && slots < MOST_SLOTS,
            "other rules were in force than the snapshot says",
        )?;
        core.programs.resize_with(slots as usize, || None);
        for (task, slot) in tasks.into_iter().zip(&order) {
            let free = core.programs.get_mut(*slot as usize);
            let free = free.filter(|held| held.is_none());
            *free.ok_or_else(|| Damaged("a rule has no slot of its own".to_owned()))? =
                Some(Program::new(task));
        }
        core.order = order;
        // nothing leaves and no sensor is there yet: makes the connections between programs
        core.install(&in_force.rules, &mut Vec::new());
        ensure(
            core.remotes.list.len() == from.count()?,
            "rules name other sensors than the snapshot says",
        )?;
        for remote in &mut core.remotes.list {
            remote.time = Kept::read(from)?;
            remote.value = Kept::read(from)?;
        }
        Ok(core)
    }

    /// The next sensor, for a core with the same programs as this one.
    pub(in crate::engine) fn read_sensor(
        &self,
        profile: Profile,
        from: &mut Reader<'_>,
    ) -> Result<SensorState, Damaged> {
        let id = Name::read(from)?;
        let mut sensor = SensorState::new(id, profile, Time::read(from)?);
        sensor.alarmed = Kept::read(from)?;
        sensor.interval_ms = Kept::read(from)?;
        sensor.tracks = Kept::read(from)?;
        sensor.series = Kept::read(from)?;
        let count = from.count()?;
        ensure(
            count <= self.order.len() && sensor.series.len() <= usize::from(u16::MAX),
            "more rules run at a sensor than there are",
        )?;
        for _ in 0..count {
            let slot = u32::read(from)?;
            let program = self.programs.get(slot as usize).and_then(Option::as_ref);
            let program =
                program.ok_or_else(|| Damaged("a sensor names a rule that is not there".into()))?;
            let twice = sensor.bounds.iter().any(|bound| bound.slot == slot);
            ensure(!twice, "a rule runs twice at a sensor")?;
            let bound = Bound::new(slot, program, self.clock);
            let bound = Bound::read(bound, program, &sensor.series, from)?;
            sensor.bounds.push(bound);
        }
        Ok(sensor)
    }

    /// All sensors of a section.
    pub(in crate::engine) fn read_sensors(
        &self,
        from: &mut Reader<'_>,
    ) -> Result<Vec<Loaded>, Damaged> {
        let count = from.count()?;
        let sensor = |_| {
            let profile: Option<Profile> = Kept::read(from)?;
            let at = profile.as_ref().and_then(|profile| profile.details.place);
            ensure(
                at.is_none_or(|(latitude, longitude)| {
                    latitude.is_finite() && longitude.is_finite()
                }),
                "a sensor stands nowhere",
            )?;
            let registered = profile.is_some();
            let state = self.read_sensor(profile.unwrap_or_default(), from)?;
            Ok(Loaded { state, registered })
        };
        let sensors = (0..count)
            .map(sensor)
            .collect::<Result<Vec<Loaded>, Damaged>>()?;
        from.end()?;
        Ok(sensors)
    }

    /// Leaves a place for a sensor that was removed.
    pub(in crate::engine) fn leave_vacant(&mut self) {
        let place = self.sensors.len() as u32;
        let nobody = SensorState::new(Name::default(), Profile::default(), self.clock);
        self.sensors.push(nobody);
        self.vacant.insert(place);
    }

    /// Takes in a sensor that was read.
    pub(in crate::engine) fn adopt(&mut self, mut sensor: SensorState) -> Result<(), Damaged> {
        let place = self.sensors.len() as u32;
        ensure(
            self.places.insert(sensor.id, place).is_none(),
            "a sensor is there twice",
        )?;
        let series = sensor.series.len();
        lay_series(&mut sensor, &self.programs, &self.ahead, &self.zones);
        ensure(
            sensor.series.len() == series,
            "a sensor has other series than its rules read",
        )?;
        for bound in &sensor.bounds {
            if let Some(program) = &mut self.programs[bound.slot as usize]
                && program.looks_around()
            {
                program.subjects.insert(place);
            }
        }
        self.sensors.push(sensor);
        self.queue_scheduled(place);
        Ok(())
    }
}
