//! What the alerts ask of the people on duty: alerts per day, per operator position and 10 minutes, and the
//! longest storm, against the limits of EEMUA 191 (Alarm systems, a guide to design, management and procurement).

use std::collections::BTreeMap;

use citywatch_model::{Duration, Name, Time};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use super::alerts::Alert;
use super::report::{Day, RuleShare};

/// The stretch in which EEMUA 191 counts.
const STRETCH: Duration = Duration::from_secs(600);
/// Alerts per operator and 10 minutes that are acceptable in the long run, EEMUA 191.
const STEADY_LIMIT: f64 = 1.0;
/// Alerts per operator in the 10 minutes after an upset that can be managed, EEMUA 191.
const STORM_LIMIT: f64 = 10.0;

/// Alerts per day and per operator position.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Load {
    /// The time zone whose days are counted; an IANA name where it has one.
    pub timezone: String,
    /// Local days that the data touch.
    pub days: u64,
    /// Alerts per such day.
    pub per_day: f64,
    /// The first of the days with the most alerts; absent if there was no alert.
    pub busiest_day: Option<Day>,
    /// Operator positions that share the alerts.
    pub positions: u16,
    /// Mean alerts per position and 10 minutes over the whole time, which counts as 10 minutes at least.
    pub per_10_minutes: f64,
    /// What EEMUA 191 allows in the long run: 1.
    pub steady_limit: f64,
    /// The longest storm; absent if there was no alert.
    pub storm: Option<Storm>,
    /// What EEMUA 191 allows per position in the 10 minutes of a flood: 10.
    pub storm_limit: f64,
}

/// The most alerts that were raised in less than 10 minutes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Storm {
    /// Its first alert.
    pub from: Time,
    /// Its last alert.
    pub to: Time,
    /// How many were raised.
    pub alerts: u64,
    /// How many that is for each position.
    pub per_position: f64,
    /// From which rules, the noisiest first.
    pub rules: Vec<RuleShare>,
}

/// `alerts` in the order in which they were raised; `seen` is the first and last event time of the data.
pub fn load(alerts: &[Alert], seen: Option<(Time, Time)>, zone: &TimeZone, positions: u16) -> Load {
    let positions = positions.max(1);
    let share = |alerts: f64| alerts / f64::from(positions);
    let days = seen.map_or(0, |(first, last)| days_touched(first, last, zone));
    let stretches = seen.map_or(1.0, |(first, last)| {
        (last.since(first).seconds() / STRETCH.seconds()).max(1.0)
    });
    let total = alerts.len() as f64;
    Load {
        timezone: zone.iana_name().unwrap_or("a fixed offset").to_owned(),
        days,
        per_day: total / days.max(1) as f64,
        busiest_day: busiest(alerts.iter().map(|alert| alert.raised), zone),
        positions,
        per_10_minutes: share(total / stretches),
        steady_limit: STEADY_LIMIT,
        storm: storm(alerts).map(|storm| Storm {
            from: storm[0].raised,
            to: storm[storm.len() - 1].raised,
            alerts: storm.len() as u64,
            per_position: share(storm.len() as f64),
            rules: shares(storm),
        }),
        storm_limit: STORM_LIMIT,
    }
}

/// The longest run of alerts whose first and last are less than 10 minutes apart; the first of several.
fn storm(alerts: &[Alert]) -> Option<&[Alert]> {
    let mut start = 0;
    let mut longest: &[Alert] = &[];
    for end in 0..alerts.len() {
        while alerts[end].raised.since(alerts[start].raised) >= STRETCH {
            start += 1;
        }
        if end + 1 - start > longest.len() {
            longest = &alerts[start..=end];
        }
    }
    (!longest.is_empty()).then_some(longest)
}

/// The rules of `alerts`, the noisiest first, then by name.
pub(super) fn shares<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Vec<RuleShare> {
    let mut counts: BTreeMap<Name, u64> = BTreeMap::new();
    for alert in alerts {
        *counts.entry(alert.rule).or_default() += 1;
    }
    let mut shares: Vec<RuleShare> = counts
        .into_iter()
        .map(|(rule, alerts)| RuleShare { rule, alerts })
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.alerts));
    shares
}

