//! Tries out at a broker whether it keeps its side of the guarantee: a client of our own subscribes, goes away,
//! messages are published meanwhile, and what is there when it comes back is counted. It never touches the session
//! of the service, and leaves nothing behind.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::LinkConfig;
use super::error::Failure;
use super::plan::Plan;
use super::wire::{self, Incoming, Sender, Target, Wire};

/// More than the thousand messages that brokers keep unless they are told otherwise.
const MESSAGES: usize = 1_500;
/// Larger than the limits that clients and brokers often start with.
const LARGE_BYTES: usize = 200 * 1024;
const SMALL_BYTES: usize = 64;
/// Nothing more comes if nothing came for this long.
const QUIET: Duration = Duration::from_secs(2);
/// Under this topic the trial is made.
const TOPIC: &str = "citywatch/check";

/// Something that was found out about a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether somebody should do something about it.
    pub warning: bool,
    /// What was found, and what to do.
    pub text: String,
}

/// Tries out the broker of `config` within `limit`.
pub async fn probe(config: &LinkConfig, limit: Duration) -> Vec<Finding> {
    let plan = match Plan::new(config) {
        Ok(plan) => plan,
        Err(error) => return vec![warning(error.to_string())],
    };
    let broker = plan.target.broker.address();
    let tag = fastrand::u32(..);
    let trial = Trial {
        topic: format!("{TOPIC}/{tag:08x}"),
        listener: Target {
            client_id: format!("cw-check-{tag:08x}-l"),
            ..plan.target.clone()
        },
        publisher: Target {
            client_id: format!("cw-check-{tag:08x}-p"),
            clean: true,
            ..plan.target.clone()
        },
    };
    let mut findings = match timeout(limit, trial.run()).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(failure)) => vec![warning(failure.text(&broker, &trial.listener.client_id))],
        Err(_) => vec![warning(format!(
            "broker {broker} could not be tried out within {} s: check that it answers, and try again when it has less to do",
            limit.as_secs()
        ))],
    };
    if timeout(QUIET, trial.forget()).await.is_err() {
        findings.push(warning(format!(
            "broker {broker} may still keep the session `{}` of this trial: remove it there",
            trial.listener.client_id
        )));
    }
    findings
}

fn warning(text: String) -> Finding {
    Finding {
        warning: true,
        text,
    }
}

struct Trial {
    topic: String,
    listener: Target,
    publisher: Target,
}

impl Trial {
    async fn run(&self) -> Result<Vec<Finding>, Failure> {
        let (mut listener, _) = Line::connect(&self.listener).await?;
        if listener.subscribe(&self.topic).await? != Some(1) {
            return Ok(vec![warning(format!(
                "the broker cannot be tried out, since it does not let us subscribe to {TOPIC}/#: allow that to the \
                 link's user, or check by hand that sessions are kept and queues limited by bytes, not by messages"
            ))]);
        }
        listener.leave().await?;
        let (mut publisher, _) = Line::connect(&self.publisher).await?;
        let mut messages = vec![Bytes::from(vec![b' '; LARGE_BYTES])];
        messages.resize(MESSAGES + 1, Bytes::from_static(&[b' '; SMALL_BYTES]));
        let published = publisher.publish(&self.topic, messages).await;
        let (mut listener, session_present) = Line::connect(&self.listener).await?;
        let sizes = listener.receive(MESSAGES + 1).await?;
        listener.leave().await?;
        Ok(self.judge(session_present, &published, &sizes))
    }

    fn judge(
        &self,
        session_present: bool,
        published: &Result<usize, Failure>,
        sizes: &[usize],
    ) -> Vec<Finding> {
        if !session_present {
            return vec![warning(
                "the broker forgets our session while we are away, and with it every message of that time: allow \
                 persistent sessions (mosquitto: see deploy/mosquitto.conf)"
                    .to_owned(),
            )];
        }
        let small = sizes.iter().filter(|size| **size == SMALL_BYTES).count();
        let taken = published.as_ref().copied().unwrap_or_default();
        if sizes.is_empty() && (taken == 0 || small == 0) {
            return vec![warning(format!(
                "how many messages the broker keeps cannot be tried out, since nothing that we publish to {TOPIC}/# \
                 comes back: allow that to the link's user, or check the limits by hand"
            ))];
        }
        let mut findings = vec![Finding {
            warning: false,
            text: format!(
                "the session is kept, and {small} of {MESSAGES} messages that came meanwhile; whether that outlives a \
                 restart of the broker cannot be tried out: its persistence must be on"
            ),
        }];
        if small < MESSAGES {
            findings.push(warning(format!(
                "the broker keeps only {small} of {MESSAGES} messages while we are away, the rest is lost: limit its \
                 queue by bytes (mosquitto: max_queued_messages 0 and max_queued_bytes)"
            )));
        }
        if !sizes.contains(&LARGE_BYTES) {
            findings.push(warning(format!(
                "the broker does not pass on a message of {LARGE_BYTES} bytes: raise its packet limit (mosquitto: \
                 max_packet_size and message_size_limit)"
            )));
        }
        findings
    }

    /// Has the broker forget the listener's session.
    async fn forget(&self) {
        let target = Target {
            clean: true,
            ..self.listener.clone()
        };
        if let Ok((mut line, _)) = Line::connect(&target).await {
            drop(line.leave().await);
        }
    }
}

/// A connection used step by step.
struct Line {
    sender: Sender,
    wire: Wire,
}

impl Line {
    /// Connects; also whether the broker still had a session.
    async fn connect(target: &Target) -> Result<(Line, bool), Failure> {
        let (sender, wire) = wire::open(target);
        let mut line = Line { sender, wire };
        loop {
            if let Incoming::Connected { session_present } = line.wire.next().await? {
                return Ok((line, session_present));
            }
        }
    }

    async fn subscribe(&mut self, topic: &str) -> Result<Option<u8>, Failure> {
        self.sender.subscribe(&[(topic.to_owned(), 1)])?;
        loop {
            if let Incoming::Subscribed(granted) = self.wire.next().await? {
                return Ok(granted.first().copied().flatten());
            }
        }
    }

    /// How many messages the broker says it took.
    async fn publish(&mut self, topic: &str, messages: Vec<Bytes>) -> Result<usize, Failure> {
        let (mut open, mut took) = (messages.len(), 0);
        for message in messages {
            self.sender.publish(topic, message)?;
        }
        while open > 0 {
            if let Incoming::Acknowledged { taken } = self.wire.next().await? {
                open -= 1;
                took += usize::from(taken);
            }
        }
        Ok(took)
    }

    /// The sizes of the messages that come, until there are `most` or it is quiet.
    async fn receive(&mut self, most: usize) -> Result<Vec<usize>, Failure> {
        let mut sizes = Vec::new();
        while sizes.len() < most {
            let Ok(incoming) = timeout(QUIET, self.wire.next()).await else {
                break;
            };
            if let Incoming::Message(message) = incoming? {
                sizes.push(message.payload.len());
                if message.receipt.is_awaited() {
                    self.sender.acknowledge(message.receipt)?;
                }
            }
        }
        Ok(sizes)
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        self.sender.leave()?;
        while !matches!(self.wire.next().await?, Incoming::Left) {}
        Ok(())
    }
}
