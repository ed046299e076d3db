//! The rule engine: step functions that turn records into transitions. Everything here is deterministic and
//! single-threaded, does no I/O and knows no time but the records' own; `dataflow` runs several of these cores
//! at once.
//!
//! ```text
//! record -> core: moments before its clock -> sensor: new, late, repeated? -> series -> bound rules
//!                                                                             windows, runs, levels -> transitions
//! record and transitions -> second: derived series -> a core of its own -> escalation -> transitions
//! ```

mod around;
mod baseline;
mod bind;
mod bound;
mod circle;
pub(crate) mod core;
pub(crate) mod counts;
mod evaluate;
mod fit;
mod ground;
mod judge;
mod levels;
mod local;
mod moments;
mod prepare;
mod profile;
mod program;
mod proof;
mod remote;
pub(crate) mod second;
mod sensor;
mod series;
pub(crate) mod snapshot;
mod sphere;
mod stage;
mod terms;
mod truth;
mod window;

pub use counts::{Counts, Incomplete, UnitError, Unjudged, UnjudgedWhy, WeatherError};
pub use snapshot::{Snapshot, SnapshotError, SnapshotHead};
pub use stage::Stage;
