//! CAP messages on an MQTT topic, for sirens, signs and other machines: the payload is the message's XML, QoS 1,
//! not retained (a retained warning would sound again at every reconnection, long after it was lifted).
//!
//! *Accepted* is the broker's PUBACK. *Delivered* is never known: MQTT does not tell who has read a topic.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{BoxFuture, CAP_MQTT, Channel, Endpoint, SendFailure, SendOrder, Sent};

/// A PUBACK that takes longer is not waited for.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Whoever holds a connection to the broker.
pub trait Publisher: Send + Sync {
    /// Publishes with QoS 1, not retained; done when the broker has acknowledged. The error is one sentence for
    /// the attempt log.
    fn publish<'a>(&'a self, topic: &'a str, payload: Bytes) -> BoxFuture<'a, Result<(), String>>;
}

/// The channel.
pub struct CapMqtt {
    publisher: Arc<dyn Publisher>,
    timeout: Duration,
}

impl CapMqtt {
    /// Publishes through `publisher`, waiting 20 s for each acknowledgement.
    #[must_use]
    pub fn new(publisher: Arc<dyn Publisher>) -> CapMqtt {
        CapMqtt {
            publisher,
            timeout: TIMEOUT,
        }
    }

    /// Waits at most `timeout` for each acknowledgement.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> CapMqtt {
        CapMqtt { timeout, ..self }
    }

    fn attempt(&self, order: &SendOrder) -> impl Future<Output = Result<Sent, SendFailure>> + Send {
        let address = match &order.endpoint {
            Endpoint::CapMqtt { topic } => {
                Ok(topic.fill(&order.warning, &order.recipient.department))
            }
            other @ (Endpoint::Webhook { .. } | Endpoint::Sms { .. } | Endpoint::Mail { .. }) => {
                Err(SendFailure::misrouted(CAP_MQTT, other))
            }
        };
        let payload = Bytes::copy_from_slice(order.cap_xml.as_bytes());
        async move {
            let topic = address?;
            let failed = |why: String| SendFailure::Retry {
                detail: format!("publish to {topic} failed: {why}"),
                after: None,
                status: None,
            };
            match tokio::time::timeout(self.timeout, self.publisher.publish(&topic, payload)).await
            {
                Ok(Ok(())) => {
                    let detail = format!("the broker has acknowledged {topic}");
                    Ok(Sent {
                        accepted: true,
                        delivered: false,
                        status: None,
                        detail,
                    })
                }
                Ok(Err(why)) => Err(failed(why)),
                Err(_) => Err(failed(format!(
                    "no acknowledgement within {:?}",
                    self.timeout
                ))),
            }
        }
    }
}

impl Channel for CapMqtt {
    fn kind(&self) -> &'static str {
        CAP_MQTT
    }

    fn send<'a>(&'a self, order: &'a SendOrder) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(self.attempt(order))
    }
}
