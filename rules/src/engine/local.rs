//! Local time of a sensor. Takes time zones from the tables built into the program, so that no result depends
//! on the machine's files, and remembers the present offset, because every reading asks for it.

use std::sync::OnceLock;

use citywatch_model::{Name, Time};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// The clock on the wall in one time zone.
#[derive(Debug, Clone)]
pub(super) struct LocalTime {
    name: Name,
    zone: TimeZone,
    /// The offset holds from here until before there; milliseconds UTC.
    from_ms: i64,
    until_ms: i64,
    offset_ms: i64,
}

impl LocalTime {
    /// In the IANA time zone `name`; UTC if it is empty or unknown.
    pub(super) fn new(name: Name) -> LocalTime {
        static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
        let zone = if name.is_empty() {
            TimeZone::UTC
        } else {
            let zones = ZONES.get_or_init(TimeZoneDatabase::bundled);
            zones.get(&name).unwrap_or(TimeZone::UTC)
        };
        LocalTime {
            name,
            zone,
            from_ms: i64::MAX,
            until_ms: i64::MIN,
            offset_ms: 0,
        }
    }

    /// Goes over to the time zone `name`.
    pub(super) fn set(&mut self, name: Name) {
        if self.name != name {
            *self = LocalTime::new(name);
        }
    }

    /// Days since 1970-01-01 and milliseconds since midnight on the wall at `utc_ms`.
    pub(super) fn date_and_time(&mut self, utc_ms: i64) -> (i64, i64) {
        if utc_ms < self.from_ms || utc_ms >= self.until_ms {
            self.look_up(utc_ms);
        }
        let local = utc_ms + self.offset_ms;
        (local.div_euclid(DAY_MS), local.rem_euclid(DAY_MS))
    }

    /// Days since 1970-01-01 and hour on the wall at `utc_ms`.
    pub(super) fn date_and_hour(&mut self, utc_ms: i64) -> (i64, usize) {
        let (date, time) = self.date_and_time(utc_ms);
        (date, (time / HOUR_MS) as usize)
    }

    /// Month on the wall at `utc_ms`, from 1.
    pub(super) fn month(&mut self, utc_ms: i64) -> usize {
        let (date, _) = self.date_and_time(utc_ms);
        civil(date).month().unsigned_abs().into()
    }

    /// When the wall shows `minutes` after midnight of day `date`; of a time that is skipped, the end of the
    /// gap, of one that comes twice, the first.
    pub(super) fn instant(&self, date: i64, minutes: u16) -> Time {
        let (date, minutes) = (date + i64::from(minutes / 1_440), minutes % 1_440);
        let wall = civil(date).at((minutes / 60) as i8, (minutes % 60) as i8, 0, 0);
        let instant = self.zone.to_timestamp(wall);
        instant.map_or(Time::MAX, |instant| {
            Time::from_millis(instant.as_millisecond())
        })
    }

    fn look_up(&mut self, utc_ms: i64) {
        let Ok(at) = Timestamp::from_millisecond(utc_ms) else {
            (self.from_ms, self.until_ms, self.offset_ms) = (utc_ms, utc_ms + 1, 0);
            return;
        };
        self.offset_ms = i64::from(self.zone.to_offset(at).seconds()) * 1_000;
        // the transition itself belongs to what follows it
        let next = self.zone.following(at).next();
        self.until_ms = next.map_or(i64::MAX, |next| next.timestamp().as_millisecond());
        self.from_ms = utc_ms;
    }
}

fn civil(date: i64) -> Date {
    // a time lies between the years 0 and 9999
    let days = jiff::Span::new().try_days(date).unwrap_or_default();
    Date::constant(1970, 1, 1).saturating_add(days)
}

#[cfg(test)]
mod tests {
    use citywatch_model::name;

    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Time>().unwrap().millis()
    }

    #[test]
    fn offsets_change_in_both_directions() {
        let mut local = LocalTime::new(name("Europe/Berlin"));
        for (utc, hour) in [
            ("2026-03-29T00:59:59Z", 1),
            ("2026-03-29T01:00:00Z", 3),
            ("2026-10-25T00:59:59Z", 2),
            ("2026-10-25T01:00:00Z", 2),
            ("2026-03-29T00:30:00Z", 1),
        ] {
            assert_eq!(local.date_and_hour(ms(utc)).1, hour, "{utc}");
        }
    }

    #[test]
    fn instants_of_the_wall() {
        let local = LocalTime::new(name("Asia/Shanghai"));
        let date = ms("2026-11-22T00:00:00Z") / DAY_MS;
        assert_eq!(
            local.instant(date, 240).millis(),
            ms("2026-11-21T20:00:00Z")
        );
        assert_eq!(
            local.instant(date, 1_440).millis(),
            ms("2026-11-22T16:00:00Z")
        );
        let gap = LocalTime::new(name("Europe/Berlin"));
        let date = ms("2026-03-29T00:00:00Z") / DAY_MS;
        assert_eq!(gap.instant(date, 150).millis(), ms("2026-03-29T01:30:00Z"));
    }

    #[test]
    fn nowhere_is_utc() {
        for zone in ["", "Nowhere/Land"] {
            assert_eq!(
                LocalTime::new(name(zone))
                    .date_and_hour(ms("2026-07-01T23:00:00Z"))
                    .1,
                23
            );
        }
    }
}
