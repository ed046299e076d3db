//! A broker with its journal under test, and clients for it.
#![allow(clippy::unwrap_used)]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use citywatch_ingest::broker::{BrokerConfig, BrokerError, EmbeddedBroker};
use citywatch_ingest::client::{ClientOptions, MqttClient};
use citywatch_ingest::link::{LinkConfig, LinkError, Links};
use citywatch_ingest::{Clock, History, Intake, IntakeConfig, Journal, JournalConfig, Reason};
use citywatch_model::{Body, LinkState, Observation, Registry};
use rumqttc::{AsyncClient, EventLoop, LastWill, MqttOptions};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(20);

pub struct House {
    pub journal: Journal,
    pub history: History,
    pub intake: Intake,
    _folder: TempDir,
}

impl House {
    pub fn new() -> House {
        House::with_free_space_mark(0)
    }

    /// One whose journal refuses every reading, as on a full disk.
    pub fn full_disk() -> House {
        House::with_free_space_mark(u64::MAX)
    }

    fn with_free_space_mark(free_space_mark: u64) -> House {
        let folder = TempDir::new().unwrap();
        let metrics = prometheus::Registry::new();
        let clock = Clock::wall();
        let config = JournalConfig {
            free_space_mark,
            ..JournalConfig::new(folder.path().join("journal"))
        };
        let journal = Journal::open(config, clock.clone(), &metrics).unwrap();
        journal.stop_ticks();
        let history = History::open(folder.path().join("history"), &metrics).unwrap();
        let registry = Arc::new(Registry::default());
        let intake = Intake::new(
            journal.clone(),
            history.clone(),
            clock,
            registry,
            IntakeConfig::default(),
            &metrics,
        )
        .unwrap();
        House {
            journal,
            history,
            intake,
            _folder: folder,
        }
    }

    pub async fn broker(&self, config: BrokerConfig) -> EmbeddedBroker {
        let metrics = prometheus::Registry::new();
        self.try_broker(config, &metrics).await.unwrap()
    }

    pub async fn try_broker(
        &self,
        config: BrokerConfig,
        metrics: &prometheus::Registry,
    ) -> Result<EmbeddedBroker, BrokerError> {
        EmbeddedBroker::start(config, self.intake.clone(), metrics).await
    }

    /// Links to brokers, with metrics of their own.
    pub fn links(&self, configs: &[LinkConfig]) -> Result<Links, LinkError> {
        let metrics = prometheus::Registry::new();
        Links::start(configs, &self.intake, &Clock::wall(), &metrics)
    }

    /// Everything that the journal holds at this moment.
    pub fn bodies(&self) -> Vec<Body> {
        let mut reader = self.journal.reader(0);
        let mut bodies = Vec::new();
        while let Some(records) = reader.try_next().unwrap() {
            bodies.extend(records.iter().map(|record| record.body.clone()));
        }
        bodies
    }

    /// The readings among it.
    pub fn observations(&self) -> Vec<Observation> {
        let observation = |body| match body {
            Body::Observation(observation) => Some(observation),
            _ => None,
        };
        self.bodies().into_iter().filter_map(observation).collect()
    }

    /// The changes of links among it.
    pub fn link_states(&self) -> Vec<LinkState> {
        let state = |body| match body {
            Body::Link { state, .. } => Some(state),
            _ => None,
        };
        self.bodies().into_iter().filter_map(state).collect()
    }

    /// Brings the history up to what the journal holds now.
    pub async fn follow(&self) {
        let (history, journal) = (self.history.clone(), self.journal.clone());
        let following = tokio::spawn(async move { history.follow(&journal).await });
        let last = self.journal.last();
        until(|| self.history.cursor() >= last).await;
        following.abort();
    }

    pub fn rejected(&self) -> Vec<Reason> {
        let payloads = self.intake.rejected(100).unwrap();
        payloads
            .iter()
            .flat_map(|payload| payload.rejections.iter().map(|rejection| rejection.reason))
            .collect()
    }
}

pub fn open_to_all(listen: SocketAddr) -> BrokerConfig {
    BrokerConfig {
        allow_anonymous: true,
        ..BrokerConfig::new(listen)
    }
}

pub fn any_port() -> BrokerConfig {
    open_to_all(SocketAddr::from(([127, 0, 0, 1], 0)))
}

pub fn client(broker: SocketAddr, client_id: &str) -> MqttClient {
    let options = ClientOptions {
        first_backoff: Duration::from_millis(20),
        ..ClientOptions::default()
    };
    MqttClient::connect(&format!("mqtt://{broker}"), client_id, options).unwrap()
}

/// rumqttc itself, for what our own client never does.
pub fn raw_client(
    broker: SocketAddr,
    client_id: &str,
    will: Option<LastWill>,
) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(client_id, broker.ip().to_string(), broker.port());
    options.set_max_packet_size(10_000_000, 10_000_000);
    if let Some(will) = will {
        options.set_last_will(will);
    }
    AsyncClient::new(options, 10)
}

pub async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(LIMIT, what).await.expect("the limit is generous")
}

pub async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
