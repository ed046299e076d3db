//! The embedded MQTT broker: one of the three doors. A publish is acknowledged only after the intake has
//! journalled it, whatever its QoS; when the intake cannot, the client is disconnected without an
//! acknowledgement and sends again. Nobody subscribes to readings: only our own output goes out, to accounts
//! that may have it; retained messages are passed on but not kept.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

mod hooks;
mod rules;
mod server;

pub use server::EmbeddedBroker;

/// Checks a password; must answer quickly, for it runs on the thread that serves other clients too.
pub type Verifier = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Finds further users by name; asked at each login and each publish, so it must answer quickly.
pub type Users = Arc<dyn Fn(&str) -> Option<User> + Send + Sync>;

/// What an account may do once it is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    /// Bring readings.
    pub publish: bool,
    /// Hear our own output: subscribe to [`BrokerConfig::own_topics`] and what lies under them.
    pub subscribe: bool,
}

impl Access {
    /// A device's: it brings readings and hears nothing. So may a client without a user name.
    pub const DEVICE: Access = Access {
        publish: true,
        subscribe: false,
    };
    /// A listener's: it hears warnings and brings nothing.
    pub const LISTENER: Access = Access {
        publish: false,
        subscribe: true,
    };
    /// Both.
    pub const ALL: Access = Access {
        publish: true,
        subscribe: true,
    };
}

/// Somebody who may connect.
#[derive(Clone)]
pub struct User {
    /// What the client sends as its user name; one account has one name.
    pub name: String,
    /// Whether a password is right.
    pub verify: Verifier,
    /// What this account may do.
    pub access: Access,
}

impl User {
    /// A user with this password. Only its digest is kept, and digests are compared, so that the time
    /// which a comparison takes tells nothing.
    #[must_use]
    pub fn with_password(name: &str, password: &str, access: Access) -> User {
        let expected = Sha256::digest(password.as_bytes());
        User {
            name: name.to_owned(),
            verify: Arc::new(move |given| Sha256::digest(given) == expected),
            access,
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// Settings of the embedded broker, `[broker]` in the configuration.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Where it listens; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// Largest packet in bytes; a client that sends a larger one is disconnected.
    pub max_packet: u32,
    /// Who may connect with a password.
    pub users: Vec<User>,
    /// Who else, whom the configuration does not know; a name in `users` goes before.
    pub more_users: Users,
    /// Whether clients without a user name may connect too.
    pub allow_anonymous: bool,
    /// Topics under these prefixes carry our own output (CAP); they are never taken as readings, and nothing
    /// else can be subscribed to.
    pub own_topics: Vec<String>,
    /// Who alone may publish there: a forged warning could start a siren.
    pub own_user: String,
}

impl fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConfig")
            .field("listen", &self.listen)
            .field("users", &self.users)
            .field("allow_anonymous", &self.allow_anonymous)
            .finish_non_exhaustive()
    }
}

impl BrokerConfig {
    /// The defaults at an address: 1 MiB packets, no users, nobody without a user name.
    #[must_use]
    pub fn new(listen: SocketAddr) -> BrokerConfig {
        BrokerConfig {
            listen,
            max_packet: 1024 * 1024,
            users: Vec::new(),
            more_users: Arc::new(|_| None),
            allow_anonymous: false,
            own_topics: vec!["citywatch/cap".to_owned()],
            own_user: "citywatch".to_owned(),
        }
    }
}

/// Why the embedded broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Another program listens there.
    #[error(
        "the embedded broker cannot listen on {listen}: port {} is taken by another program: stop that program, or set another address in `[broker] listen`",
        .listen.port()
    )]
    PortTaken {
        /// The address.
        listen: SocketAddr,
    },
    /// The system does not let us listen there.
    #[error(
        "the embedded broker cannot listen on {listen}: {reason}: set another address in `[broker] listen`"
    )]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// Nobody could connect.
    #[error(
        "the embedded broker has no users and allows nobody without a user name: add `[[broker.users]]`, or set `[broker] allow_anonymous = true`"
    )]
    NobodyAllowed,
    /// Another broker counts in the same registry.
    #[error("the embedded broker cannot count: {0}")]
    Metrics(#[from] prometheus::Error),
}
