//! rmqtt, set up and started without its configuration files, plugins or cluster.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rmqtt::context::ServerContext;
use rmqtt::hook::Register;
use rmqtt::net::{Builder, Listener};
use rmqtt::server::MqttServer;
use rmqtt::types::{Message, Reason};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::hooks;
use super::rules::{Ends, Road, Rules};
use super::{BrokerConfig, BrokerError};
use crate::intake::Intake;
use crate::metrics::BrokerMetrics;

const MAX_SESSIONS: usize = 10_000;

/// Logins in progress at one time; further ones wait.
const MAX_HANDSHAKES: usize = 200;

/// Messages on their way to one subscriber, and QoS 2 messages on their way from one publisher.
const MAX_INFLIGHT: NonZeroU16 = NonZeroU16::new(1_024).expect("1,024 is not zero");

/// Messages that wait for one slow or absent subscriber; the oldest go first.
const MAX_QUEUED: usize = 1_000;

const MAX_TOPIC_LEVELS: usize = 64;

const MAX_CLIENT_ID_BYTES: usize = 256;

/// How long connections may take to finish the publish in hand when the broker stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How often the broker looks whether all connections have ended.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

/// A broker inside this process. Dropping it closes the door at once; [`EmbeddedBroker::stop`] drains.
pub struct EmbeddedBroker {
    context: ServerContext,
    road: Road,
    local: SocketAddr,
    accepting: JoinHandle<()>,
    /// The handlers live as long as this.
    _register: Box<dyn Register>,
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.accepting.abort();
        self.road.write().take();
    }
}

impl EmbeddedBroker {
    /// Listens, and serves clients from now on.
    ///
    /// # Errors
    /// An address that cannot be listened on, settings under which nobody could connect, or metrics that
    /// are registered already.
    pub async fn start(
        config: BrokerConfig,
        intake: Intake,
        metrics: &prometheus::Registry,
    ) -> Result<EmbeddedBroker, BrokerError> {
        if config.users.is_empty() && !config.allow_anonymous {
            return Err(BrokerError::NobodyAllowed);
        }
        let metrics = BrokerMetrics::register(metrics)?;
        let listener = bind(&config)?;
        let local = listener.local_addr().unwrap_or(config.listen);
        // the load check would turn clients away whenever the machine is busy, which is when they matter
        let context = ServerContext::new()
            .mqtt_max_sessions(MAX_SESSIONS.cast_signed())
            .busy_check_enable(false)
            .build()
            .await;
        let ends = Ends {
            context: context.clone(),
            intake,
        };
        let road: Road = Arc::new(RwLock::new(Some(ends)));
        let rules = Rules::new(config, Arc::clone(&road), metrics);
        let register = hooks::install(&context, rules).await;
        let server = MqttServer::new(context.clone())
            .listener_by_id(listener, local.port())
            .build();
        let accepting = tokio::spawn(async move {
            if let Err(error) = server.run().await {
                tracing::error!("the embedded broker no longer accepts connections: {error}");
            }
        });
        tracing::info!(listen = %local, "embedded broker listens");
        Ok(EmbeddedBroker {
            context,
            road,
            local,
            accepting,
            _register: register,
        })
    }

    /// Where it listens; tells the port if the configuration left it to the system.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Clients that are connected at this moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        usize::try_from(self.context.connections.count()).unwrap_or_default()
    }

    /// Accepts nobody any more, lets each connection finish the publish in hand with its acknowledgement,
    /// and closes it. Ends after ten seconds at the latest.
    pub async fn stop(self) {
        self.accepting.abort();
        let give_up = Instant::now() + DRAIN;
        loop {
            self.close_sessions().await;
            if self.connections() == 0 {
                break;
            }
            if Instant::now() >= give_up {
                tracing::warn!(
                    connections = self.connections(),
                    "embedded broker stops with connections still open"
                );
                break;
            }
            sleep(DRAIN_LOOK).await;
        }
    }

    async fn close_sessions(&self) {
        let shared = self.context.extends.shared().await;
        for session in shared.iter().filter_map(|entry| entry.tx()) {
            // an error means that the session has ended, which is what is wanted
            drop(session.unbounded_send(Message::Closed(Reason::from_static(
                "the broker is stopping",
            ))));
        }
    }
}

fn bind(config: &BrokerConfig) -> Result<Listener, BrokerError> {
    let listen = config.listen;
    let builder = Builder::new()
        .name("citywatch")
        .laddr(listen)
        .reuseaddr(Some(true))
        .nodelay(true)
        .max_connections(MAX_SESSIONS)
        .max_handshaking_limit(MAX_HANDSHAKES)
        .max_packet_size(config.max_packet)
        // clients without a name would not be shown to our handlers, which judge their last wills too
        .allow_anonymous(false)
        .max_inflight(MAX_INFLIGHT)
        .max_mqueue_len(MAX_QUEUED)
        .max_topic_levels(MAX_TOPIC_LEVELS)
        .max_clientid_len(MAX_CLIENT_ID_BYTES)
        .handshake_timeout(Duration::from_secs(15));
    let bound = builder.bind().and_then(Listener::tcp);
    bound.map_err(|error| match error.downcast_ref::<std::io::Error>() {
        Some(io) if io.kind() == std::io::ErrorKind::AddrInUse => BrokerError::PortTaken { listen },
        Some(_) | None => BrokerError::Listen {
            listen,
            reason: error.to_string(),
        },
    })
}
