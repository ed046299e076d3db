//! The rule engine from outside: records in, transitions out.

#![allow(clippy::unwrap_used)]

mod age;
mod conditions;
mod daily;
mod derive;
mod equivalence;
mod escalate;
mod groups;
mod interval;
mod levels;
mod restart;
mod snapshot;
mod support;
mod windows;
