//! What the ledger must know about the place it serves: who signs the warnings, in which time zone people read
//! them, and the zones. It reads no file; the program hands it over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use citywatch_model::{Duration, Name, Text, Time};
use jiff::tz::{TimeZone, offset};

use crate::links::SignedLinks;
use crate::warning::{Code, Scope};

/// Where acts and warnings take the time of day from.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// The machine's own clock.
#[must_use]
pub fn wall_clock() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// Settings of the ledger.
#[derive(Clone)]
pub struct Settings {
    /// CAP sender: unique for the authority, without space, comma, `<` or `&`.
    pub sender: String,
    /// The authority, for people.
    pub sender_name: Text,
    /// The time zone of people.
    pub timezone: TimeZone,
    /// Who may be shown warnings: without accreditation only the departments concerned.
    pub scope: Scope,
    /// Whom recipients may ask; may be empty.
    pub contact: String,
    /// Address under which the service is reached from outside, without a slash at its end.
    pub public_url: Option<String>,
    /// Makes the links by which recipients answer and gateways report; `None`: messages hold none.
    pub links: Option<SignedLinks>,
    /// How long a warning is in force unless its plan or the click says otherwise.
    pub expires: Duration,
    /// Radius in kilometres of the circle around a sensor whose zone has no polygon.
    pub radius_km: f64,
    /// The service's clock: the wall clock, but for the demo, whose clock runs faster. It stamps acts and
    /// warnings and decides when a warning lapses.
    pub clock: Clock,
    /// A session ends after so long without use.
    pub session_idle: Duration,
    /// A session ends after so long in any case.
    pub session_longest: Duration,
    /// Events older than this, and answers to idempotency keys, are forgotten.
    pub keep_events: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            sender: "citywatch@localhost".to_owned(),
            sender_name: Text {
                zh: "守望".to_owned(),
                en: "Citywatch".to_owned(),
            },
            // a machine without zone files still knows the offset, which has not changed since 1991
            timezone: TimeZone::get("Asia/Shanghai").unwrap_or_else(|_| TimeZone::fixed(offset(8))),
            scope: Scope::default(),
            contact: String::new(),
            public_url: None,
            links: None,
            expires: Duration::from_secs(86_400),
            radius_km: 0.5,
            clock: Arc::new(wall_clock),
            session_idle: Duration::from_secs(8 * 3_600),
            session_longest: Duration::from_secs(24 * 3_600),
            keep_events: Duration::from_secs(7 * 86_400),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("sender", &self.sender)
            .field("timezone", &self.timezone)
            .finish_non_exhaustive()
    }
}

/// An area of responsibility.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zone {
    /// For people.
    pub name: Text,
    /// The zone that contains it.
    pub parent: Option<Name>,
    /// Ring of WGS 84 (latitude, longitude) in degrees, closed or not; empty if unknown.
    pub polygon: Vec<(f64, f64)>,
    /// Code systems and codes, such as an administrative division.
    pub geocodes: Vec<Code>,
}

/// The zones by id.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Zones(pub BTreeMap<Name, Zone>);

impl Zones {
    /// The zone and all that contain it, innermost first; a zone that nobody described stands alone.
    pub fn around(&self, zone: Name) -> impl Iterator<Item = Name> {
        // one step more than there are zones: a cycle ends the walk
        let limit = self.0.len() + 1;
        std::iter::successors(Some(zone), |inner| {
            self.0.get(inner).and_then(|zone| zone.parent)
        })
        .take(limit)
    }

    /// The zone and all inside it.
    #[must_use]
    pub fn within(&self, zone: Name) -> Vec<Name> {
        let mut inside: Vec<Name> = self
            .0
            .keys()
            .copied()
            .filter(|&inner| self.around(inner).any(|outer| outer == zone))
            .collect();
        if !inside.contains(&zone) {
            inside.push(zone);
        }
        inside
    }
}
