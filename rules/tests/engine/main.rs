//! The rule engine from outside: records in, transitions out.

#![allow(clippy::unwrap_used)]

mod age;
mod conditions;
mod equivalence;
mod levels;
mod support;
