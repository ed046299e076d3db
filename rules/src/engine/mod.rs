//! The rule engine: step functions that turn records into transitions. Everything here is deterministic and
//! single-threaded, does no I/O and knows no time but the records' own; `dataflow` runs several of these cores
//! at once.
//!
//! ```text
//! record -> core: moments before its clock -> sensor: new, late, repeated? -> series -> bound rules
//!                                                                             windows, runs, levels -> transitions
//! ```

mod bind;
mod bound;
pub(crate) mod core;
pub(crate) mod counts;
mod evaluate;
mod moments;
mod profile;
mod program;
mod proof;
mod remote;
mod sensor;
mod series;
mod stage;
mod truth;
mod window;

pub use counts::{Counts, UnitError};
pub use stage::Stage;
