//! What is usual at this hour: sums of a series by local day and hour, so that `baseline(d)` costs the same
//! however many days it spans. Keeps besides them four bytes a reading, to know a late repeat.

mod snapshot;

use std::collections::VecDeque;

use citywatch_model::Name;

use super::local::LocalTime;
use super::truth::known;

const DAY_MS: i64 = 86_400_000;
/// Days kept beyond those that are asked for: a change of time zone may lead back by one.
const SPARE_DAYS: i64 = 2;

/// The hours of one series.
#[derive(Debug)]
pub(super) struct Baseline {
    local: LocalTime,
    days: i64,
    /// In order of dates.
    kept: VecDeque<Day>,
    /// Newest date that anybody asked about; what lies before it may be part of an answer.
    asked: i64,
    /// Counts readings that came into an answer after it was given.
    revision: u64,
}

#[derive(Debug)]
struct Day {
    date: i64,
    hours: [Hour; 24],
    /// Event times in milliseconds since a day before the date began in UTC, in order.
    times: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Hour {
    sum: f64,
    count: u32,
}

impl Baseline {
    pub(super) fn new(time_zone: Name) -> Baseline {
        Baseline {
            local: LocalTime::new(time_zone),
            days: 0,
            kept: VecDeque::new(),
            asked: i64::MIN,
            revision: 0,
        }
    }

    /// Answers about up to `days` days, by the clocks of `time_zone` from now on.
    pub(super) fn keep(&mut self, days: u16, time_zone: Name) {
        self.days = days.into();
        self.local.set(time_zone);
    }

    /// Files a reading, unless there is one of this time already.
    pub(super) fn file(&mut self, time_ms: i64, value: f64) {
        let (date, hour) = self.local.date_and_hour(time_ms);
        let newest = self.kept.back().map_or(date, |day| day.date.max(date));
        let oldest = newest - self.days - SPARE_DAYS;
        if date < oldest {
            return;
        }
        while self.kept.front().is_some_and(|day| day.date < oldest) {
            self.kept.pop_front();
        }
        let place = self.kept.partition_point(|day| day.date < date);
        if self.kept.get(place).is_none_or(|day| day.date != date) {
            let hours = [Hour::default(); 24];
            let times = Vec::new();
            self.kept.insert(place, Day { date, hours, times });
        }
        let day = &mut self.kept[place];
        // an offset is less than a day, so this lies between 0 and 3 days
        let offset = (time_ms - (date - 1) * DAY_MS) as u32;
        let place = day.times.partition_point(|time| *time < offset);
        if day.times.get(place) == Some(&offset) {
            return;
        }
        day.times.insert(place, offset);
        day.hours[hour].sum += value;
        day.hours[hour].count += 1;
        if date < self.asked {
            self.revision += 1;
        }
    }

    fn mean(&mut self, (date, hour): (i64, usize), days: i64) -> Option<f64> {
        self.asked = self.asked.max(date);
        let first = self.kept.partition_point(|day| day.date < date - days);
        let span = self.kept.iter().skip(first);
        let hours = span
            .take_while(|day| day.date < date)
            .map(|day| day.hours[hour])
            .filter(|hour| hour.count > 0);
        let (mut spoke, mut sum, mut count) = (0, 0.0, 0.0);
        for hour in hours {
            spoke += 1;
            sum += hour.sum;
            count += f64::from(hour.count);
        }
        (spoke * 2 >= days).then(|| known(sum / count)).flatten()
    }
}

/// The answer to one `baseline(d)`, until it changes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Recall {
    about: Option<(i64, usize, u64)>,
    pub mean: Option<f64>,
}

impl Recall {
    /// Asks for the event time `t_ms`.
    pub(super) fn advance(&mut self, baseline: &mut Baseline, t_ms: i64, days: u16) {
        let (date, hour) = baseline.local.date_and_hour(t_ms);
        let about = Some((date, hour, baseline.revision));
        if self.about != about {
            self.mean = baseline.mean((date, hour), days.into());
            self.about = about;
        }
    }
}

#[cfg(test)]
mod tests {
    use citywatch_model::name;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn asked(baseline: &mut Baseline, day: i64, hour: i64) -> Option<f64> {
        let mut recall = Recall::default();
        recall.advance(baseline, day * DAY_MS + hour * HOUR_MS, 4);
        recall.mean
    }

    #[test]
    fn known_from_half_of_the_days_on_and_late_readings_count_once() {
        let mut baseline = Baseline::new(name(""));
        baseline.keep(4, name(""));
        baseline.file(100 * DAY_MS, 10.0);
        assert_eq!(asked(&mut baseline, 101, 0), None);
        baseline.file(101 * DAY_MS, 20.0);
        assert_eq!(asked(&mut baseline, 102, 0), Some(15.0));
        assert_eq!(asked(&mut baseline, 102, 1), None);
        baseline.file(100 * DAY_MS + 60_000, 30.0);
        baseline.file(100 * DAY_MS + 60_000, 99.0);
        assert_eq!(asked(&mut baseline, 102, 0), Some(20.0));
        // the day itself does not count, and the first one leaves after four
        baseline.file(104 * DAY_MS, 40.0);
        assert_eq!(asked(&mut baseline, 104, 0), Some(20.0));
        assert_eq!(asked(&mut baseline, 105, 0), Some(30.0));
    }

    #[test]
    fn an_answer_is_given_anew_when_an_older_reading_comes() {
        let mut baseline = Baseline::new(name(""));
        baseline.keep(2, name(""));
        let mut recall = Recall::default();
        let mut mean = |baseline: &mut Baseline| {
            recall.advance(baseline, 102 * DAY_MS, 2);
            recall.mean
        };
        baseline.file(101 * DAY_MS, 20.0);
        assert_eq!(mean(&mut baseline), Some(20.0));
        baseline.file(100 * DAY_MS, 10.0);
        assert_eq!(mean(&mut baseline), Some(15.0));
    }
}
