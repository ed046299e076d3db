//! The shared words of Citywatch: readings, observations, sensors, records, levels and transitions.
//! Every other crate speaks in these types. Nothing here does I/O, is async, or asks for the time of day.

mod duration;
mod level;
mod record;
mod rule_info;
mod schema;
mod sensor;
mod text;
mod time;
mod transition;

pub use duration::{Duration, DurationError};
pub use level::{Level, UnknownLevel};
pub use record::{
    Body, LinkState, Observation, Position, Record, RuleSource, RulesInForce, Value, flags,
};
pub use rule_info::{Mode, RuleInfo};
pub use sensor::{Registry, RegistryChange, Sensor, Zones};
pub use text::Text;
pub use time::{Time, TimeError};
pub use transition::{Transition, TransitionKind};

/// An interned name (sensor, measurement, unit, zone, rule, tag): eight bytes, `Copy`, compared by
/// address, ordered by its letters. Names are never freed, so whoever makes them from foreign input
/// must bound how many (the intake does).
pub type Name = ustr::Ustr;

/// A map from names that takes the hash that each of them carries; in no order that means anything.
pub type NameMap<V> = ustr::UstrMap<V>;

/// Interns `text`.
#[must_use]
pub fn name(text: &str) -> Name {
    ustr::ustr(text)
}

/// The name with these letters, if anybody ever interned it: for texts from outside that only ask.
#[must_use]
pub fn existing_name(text: &str) -> Option<Name> {
    ustr::existing_ustr(text)
}
