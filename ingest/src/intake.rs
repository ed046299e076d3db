//! The intake: the one way by which readings come in, whatever door they knocked at. It decodes, checks
//! names, flags, journals, and answers when the journal has synced; the doors acknowledge after that and
//! never before. It judges no value and drops none silently: what is not taken is counted and kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use citywatch_model::{Body, LinkState, Name, Position, Registry, Time};
use parking_lot::RwLock;
use serde::Serialize;

use crate::Clock;
use crate::decode::{self, Context, DEFAULT_MAX_PAYLOAD, Format};
use crate::history::{History, HistoryError};
use crate::journal::{Journal, JournalError};
use crate::metrics::IntakeMetrics;
use crate::rejected::{KEPT_REJECTIONS, Reason, RejectedPayload, Rejection, payload_text};
use crate::topic::Templates;

mod form;
mod normalise;
#[cfg(test)]
mod tests;
mod unknown;

pub use form::Form;
pub use normalise::{MAX_NAME_BYTES, MAX_NEW_NAMES, MAX_SENSOR_BYTES};
pub use unknown::{MAX_UNKNOWN_SENSORS, UnknownSensor};

use normalise::Normaliser;
use unknown::UnknownSensors;

/// Where a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The embedded broker.
    Broker,
    /// `POST /api/v1/readings`.
    Http,
    /// A subscription at another broker.
    Link,
}

impl Door {
    /// `broker`, `http` or `link`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Door::Broker => "broker",
            Door::Http => "http",
            Door::Link => "link",
        }
    }
}

/// A message as a door got it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The door.
    pub door: Door,
    /// Client id or peer address, for people.
    pub source: &'a str,
    /// Where it was published; `None` for HTTP.
    pub topic: Option<&'a str>,
    /// Its bytes.
    pub payload: &'a [u8],
    /// How the payload is to be read.
    pub form: Form<'a>,
    /// A copy that a broker kept from some earlier time: without a time of its own it tells nothing.
    pub retained: bool,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Journal position of its last observation; if it had none, of the newest record.
    pub position: Position,
    /// Readings that were journalled.
    pub readings: usize,
    /// What was not taken, in the order of the payload.
    pub rejected: Vec<Rejection>,
}

/// Why a message must not be acknowledged: nothing of it was promised, and it should be sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// The journal did not take it.
    #[error("nothing of the message was taken: {0}")]
    Journal(#[from] JournalError),
}

impl IntakeError {
    /// Whether the same message may be taken later.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            IntakeError::Journal(error) => error.may_retry(),
        }
    }
}

/// What the intake takes.
#[derive(Debug, Clone)]
pub struct IntakeConfig {
    /// Topics that carry readings, and how.
    pub templates: Templates,
    /// Format of messages without a topic.
    pub format: Format,
    /// Longer payloads are rejected, in bytes.
    pub max_payload: usize,
}

impl Default for IntakeConfig {
    fn default() -> IntakeConfig {
        let templates = Templates::default();
        IntakeConfig {
            templates,
            format: Format::default(),
            max_payload: DEFAULT_MAX_PAYLOAD,
        }
    }
}

/// A handle; clones share one intake.
#[derive(Clone)]
pub struct Intake {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Journal,
    history: History,
    clock: Clock,
    config: IntakeConfig,
    metrics: IntakeMetrics,
    registry: RwLock<Arc<Registry>>,
    normaliser: Normaliser,
    /// The rejected payload before could not be kept; said once.
    forgetting: AtomicBool,
}

impl Intake {
    /// An intake that writes to `journal` and keeps rejected payloads in `history`.
    ///
    /// # Errors
    /// If its metrics are registered already.
    pub fn new(
        journal: Journal,
        history: History,
        clock: Clock,
        registry: Arc<Registry>,
        config: IntakeConfig,
        metrics: &prometheus::Registry,
    ) -> Result<Intake, prometheus::Error> {
        let metrics = IntakeMetrics::register(metrics)?;
        let normaliser = Normaliser::new(UnknownSensors::new(metrics.unknown_sensors.clone()));
        let registry = RwLock::new(registry);
        let forgetting = AtomicBool::new(false);
        let inner = Inner {
            journal,
            history,
            clock,
            config,
            metrics,
            registry,
            normaliser,
            forgetting,
        };
        Ok(Intake {
            inner: Arc::new(inner),
        })
    }

    /// Takes a message and returns once its readings are on disk. A payload that is wrong as a whole is
    /// accepted with nothing but rejections, since sending it again would not help.
    ///
    /// # Errors
    /// If nothing was promised: do not acknowledge.
    pub async fn accept(&self, message: Message<'_>) -> Result<Accepted, IntakeError> {
        self.accept_in_turn(message, || ()).await
    }

