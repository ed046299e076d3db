//! What happens after a rule has spoken: the alert book, plans, warnings, their CAP messages, the outbox and the
//! channels. Nothing here decodes sensor payloads or evaluates rules, and the network is never called inside a
//! transaction.

pub mod accounts;
pub mod cap;
pub mod channel;
mod channel_notes;
mod compose;
pub mod directory;
mod error;
pub mod feed;
mod flight;
pub mod ledger;
pub mod links;
mod metrics;
pub mod outbox;
mod settings;
pub mod sheet;
pub mod warning;

pub use channel_notes::Noted;
pub use directory::Directory;
pub use error::LedgerError;
pub use ledger::Ledger;
pub use outbox::{Outbox, OutboxConfig};
pub use settings::{Clock, Settings, Zone, Zones, wall_clock};
