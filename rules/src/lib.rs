//! Rules: the language in which they are written and the engine that evaluates them.
//! No I/O, no async, no clock but that of the records.

pub mod ast;
mod backtest;
mod dataflow;
mod engine;
mod epoch;
mod in_force;
mod language;
mod parallel;
mod problem;
mod scenario;
pub mod units;

pub use backtest::{Setup, Summary, backtest};
pub use citywatch_model::RuleSource;
pub use engine::{
    Counts, Incomplete, Snapshot, SnapshotError, SnapshotHead, Stage, UnitError, Unjudged,
    UnjudgedWhy, WeatherError,
};
pub use epoch::{Epoch, OnEpoch};
pub use in_force::compile_in_force;
pub use language::{compile, derive_places, is_one_letter_off, rule_places};
pub use parallel::{Engine, EngineError};
pub use problem::{Problem, Problems};
pub use scenario::{ScenarioFailure, ScenarioReport, run_scenarios};
