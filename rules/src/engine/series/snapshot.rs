//! How a series is kept: its readings as steps from one event time to the next. How far back it reaches follows
//! from the rules, and is set when the sensor is bound.

use std::collections::VecDeque;

use citywatch_model::{Name, Time};

use super::Series;
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer, ensure};

impl Kept for Series {
    fn write(&self, to: &mut Writer) {
        self.measurement.write(to);
        self.unit.write(to);
        self.newest.write(to);
        self.value.write(to);
        self.arrival.write(to);
        self.baseline.write(to);
        (self.kept.len() as u64).write(to);
        let mut before = 0;
        for (time, value) in &self.kept {
            (time - before).write(to);
            value.write(to);
            before = *time;
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Series, Damaged> {
        let (measurement, unit) = <(Name, Name)>::read(from)?;
        let mut series = Series::new(measurement, unit);
        series.newest = Kept::read(from)?;
        series.value = Kept::read(from)?;
        series.arrival = Kept::read(from)?;
        series.baseline = Kept::read(from)?;
        let count = from.count()?;
        let mut kept = VecDeque::new();
        let mut before = None;
        for _ in 0..count {
            let (step, value) = <(i64, f64)>::read(from)?;
            let time = before.map_or(Some(step), |before: i64| before.checked_add(step));
            let time = time.filter(|time| Time::from_millis(*time).millis() == *time);
            let time = time.ok_or_else(|| Damaged("a reading lies beyond all times".to_owned()))?;
            ensure(
                before.is_none_or(|before| before < time),
                "the readings of a series are not in order",
            )?;
            kept.push_back((time, value));
            before = Some(time);
        }
        // a late reading may lie behind the newest that could be converted
        let newest = series.newest.map(Time::millis);
        ensure(
            before.is_none() || before >= newest,
            "a series ends before its newest reading",
        )?;
        series.kept = kept;
        Ok(series)
    }
}
