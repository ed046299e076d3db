//! One connection to a broker, whatever version of MQTT it speaks. Each connection gets an event loop and a queue
//! of its own: rumqttc carries buffered events, packet ids and requests from a lost connection into the next one,
//! and an acknowledgement that gets there would confirm another message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::Failure;
use super::plan::Filter;
use super::{Login, Version, tls};
use crate::client::url::Broker;

mod v3;
mod v5;

/// The largest packet that MQTT can carry: the decoder judges sizes. Below it, a larger message would end the
/// connection again each time that the broker sends it.
const MAX_PACKET: u32 = 268_435_455;

/// Acknowledgements that may wait to be written: never too many. rumqttc reads ten packets for each request that it
/// writes, so a backlog is read before it is acknowledged; and mosquitto 2.0.11 keeps to no limit of its own after a
/// reconnection, not even to the number of packet ids. To hang up then would make it send all of that again.
const REQUESTS: usize = 1 << 30;

/// Where to connect, as whom and how.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) broker: Broker,
    pub(super) login: Option<Login>,
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) client_id: String,
    pub(super) version: Version,
    /// Whether the broker is to forget what it keeps for us.
    pub(super) clean: bool,
    pub(super) inflight: u16,
    pub(super) keep_alive: Duration,
    pub(super) session_expiry: Duration,
    pub(super) timeout: Duration,
}

/// What a broker says.
#[derive(Debug)]
pub(super) enum Incoming {
    /// We are in. Whether the broker still had our session.
    Connected { session_present: bool },
    /// A message.
    Message(Received),
    /// The QoS granted for each filter of the oldest open subscription; `None` if refused.
    Subscribed(Vec<Option<u8>>),
    /// A message of ours was acknowledged; whether the broker took it.
    Acknowledged { taken: bool },
    /// Our farewell is written.
    Left,
    /// Nothing that matters here.
    Other,
}

/// A message, and what its acknowledgement must name.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) retained: bool,
    pub(super) receipt: Receipt,
}

/// Names a message on the connection that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    packet_id: u16,
    qos: u8,
}

impl Receipt {
    /// Whether the broker waits for an acknowledgement.
    pub(super) fn is_awaited(self) -> bool {
        self.qos > 0
    }
}

/// Opens a connection; it is made when the wire is first asked for news.
pub(super) fn open(target: &Target) -> (Sender, Wire) {
    match target.version {
        Version::V3 => {
            let (client, events) = v3::open(target);
            (Sender::V3(client), Wire::V3(Box::new(events)))
        }
        Version::V5 => {
            let (client, events) = v5::open(target);
            (Sender::V5(client), Wire::V5(Box::new(events)))
        }
    }
}

/// The receiving end; must be asked without pause, since it also writes and probes.
pub(super) enum Wire {
    V3(Box<v3::Events>),
    V5(Box<v5::Events>),
}

impl Wire {
    /// What comes next. The future must be kept until it resolves: dropped half-way it may lose a packet that it
    /// has begun to write.
    pub(super) async fn next(&mut self) -> Result<Incoming, Failure> {
        match self {
            Wire::V3(events) => v3::next(events).await,
            Wire::V5(events) => v5::next(events).await,
        }
    }
}

/// The sending end. It never waits: what it is given is written when the wire is asked for news.
pub(super) enum Sender {
    V3(v3::Client),
    V5(v5::Client),
}

impl Sender {
    pub(super) fn acknowledge(&self, receipt: Receipt) -> Result<(), Failure> {
        match self {
            Sender::V3(client) => queued(v3::acknowledge(client, receipt)),
            Sender::V5(client) => queued(v5::acknowledge(client, receipt)),
        }
    }

    pub(super) fn subscribe(&self, filters: &[Filter]) -> Result<(), Failure> {
        match self {
            Sender::V3(client) => queued(v3::subscribe(client, filters)),
            Sender::V5(client) => queued(v5::subscribe(client, filters)),
        }
    }

    pub(super) fn publish(&self, topic: &str, payload: Bytes) -> Result<(), Failure> {
        match self {
            Sender::V3(client) => queued(v3::publish(client, topic, payload)),
            Sender::V5(client) => queued(v5::publish(client, topic, payload)),
        }
    }

    pub(super) fn leave(&self) -> Result<(), Failure> {
        match self {
            Sender::V3(client) => queued(v3::leave(client)),
            Sender::V5(client) => queued(v5::leave(client)),
        }
    }
}

/// The queue has room for all that may be on its way, so a full one means that nothing is written any more.
fn queued(result: Result<(), impl std::fmt::Display>) -> Result<(), Failure> {
    result.map_err(|error| Failure::Lost(format!("the broker takes nothing any more: {error}")))
}

/// Why a connection failed, unless the broker answered and said no.
fn lost(error: &(dyn std::error::Error + 'static)) -> Failure {
    match tls::certificate_problem(error) {
        Some(problem) => Failure::Certificate(problem),
        None => Failure::Lost(error.to_string()),
    }
}