/// The first of the local days on which most of `times` lie.
pub(super) fn busiest(times: impl Iterator<Item = Time>, zone: &TimeZone) -> Option<Day> {
    let mut counts: BTreeMap<Date, u64> = BTreeMap::new();
    for time in times {
        *counts.entry(date(time, zone)).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    let (date, count) = counts.into_iter().find(|(_, count)| *count == most)?;
    Some(Day {
        date: date.to_string(),
        count,
    })
}

fn days_touched(first: Time, last: Time, zone: &TimeZone) -> u64 {
    let days = date(first, zone)
        .duration_until(date(last, zone))
        .as_hours()
        / 24;
    days.unsigned_abs() + 1
}

fn date(time: Time, zone: &TimeZone) -> Date {
    // every `Time` lies within what the time library can hold
    let moment = jiff::Timestamp::from_millisecond(time.millis()).unwrap_or_default();
    moment.to_zoned(zone.clone()).date()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use citywatch_model::{Level, name};

    use super::*;

    fn raised(rule: &str, time: &str) -> Alert {
        Alert {
            rule: name(rule),
            subject: name("s"),
            raised: time.parse().unwrap(),
            cleared: None,
            worst: Level::Blue,
        }
    }

    fn shanghai() -> TimeZone {
        TimeZone::get("Asia/Shanghai").unwrap()
    }

    #[test]
    fn a_storm_is_shorter_than_ten_minutes() {
        let alerts = [
            raised("a", "2026-01-01T00:00:00Z"),
            raised("b", "2026-01-01T00:05:00Z"),
            raised("b", "2026-01-01T00:09:59.999Z"),
            // ten minutes after the first, so never in one storm with it
            raised("c", "2026-01-01T00:10:00Z"),
            raised("c", "2026-01-01T00:30:00Z"),
        ];
        let storm = storm(&alerts).unwrap();
        assert_eq!(storm, &alerts[0..3], "the first of two equally long ones");
        let rules: Vec<_> = shares(storm)
            .into_iter()
            .map(|share| (share.rule.to_string(), share.alerts))
            .collect();
        assert_eq!(rules, [("b".to_owned(), 2), ("a".to_owned(), 1)]);
    }

    #[test]
    fn no_data_and_one_moment_divide_by_nothing() {
        let empty = load(&[], None, &shanghai(), 1);
        assert_eq!(
            (empty.days, empty.per_day, empty.per_10_minutes),
            (0, 0.0, 0.0)
        );
        assert_eq!((empty.busiest_day, empty.storm), (None, None));
        let alert = raised("a", "2026-01-01T00:00:00Z");
        let moment = load(
            &[alert; 4],
            Some((alert.raised, alert.raised)),
            &shanghai(),
            2,
        );
        assert_eq!(
            (moment.days, moment.per_day, moment.per_10_minutes),
            (1, 4.0, 2.0)
        );
        assert_eq!(moment.storm.unwrap().per_position, 2.0);
    }

    #[test]
    fn days_are_local() {
        let alerts = [
            raised("a", "2026-01-01T15:59:59Z"),
            raised("a", "2026-01-01T16:00:00Z"),
            raised("a", "2026-01-02T15:59:59Z"),
        ];
        let seen = Some((alerts[0].raised, alerts[2].raised));
        let busiest = |load: Load| load.busiest_day.map(|day| (day.date, day.count)).unwrap();
        let local = load(&alerts, seen, &shanghai(), 1);
        assert_eq!((local.days, local.per_day), (2, 1.5));
        assert_eq!(busiest(local), ("2026-01-02".to_owned(), 2));
        assert_eq!(
            busiest(load(&alerts, seen, &TimeZone::UTC, 1)),
            ("2026-01-01".to_owned(), 2)
        );
    }

    #[test]
    fn a_day_with_a_changed_clock_is_one_day() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // 2026-03-29 has 23 hours there, 2026-10-25 has 25
        for (first, last) in [
            ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ] {
            let days = days_touched(first.parse().unwrap(), last.parse().unwrap(), &zone);
            assert_eq!(days, 2, "{first} to the next local midnight");
        }
    }
}
