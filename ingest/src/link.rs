//! Broker links: subscriptions at brokers that a city runs already, as the third door of the intake. A message
//! is acknowledged after the journal has synced it (or after all of it was rejected and counted), in the order
//! of arrival, and only on the connection that it came on. Nothing is acknowledged that the journal refused:
//! the connection is given up instead, and the broker sends again what it has no acknowledgement for.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Clock;
use crate::decode::Format;
use crate::intake::Intake;

mod board;
mod error;
mod flight;
mod plan;
mod probe;
mod session;
mod tls;
mod wire;
mod worker;

pub use board::{LinkPhase, LinkStatus};
pub use error::LinkError;
pub use probe::{Finding, probe};

use board::Board;
use plan::Plan;
use worker::Worker;

use crate::metrics::LinkMetrics;

/// Version of MQTT that a link speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// MQTT 3.1.1.
    #[default]
    V3,
    /// MQTT 5.
    V5,
}

/// User name and password; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Files for TLS, all in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that may have signed the broker's certificate; absent: those of the operating system.
    pub ca: Option<PathBuf>,
    /// Our certificate and its key, for brokers that ask for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Topics that a link subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTopic {
    /// A topic template such as `district/{sensor}/{measurement}`; its placeholders match one level each.
    pub template: String,
    /// Format of the payloads.
    pub format: Format,
    /// 0 or 1; with 0 the broker may lose messages.
    pub qos: u8,
}

/// One broker and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkConfig {
    /// Tells links apart, in settings, logs and metrics.
    pub name: String,
    /// `mqtt://[user:password@]host[:port]`, or `mqtts://` for TLS.
    pub url: String,
    /// Under this name the broker keeps what arrives while we are away: it must never change, and nobody else
    /// may use it.
    pub client_id: String,
    /// Version of MQTT.
    pub version: Version,
    /// Stands above what the URL says.
    pub login: Option<Login>,
    /// Used with `mqtts://` only.
    pub tls: TlsFiles,
    /// At least one.
    pub topics: Vec<LinkTopic>,
    /// Messages that may wait for the journal at one time, at least 1. A broker of MQTT 5 sends no more than
    /// these; from one of MQTT 3.1.1 no more are read.
    pub inflight: u16,
    /// A connection without any packet for this long is probed; at least 5 s.
    pub keep_alive: Duration,
    /// How long the broker keeps our session while we are away (MQTT 5 only).
    pub session_expiry: Duration,
    /// Limits of time.
    pub pace: Pace,
}

/// How patient a link is; the defaults fit a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Wait before the second attempt to connect; doubled after each failure, with jitter.
    pub first_backoff: Duration,
    /// Longest wait between two attempts.
    pub longest_backoff: Duration,
    /// Shortest wait after the broker said no: asking more often would only lock the account.
    pub refused_backoff: Duration,
    /// Longest wait for a connection, for the answer to a subscription, and for the last acknowledgements at a
    /// stop.
    pub timeout: Duration,
    /// After an interruption of at least this, silence is counted anew from the reconnection. Shorter ones delay
    /// readings too little to matter, and a link that comes and goes must not hide a silent sensor.
    pub noted_after: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            first_backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(60),
            refused_backoff: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            noted_after: Duration::from_secs(10),
        }
    }
}

impl LinkConfig {
    /// The defaults for a broker at `url`; there is no topic yet.
    #[must_use]
    pub fn new(name: &str, url: &str, client_id: &str) -> LinkConfig {
        LinkConfig {
            name: name.to_owned(),
            url: url.to_owned(),
            client_id: client_id.to_owned(),
            version: Version::default(),
            login: None,
            tls: TlsFiles::default(),
            topics: Vec::new(),
            inflight: 4_096,
            keep_alive: Duration::from_secs(30),
            session_expiry: Duration::from_secs(7 * 86_400),
            pace: Pace::default(),
        }
    }

    /// Whether a link could be started, without connecting.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), LinkError> {
        Plan::new(self).map(drop)
    }
}

/// How all links are at this moment. Clones look at the same links.
#[derive(Clone, Default)]
pub struct LinkBoard(Arc<[Arc<Board>]>);

impl LinkBoard {
    /// In the order of the configuration.
    #[must_use]
    pub fn statuses(&self) -> Vec<LinkStatus> {
        self.0.iter().map(|board| board.status()).collect()
    }
}

/// The running links of a service.
pub struct Links {
    board: LinkBoard,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Links {
    /// Starts to connect, each link for itself; none waits for its broker. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// Settings that cannot be used; then no link is started.
    pub fn start(
        configs: &[LinkConfig],
        intake: &Intake,
        clock: &Clock,
        metrics: &prometheus::Registry,
    ) -> Result<Links, LinkError> {
        let metrics = LinkMetrics::register(metrics)?;
        let plans = configs
            .iter()
            .map(Plan::new)
            .collect::<Result<Vec<_>, _>>()?;
        let (stop, stopping) = watch::channel(false);
        let mut boards = Vec::new();
        let mut tasks = Vec::new();
        for plan in plans {
            let board = Arc::new(Board::new(&plan, clock.clone(), &metrics));
            let worker = Worker::new(plan, intake.clone(), board.clone(), stopping.clone());
            boards.push(board);
            tasks.push(tokio::spawn(worker.run()));
        }
        Ok(Links {
            board: LinkBoard(boards.into()),
            stop,
            tasks: Mutex::new(tasks),
        })
    }

    /// How the links are, for others to look at.
    #[must_use]
    pub fn board(&self) -> LinkBoard {
        self.board.clone()
    }

    /// Takes no more messages, lets those that were taken reach the journal, acknowledges them, and leaves. The
    /// brokers keep the rest.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a broker link ended by a panic");
            }
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for task in &*self.tasks.lock() {
            task.abort();
        }
    }
}
