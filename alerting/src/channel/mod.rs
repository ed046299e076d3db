//! The channels that carry a warning to a recipient, behind one trait. A channel makes one attempt and says how
//! it went; it never retries, never touches the ledger and keeps no state of a delivery: that is the outbox's part.
//!
//! *Accepted* means that the next hop has taken over; *delivered*, that the recipient's own endpoint has it;
//! that a person has answered is neither. Each channel's file says what the two mean there.

mod body;
mod cap_mqtt;
mod http;
mod mail;
mod mail_hint;
mod mail_text;
mod phone;
mod signature;
mod sms;
mod sms_text;
mod tls;
mod topic;
mod webhook;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use citywatch_model::Text;
use serde::{Deserialize, Serialize};
use url::Url;

pub use cap_mqtt::{CapMqtt, Publisher};
pub use http::HttpError;
pub use mail::{Mail, MailAddress, MailAddressError, MailError, MailSettings, Security};
pub use phone::{Phone, PhoneError};
pub use signature::{Secret, SecretError};
pub use sms::{Receipts, Sms, SmsSettings};
pub use tls::{TrustError, authorities_are_readable};
pub use topic::{TopicError, TopicTemplate};
pub use webhook::{Timeouts, Webhook};

use crate::warning::Warning;

/// A boxed future, as the `futures` crates define it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One way to carry warnings.
pub trait Channel: Send + Sync {
    /// The word that plans use for it, such as [`WEBHOOK`].
    fn kind(&self) -> &'static str;

    /// Makes one attempt. Dropping the future gives the attempt up; it may have arrived all the same.
    fn send<'a>(&'a self, order: &'a SendOrder) -> BoxFuture<'a, Result<Sent, SendFailure>>;

    /// Attempts at a time that one gateway bears; `None` leaves it to the outbox's own limits.
    fn concurrent(&self) -> Option<usize> {
        None
    }
}

/// Kind of the [`Webhook`] channel.
pub const WEBHOOK: &str = "webhook";
/// Kind of the [`CapMqtt`] channel.
pub const CAP_MQTT: &str = "cap_mqtt";
/// Kind of the [`Sms`] channel.
pub const SMS: &str = "sms";
/// Kind of the [`Mail`] channel.
pub const MAIL: &str = "mail";
/// All kinds.
pub const KINDS: [&str; 4] = [WEBHOOK, CAP_MQTT, SMS, MAIL];