    /// The same for a door that has many messages on their way at a time: `queued` is called as soon as the
    /// message has its place in the journal, and only then may the next one be brought.
    pub(crate) async fn accept_in_turn(
        &self,
        message: Message<'_>,
        queued: impl FnOnce(),
    ) -> Result<Accepted, IntakeError> {
        let inner = &*self.inner;
        let door = &[message.door.word()];
        let arrived = Instant::now();
        let arrival = inner.clock.now();
        inner.metrics.messages.with_label_values(door).inc();
        let (bodies, rejected) = inner.understand(&message, arrival);
        inner
            .metrics
            .decode_seconds
            .observe(arrived.elapsed().as_secs_f64());
        let readings = bodies.iter().map(readings_in).sum();
        let appended = match inner.journal.queue(bodies).await {
            Ok(waiting) => {
                queued();
                waiting.synced().await
            }
            Err(error) => Err(error),
        };
        let position = match appended {
            Ok(position) => position,
            Err(error) => {
                inner.metrics.refused.with_label_values(door).inc();
                return Err(error.into());
            }
        };
        if readings > 0 {
            inner
                .metrics
                .readings
                .with_label_values(door)
                .inc_by(readings as u64);
            inner
                .metrics
                .synced_seconds
                .with_label_values(door)
                .observe(arrived.elapsed().as_secs_f64());
        }
        if !rejected.is_empty() {
            inner.keep(&message, arrival, &rejected).await;
        }
        Ok(Accepted {
            position,
            readings,
            rejected,
        })
    }

    /// Counts and keeps that a message came whose payload the door would not read to its end.
    pub async fn refuse_unread(&self, door: Door, source: &str, detail: String) {
        let inner = &*self.inner;
        inner
            .metrics
            .messages
            .with_label_values(&[door.word()])
            .inc();
        let message = Message {
            door,
            source,
            topic: None,
            payload: &[],
            form: Form::Usual,
            retained: false,
        };
        let rejection = Rejection {
            index: None,
            reason: Reason::TooLarge,
            detail,
        };
        inner.keep(&message, inner.clock.now(), &[rejection]).await;
    }

    /// Journals that a broker link came up or went down: silence is counted anew from `Up` on.
    ///
    /// # Errors
    /// If the journal did not take it.
    pub async fn link_changed(&self, link: Name, state: LinkState) -> Result<(), IntakeError> {
        let body = Body::Link { link, state };
        self.inner.journal.append(vec![body]).await?;
        Ok(())
    }

    /// Puts another registry in force for messages that arrive from now on.
    pub fn set_registry(&self, registry: Arc<Registry>) {
        self.inner.normaliser.unknown.forget_registered(&registry);
        *self.inner.registry.write() = registry;
    }

    /// Sensors since the start that no registry names, in the order of their ids.
    #[must_use]
    pub fn unknown_sensors(&self) -> Vec<UnknownSensor> {
        self.inner.normaliser.unknown.list()
    }

    /// The newest rejected payloads, newest first, at most `limit`; those of earlier runs too.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub fn rejected(&self, limit: usize) -> Result<Vec<RejectedPayload>, HistoryError> {
        self.inner.history.rejected(limit)
    }
}

fn readings_in(body: &Body) -> usize {
    match body {
        Body::Observation(observation) => observation.values.len(),
        Body::Tick | Body::Start | Body::Link { .. } | Body::Registry(_) | Body::Rules(_) => 0,
    }
}

impl Inner {
    fn understand(&self, message: &Message<'_>, arrival: Time) -> (Vec<Body>, Vec<Rejection>) {
        let form::Read {
            format,
            sensor,
            measurement,
        } = match message.read(&self.config) {
            Ok(read) => read,
            Err(rejection) => return (Vec::new(), vec![rejection]),
        };
        let registry = self.registry.read().clone();
        let max_payload = self.config.max_payload;
        let context = Context {
            sensor,
            measurement,
            arrival,
            registry: &registry,
            max_payload,
        };
        let decode::Decoded {
            observations,
            mut rejected,
        } = decode::decode(format, message.payload, &context);
        let mut bodies = Vec::with_capacity(observations.len());
        let normalising = self.normaliser.message(&registry, message.door, arrival);
        for decoded in &observations {
            if message.retained && decoded.time.is_none() {
                rejected.push(form::retained(decoded.index));
                continue;
            }
            bodies.extend(
                normalising
                    .observation(decoded, &mut rejected)
                    .map(Body::Observation),
            );
        }
        (bodies, rejected)
    }

    /// Counts at once, and returns when the payload is kept: the writing is done by a thread that may block.
    async fn keep(&self, message: &Message<'_>, time: Time, rejected: &[Rejection]) {
        for rejection in rejected {
            self.metrics
                .rejected
                .with_label_values(&[rejection.reason.word()])
                .inc();
        }
        let payload = RejectedPayload {
            time,
            door: message.door.word().to_owned(),
            source: message.source.to_owned(),
            topic: message.topic.map(str::to_owned),
            payload: payload_text(message.payload),
            payload_bytes: message.payload.len(),
            rejections: rejected.iter().take(KEPT_REJECTIONS).cloned().collect(),
            rejection_count: rejected.len(),
        };
        let history = self.history.clone();
        let kept = tokio::task::spawn_blocking(move || history.keep_rejected(&payload)).await;
        let error = match kept {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(ended) => Some(ended.to_string()),
        };
        let failed = error.is_some();
        if let Some(error) = error
            && !self.forgetting.load(Ordering::Relaxed)
        {
            tracing::warn!(%error, "rejected payloads are counted but cannot be kept");
        }
        self.forgetting.store(failed, Ordering::Relaxed);
    }
}
