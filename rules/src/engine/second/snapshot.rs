//! How the second stage is kept. Its sensors keep their places, because the order in which derived series are
//! made follows them; what the registry says of them is kept by the first stage.

use std::sync::Arc;

use citywatch_model::Name;
use ustr::UstrMap;

use super::Second;
use super::escalate::Changes;
use crate::engine::core::{Core, Role, Share};
use crate::engine::profile::Profile;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer, ensure};
use crate::engine::snapshot::core::InForce;

impl Second {
    /// The section of what is in force; `None` if that are rules whose texts are not known.
    pub(crate) fn write_in_force(&self) -> Option<Vec<u8>> {
        let mut to = Writer::default();
        self.sources.as_deref()?.write(&mut to);
        self.core.resumed.write(&mut to);
        self.core.zones.write(&mut to);
        to.finish()
    }

    /// The section of the second stage.
    pub(crate) fn write(&self) -> Option<Vec<u8>> {
        let mut to = Writer::default();
        self.core.write_programs(&mut to);
        self.core.zonal.write(&mut to);
        (self.core.sensors.len() as u64).write(&mut to);
        for (sensor, place) in self.core.sensors.iter().zip(0..) {
            let vacant = self.core.vacant.contains(&place);
            vacant.write(&mut to);
            if !vacant {
                self.core.write_sensor(sensor, &mut to);
            }
        }
        self.open.write(&mut to);
        self.escalators
            .values()
            .for_each(|escalator| escalator.write(&mut to));
        self.derivers
            .iter()
            .for_each(|deriver| deriver.write(&mut to));
        to.finish()
    }

    /// The second stage as it was kept; `profiles` are those of registered sensors.
    pub(in crate::engine) fn read(
        section: &[u8],
        in_force: &InForce,
        mut profiles: UstrMap<Profile>,
    ) -> Result<Second, Damaged> {
        let mut from = Reader::new(section)?;
        let mut second = Second::new();
        second.sources = Some(Arc::clone(&in_force.sources));
        second.core = Core::resumed((Share::WHOLE, Role::Second), in_force, &mut from)?;
        second.install(&in_force.rules, Changes::default(), &mut Vec::new());
        second.core.zonal = Kept::read(&mut from)?;
        for _ in 0..from.count()? {
            if bool::read(&mut from)? {
                second.core.leave_vacant();
                continue;
            }
            let mut sensor = second.core.read_sensor(Profile::default(), &mut from)?;
            let id: Name = sensor.id;
            let profile = profiles.remove(&id).unwrap_or_default();
            sensor.profile = second.core.profiled(id, profile);
            second.core.adopt(sensor)?;
        }
        ensure(
            profiles.is_empty(),
            "a registered sensor is missing in the second stage",
        )?;
        second.open = Kept::read(&mut from)?;
        for escalator in second.escalators.values_mut() {
            escalator.read(&mut from)?;
        }
        for deriver in &mut second.derivers {
            deriver.read(in_force.reached.clock, &mut from)?;
        }
        from.end()?;
        Ok(second)
    }
}
