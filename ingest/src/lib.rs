//! From a payload to a synced reading: doors' decoders, the intake, the journal, the history index, the
//! embedded broker, the MQTT client and the archive. Nothing here judges a reading by rules, and nothing is acknowledged
//! before the journal has synced it.

pub mod archive;
pub mod broker;
pub mod client;
pub mod decode;
pub mod link;
pub mod recorded;
pub mod registry;
pub mod topic;

mod clock;
mod history;
mod intake;
mod journal;
mod metrics;
mod rejected;

pub use clock::Clock;
pub use history::{
    Bucket, History, HistoryCount, HistoryError, KEPT_REJECTED, Observations, StoredReading,
};
pub use intake::{
    Accepted, Door, Form, Intake, IntakeConfig, IntakeError, MAX_NAME_BYTES, MAX_NEW_NAMES,
    MAX_SENSOR_BYTES, MAX_UNKNOWN_SENSORS, Message, UnknownSensor,
};
pub use journal::{BLOCK_RECORDS, FreeSpace, Journal, JournalConfig, JournalError, Reader};
pub use rejected::{
    KEPT_PAYLOAD_BYTES, KEPT_REJECTIONS, Reason, RejectedPayload, Rejection, payload_text,
};