/// The address of a recipient on one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An HTTP address that takes a signed POST.
    Webhook {
        /// `http` or `https`, with a host.
        url: Url,
        /// Signs the requests; without one they go out unsigned.
        secret: Option<Secret>,
    },
    /// A topic on the service's MQTT broker.
    CapMqtt {
        /// With placeholders.
        topic: TopicTemplate,
    },
    /// A telephone that takes text messages, by the SMS gateway.
    Sms {
        /// Its number.
        phone: Phone,
    },
    /// A mailbox, by the mail server.
    Mail {
        /// Its address.
        address: MailAddress,
    },
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an address of the web.
    #[error("`{url}` is not a webhook address: {why}; write http://HOST/PATH or https://HOST/PATH")]
    Url {
        /// As it came.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The signing secret does not decode.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The topic cannot be published to.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Not a telephone number.
    #[error(transparent)]
    Phone(#[from] PhoneError),
    /// Not a mail address.
    #[error(transparent)]
    Mail(#[from] MailAddressError),
}

impl Endpoint {
    /// A webhook at `url`, signed with `secret` (one or more `whsec_…`, separated by spaces).
    ///
    /// # Errors
    /// If the address is not http(s) with a host, or a secret does not decode.
    pub fn webhook(url: &str, secret: Option<&str>) -> Result<Endpoint, EndpointError> {
        let wrong = |why: String| EndpointError::Url {
            url: url.to_owned(),
            why,
        };
        let parsed = Url::parse(url.trim()).map_err(|error| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong(format!(
                "`{}` is neither http nor https",
                parsed.scheme()
            )));
        }
        Ok(Endpoint::Webhook {
            url: parsed,
            secret: secret.map(str::parse).transpose()?,
        })
    }

    /// CAP messages to the MQTT topic `topic`; `None` takes [`TopicTemplate::DEFAULT`].
    ///
    /// # Errors
    /// If the topic holds a wildcard or an unknown placeholder.
    pub fn cap_mqtt(topic: Option<&str>) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint::CapMqtt {
            topic: topic.unwrap_or(TopicTemplate::DEFAULT).parse()?,
        })
    }

    /// Text messages to the number `phone`.
    ///
    /// # Errors
    /// If it is not a telephone number.
    pub fn sms(phone: &str) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint::Sms {
            phone: phone.parse()?,
        })
    }

    /// Mail to `address`.
    ///
    /// # Errors
    /// If it is not a mail address.
    pub fn mail(address: &str) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint::Mail {
            address: address.parse()?,
        })
    }

    /// The kind of the channel that serves it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Endpoint::Webhook { .. } => WEBHOOK,
            Endpoint::CapMqtt { .. } => CAP_MQTT,
            Endpoint::Sms { .. } => SMS,
            Endpoint::Mail { .. } => MAIL,
        }
    }

    /// Endpoints with the same host fail together, so they share one limit of concurrent attempts: host and
    /// port of a webhook, one word for the service's own broker, SMS gateway and mail server.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Endpoint::Webhook { url, .. } => {
                let host = url.host_str().unwrap_or_default();
                url.port_or_known_default()
                    .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
            }
            Endpoint::CapMqtt { .. } => "mqtt".to_owned(),
            Endpoint::Sms { .. } => SMS.to_owned(),
            Endpoint::Mail { .. } => MAIL.to_owned(),
        }
    }
}

/// Who is meant to get a warning.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Recipient {
    /// The department's id.
    pub department: String,
    /// Its name for people.
    pub department_name: Text,
    /// The person or desk; empty for the department as a whole.
    pub contact: String,
}

/// One attempt to be made.
#[derive(Debug, Clone)]
pub struct SendOrder {
    /// The same for every attempt of one delivery: recipients tell repetitions by it.
    pub message_id: String,
    /// 1 for the first.
    pub attempt: u32,
    /// Where to.
    pub endpoint: Endpoint,
    /// What.
    pub warning: Arc<Warning>,
    /// The same as CAP 1.2, as it was stored when it was issued.
    pub cap_xml: Arc<str>,
    /// To whom.
    pub recipient: Recipient,
    /// Page on which the recipient can answer; `None` if nobody is to.
    pub answer_url: Option<String>,
    /// Where a gateway may report what became of this attempt.
    pub receipt_url: Option<String>,
    /// Message ids of what the same address was sent of the same alert before, oldest first.
    pub earlier: Vec<String>,
}

/// An attempt that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The next hop has taken over.
    pub accepted: bool,
    /// The recipient's own endpoint has it.
    pub delivered: bool,
    /// The HTTP status, where there is one.
    pub status: Option<u16>,
    /// For the attempt log.
    pub detail: String,
}

/// An attempt that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// The same attempt may work later.
    #[error("{detail}")]
    Retry {
        /// For the attempt log.
        detail: String,
        /// The least wait that the other side asks for.
        after: Option<Duration>,
        /// The HTTP status, where there is one.
        status: Option<u16>,
    },
    /// It will not work until a person changes something.
    #[error("{detail}")]
    Permanent {
        /// For the attempt log.
        detail: String,
        /// The HTTP status, where there is one.
        status: Option<u16>,
    },
}

impl SendFailure {
    /// May work later, whenever the outbox thinks fit.
    pub(crate) fn retry(detail: String) -> SendFailure {
        SendFailure::Retry {
            detail,
            after: None,
            status: None,
        }
    }

    /// What a channel answers to an order with another channel's address.
    fn misrouted(kind: &str, endpoint: &Endpoint) -> SendFailure {
        let detail = format!(
            "the {kind} channel cannot send to a {} address",
            endpoint.kind()
        );
        SendFailure::Permanent {
            detail,
            status: None,
        }
    }
}
