//! How a link is, for people and for metrics. Kept up by its worker, looked at by others.

use citywatch_model::Time;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};
use serde::Serialize;

use super::plan::Plan;
use crate::Clock;
use crate::metrics::LinkMetrics;

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkPhase {
    /// No connection yet, or none any more; the link goes on trying.
    Down,
    /// Connected.
    Up,
    /// The service is stopping.
    Stopped,
}

impl LinkPhase {
    /// `down`, `up` or `stopped`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            LinkPhase::Down => "down",
            LinkPhase::Up => "up",
            LinkPhase::Stopped => "stopped",
        }
    }
}

/// How a link is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Host and port of the broker.
    pub broker: String,
    /// Whether it is connected.
    pub phase: LinkPhase,
    /// Since when.
    pub since: Time,
    /// Connections since the start.
    pub connections: u64,
    /// Reconnections at which the broker had forgotten what it kept for us.
    pub sessions_lost: u64,
    /// Why the newest connection failed or ended; `None` if nothing ever did.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Time>,
    /// Messages that came since the start, repeated ones counted again.
    pub received: u64,
    /// Messages acknowledged since the start.
    pub acknowledged: u64,
    /// Messages since the start of which at least a part was rejected.
    pub rejected: u64,
    /// Messages that wait for the journal.
    pub unacknowledged: u64,
    /// Filters that the broker does not let us subscribe to.
    pub refused_topics: Vec<String>,
}

pub(super) struct Board {
    status: Mutex<LinkStatus>,
    clock: Clock,
    up: IntGauge,
    connections: IntCounter,
    sessions_lost: IntCounter,
    received: IntCounter,
    acknowledged: IntCounter,
    rejected: IntCounter,
    unacknowledged: IntGauge,
    refused_topics: IntGauge,
}

impl Board {
    pub(super) fn new(plan: &Plan, clock: Clock, metrics: &LinkMetrics) -> Board {
        let label = &[plan.name.as_str()];
        Board {
            status: Mutex::new(LinkStatus {
                name: plan.name.to_string(),
                broker: plan.target.broker.address(),
                phase: LinkPhase::Down,
                since: clock.now(),
                connections: 0,
                sessions_lost: 0,
                last_error: None,
                last_error_at: None,
                received: 0,
                acknowledged: 0,
                rejected: 0,
                unacknowledged: 0,
                refused_topics: Vec::new(),
            }),
            clock,
            up: metrics.up.with_label_values(label),
            connections: metrics.connections.with_label_values(label),
            sessions_lost: metrics.sessions_lost.with_label_values(label),
            received: metrics.received.with_label_values(label),
            acknowledged: metrics.acknowledged.with_label_values(label),
            rejected: metrics.rejected.with_label_values(label),
            unacknowledged: metrics.unacknowledged.with_label_values(label),
            refused_topics: metrics.refused_topics.with_label_values(label),
        }
    }

    pub(super) fn status(&self) -> LinkStatus {
        LinkStatus {
            received: self.received.get(),
            acknowledged: self.acknowledged.get(),
            rejected: self.rejected.get(),
            connections: self.connections.get(),
            sessions_lost: self.sessions_lost.get(),
            unacknowledged: u64::try_from(self.unacknowledged.get()).unwrap_or_default(),
            ..self.status.lock().clone()
        }
    }

    fn turn(&self, phase: LinkPhase) {
        let mut status = self.status.lock();
        if status.phase != phase {
            status.phase = phase;
            status.since = self.clock.now();
        }
        self.up.set(i64::from(phase == LinkPhase::Up));
    }

    pub(super) fn connected(&self) {
        self.connections.inc();
        self.turn(LinkPhase::Up);
    }

    pub(super) fn session_lost(&self) {
        self.sessions_lost.inc();
    }

    pub(super) fn ended(&self, phase: LinkPhase) {
        self.turn(phase);
        self.unacknowledged.set(0);
    }

    pub(super) fn failed(&self, error: String) {
        let mut status = self.status.lock();
        status.last_error = Some(error);
        status.last_error_at = Some(self.clock.now());
    }

    pub(super) fn refused(&self, filters: Vec<String>) {
        self.refused_topics
            .set(i64::try_from(filters.len()).unwrap_or(i64::MAX));
        self.status.lock().refused_topics = filters;
    }

    pub(super) fn received(&self, waiting: usize) {
        self.received.inc();
        self.waiting(waiting);
    }

    pub(super) fn landed(&self, waiting: usize, rejected: bool, acknowledged: bool) {
        self.rejected.inc_by(u64::from(rejected));
        self.acknowledged.inc_by(u64::from(acknowledged));
        self.waiting(waiting);
    }

    fn waiting(&self, waiting: usize) {
        self.unacknowledged
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}
