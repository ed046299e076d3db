//! Why an MQTT client cannot do what it should.

/// Why a client cannot do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error("broker url `{url}` {problem}: write mqtt://[user:password@]host[:port]")]
    Url {
        /// The URL without its password.
        url: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The client was closed before the acknowledgement came.
    #[error("the mqtt client `{client_id}` is closed: the message may not have arrived")]
    Closed {
        /// The client's name.
        client_id: String,
    },
    /// The broker answered and said no.
    #[error(
        "broker {broker} refuses the connection of `{client_id}`: {reason}: check user, password and client id"
    )]
    Refused {
        /// Host and port.
        broker: String,
        /// The client's name.
        client_id: String,
        /// What the broker said.
        reason: String,
    },
    /// A topic to publish on, or a filter to subscribe to, that MQTT does not allow.
    #[error("`{topic}` cannot be used: {problem}")]
    Topic {
        /// The topic or filter.
        topic: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// The broker does not allow the subscription.
    #[error(
        "broker {broker} refuses the subscription to `{filter}`: check the rights of `{client_id}`"
    )]
    SubscriptionRefused {
        /// Host and port.
        broker: String,
        /// The filter.
        filter: String,
        /// The client's name.
        client_id: String,
    },
    /// The broker cannot be reached; the client goes on trying.
    #[error(
        "broker {broker} cannot be reached: {reason}: check that it runs and that host and port are right"
    )]
    Unreachable {
        /// Host and port.
        broker: String,
        /// What the system said.
        reason: String,
    },
}
