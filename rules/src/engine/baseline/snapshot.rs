//! How the hours of a series are kept. For how many days, and by which time zone, follows from rules and registry.

use citywatch_model::Name;

use super::{Baseline, Day, Hour, Recall};
use crate::engine::snapshot::codec::{Damaged, Kept, Reader, Writer, ensure, kept};

/// Days from 1970 to the year 10000 and from the year 0 to 1970 are fewer.
const FARTHEST: i64 = 3_000_000;
/// Stands for an answer that is still good.
const CURRENT: u64 = 1;

kept!(Hour { sum, count });

impl Kept for Day {
    fn write(&self, to: &mut Writer) {
        self.date.write(to);
        self.times.write(to);
        // most series speak every hour or never
        self.hours.iter().for_each(|hour| hour.write(to));
    }

    fn read(from: &mut Reader<'_>) -> Result<Day, Damaged> {
        let mut day = Day {
            date: i64::read(from)?,
            times: Kept::read(from)?,
            hours: [Hour::default(); 24],
        };
        for hour in &mut day.hours {
            *hour = Hour::read(from)?;
        }
        let count: u64 = day.hours.iter().map(|hour| u64::from(hour.count)).sum();
        ensure(
            day.date.abs() < FARTHEST && count == day.times.len() as u64,
            "a day of a baseline cannot be",
        )?;
        Ok(day)
    }
}

impl Kept for Baseline {
    fn write(&self, to: &mut Writer) {
        self.asked.write(to);
        self.kept.write(to);
    }

    fn read(from: &mut Reader<'_>) -> Result<Baseline, Damaged> {
        let mut baseline = Baseline::new(Name::default());
        baseline.asked = Kept::read(from)?;
        baseline.kept = Kept::read(from)?;
        baseline.revision = CURRENT;
        let days = baseline.kept.iter();
        let sorted = days.clone().zip(days.skip(1));
        ensure(
            sorted.into_iter().all(|(one, two)| one.date < two.date),
            "the days of a baseline are not in order",
        )?;
        Ok(baseline)
    }
}

impl Recall {
    /// `baseline` is what it asks.
    pub(in crate::engine) fn write(&self, baseline: Option<&Baseline>, to: &mut Writer) {
        let current = |(_, _, revision): &(i64, usize, u64)| {
            baseline.is_some_and(|baseline| baseline.revision == *revision)
        };
        let about = self.about.filter(current);
        let about = about.map(|(date, hour, _)| (date, hour as u64));
        about.write(to);
        self.mean.write(to);
    }

    pub(in crate::engine) fn read(from: &mut Reader<'_>) -> Result<Recall, Damaged> {
        let about: Option<(i64, u64)> = Kept::read(from)?;
        Ok(Recall {
            about: about.map(|(date, hour)| (date, hour as usize, CURRENT)),
            mean: Kept::read(from)?,
        })
    }
}
