//! Wiring: builds the road from its parts, opens the doors last, and closes them first.
//! Live service and demo are the same code; they differ in configuration and clock.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citywatch_alerting::channel::{CapMqtt, Channel, Publisher, Timeouts, Webhook};
use citywatch_alerting::{Ledger, Outbox, OutboxConfig, Settings};
use citywatch_ingest::broker::{BrokerConfig, EmbeddedBroker, User};
use citywatch_ingest::client::{ClientOptions, MqttClient};
use citywatch_ingest::decode::Format;
use citywatch_ingest::topic::{Template, Templates};
use citywatch_ingest::{Clock, History, Intake, IntakeConfig, Journal, JournalConfig};
use citywatch_model::Body;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::bundle::Bundle;
use crate::cap_broker::CapBroker;
use crate::config::{Config, Role};
use crate::http::{self, App, Tokens};
use crate::lock::{self, FolderLock};
use crate::pipeline::{Facts, Pipeline};

/// How long the last readings may take to reach the alert book when the service stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How often old events are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// What a start needs besides the configuration.
pub struct Start {
    pub bundle: Bundle,
    pub clock: Clock,
    /// Put the bundle in force even if another one is.
    pub apply_bundle: bool,
}

/// A running service.
pub struct Service {
    pub http: SocketAddr,
    pub broker: Option<SocketAddr>,
    pub ledger: Ledger,
    /// A token that may do everything, for the program itself.
    pub own_token: String,
    journal: Journal,
    pipeline: Pipeline,
    outbox: Outbox,
    embedded_broker: Option<EmbeddedBroker>,
    cap_broker: Option<MqttClient>,
    http_server: JoinHandle<()>,
    stopping: watch::Sender<bool>,
    _lock: FolderLock,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

fn failed(error: impl std::fmt::Display) -> StartError {
    StartError(error.to_string())
}

impl Service {
    /// Starts everything; the doors open once the state of the journal has been rebuilt.
    pub async fn start(config: &Config, start: Start) -> Result<Service, StartError> {
        let started = Instant::now();
        let folder = &config.storage.folder;
        let lock = lock::take(folder).map_err(failed)?;
        let metrics = prometheus::Registry::new();
        let listener = listen(config.http.listen).await?;
        let http = listener.local_addr().map_err(failed)?;

        let journal = open_journal(config, &start.clock, &metrics)?;
        let ledger = open_ledger(config, &start, http, &metrics).await?;
        let history = History::open(folder.join("history"), &metrics).map_err(failed)?;
        let before = journal.last();
        let pipeline = Pipeline::start(
            &journal,
            ledger.clone(),
            history.clone(),
            config.engine.workers,
            &metrics,
        )
        .map_err(StartError)?;
        let facts = rebuilt(&pipeline, before).await?;
        let registry = put_in_force(&journal, &facts, &start).await?;

        let intake_config = IntakeConfig {
            templates: templates(config)?,
            ..IntakeConfig::default()
        };
        let intake = Intake::new(
            journal.clone(),
            history.clone(),
            start.clock.clone(),
            registry,
            intake_config,
            &metrics,
        )
        .map_err(failed)?;
        let own_token = http::new_token();
        let tokens = tokens(config, folder)?.with("citywatch", Role::Admin, &own_token);
        let embedded_broker = open_broker(config, &tokens, &intake).await?;
        let broker = embedded_broker.as_ref().map(EmbeddedBroker::local_addr);
        let cap_broker = cap_client(config, broker, &own_token)?;
        let outbox = start_outbox(config, &ledger, cap_broker.clone()).await?;

        let (stopping, stop) = watch::channel(false);
        let app = App::new(http::Parts {
            name: config.service.name.clone(),
            public_url: public_url(config, http),
            ledger: ledger.clone(),
            intake,
            history,
            journal: journal.clone(),
            facts: pipeline.facts.clone(),
            booked: pipeline.booked.clone(),
            notes: pipeline.notes.clone(),
            metrics,
            stop: stop.clone(),
            ready_at: journal.last(),
        });
        let http_server = tokio::spawn(http::serve(listener, app, tokens, stop.clone()));
        tokio::spawn(prune(ledger.clone(), stop));
        tracing::info!(%http, broker = broker.map(tracing::field::display), after_ms = started.elapsed().as_millis() as u64, "ready");
        Ok(Service {
            http,
            broker,
            ledger,
            own_token,
            journal,
            pipeline,
            outbox,
            embedded_broker,
            cap_broker,
            http_server,
            stopping,
            _lock: lock,
        })
    }

    /// Position up to which the alert book is complete, as it moves.
    pub fn booked(&self) -> watch::Receiver<u64> {
        self.pipeline.booked.clone()
    }

    /// Position of the newest record that was accepted.
    pub fn accepted(&self) -> u64 {
        self.journal.last()
    }

    /// Closes the doors, lets what was accepted go all the way, then closes the rest. CAP messages over the
    /// embedded broker that are not out by now go out at the next start.
    pub async fn stop(self) {
        tracing::info!("stopping: no more readings are accepted");
        if let Some(client) = self.cap_broker {
            client.close().await;
        }
        if let Some(broker) = self.embedded_broker {
            broker.stop().await;
        }
        self.stopping.send_replace(true);
        if tokio::time::timeout(Duration::from_secs(10), self.http_server)
            .await
            .is_err()
        {
            tracing::warn!("some HTTP requests did not end within 10 s and are cut off");
        }
        self.journal.close().await;
        if tokio::time::timeout(DRAIN_LIMIT, self.pipeline.drained())
            .await
            .is_err()
        {
            tracing::warn!("the rest of the journal is evaluated at the next start");
        }
        self.outbox.stop().await;
        if let Err(error) = self.ledger.shutdown().await {
            tracing::warn!(%error, "the ledger was not closed in order; nothing is lost");
        }
        tracing::info!("stopped");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        StartError(format!("cannot listen for HTTP on {address}: {error}; stop what uses that port, or choose another in [http] listen"))
    })
}

fn open_journal(
    config: &Config,
    clock: &Clock,
    metrics: &prometheus::Registry,
) -> Result<Journal, StartError> {
    let journal = JournalConfig {
        free_space_mark: config.storage.free_space_mark,
        ..JournalConfig::new(config.storage.folder.join("journal"))
    };
    Journal::open(journal, clock.clone(), metrics).map_err(failed)
}

async fn open_ledger(
    config: &Config,
    start: &Start,
    http: SocketAddr,
    metrics: &prometheus::Registry,
) -> Result<Ledger, StartError> {
    let clock = start.clock.clone();
    let service = &config.service;
    let settings = Settings {
        sender: service.sender.clone(),
        sender_name: service.name.clone(),
        timezone: jiff::tz::TimeZone::get(&service.timezone).map_err(failed)?,
        public_url: Some(public_url(config, http)),
        clock: Arc::new(move || clock.now()),
        ..Settings::default()
    };
    let path: PathBuf = config.storage.folder.join("ledger.sqlite");
    let ledger = Ledger::open(path, start.bundle.directory.clone(), settings, metrics)
        .await
        .map_err(failed)?;
    ledger.set_zones(Arc::new(start.bundle.zones.clone()));
    Ok(ledger)
}

fn public_url(config: &Config, http: SocketAddr) -> String {
    config.service.public_url.clone().map_or_else(
        || format!("http://{http}"),
        |url| url.trim_end_matches('/').to_owned(),
    )
}

/// Waits until the engine has been given all that the journal held, and answers what was in force then.
async fn rebuilt(pipeline: &Pipeline, last: u64) -> Result<Arc<Facts>, StartError> {
    let mut fed = pipeline.fed.clone();
    let ended =
        || StartError("the journal could not be read to its end; the log says why".to_owned());
    fed.wait_for(|position| *position >= last)
        .await
        .map_err(|_| ended())?;
    Ok(pipeline.facts.borrow().clone())
}

/// Journals the bundle if nothing is in force yet or the start asks for it, and that the service has started.
async fn put_in_force(
    journal: &Journal,
    facts: &Facts,
    start: &Start,
) -> Result<Arc<citywatch_model::Registry>, StartError> {
    let bundle = &start.bundle;
    let registry_change = facts.registry.change_to(&bundle.registry);
    let rules_differ = *facts.sources != bundle.sources;
    let first = facts.is_empty();
    let mut bodies = Vec::new();
    let mut registry = facts.registry.clone();
    if first || start.apply_bundle {
        if let Some(change) = registry_change {
            tracing::info!(
                sensors = change.upsert.len(),
                removed = change.remove.len(),
                "registry put in force"
            );
            bodies.push(Body::Registry(Arc::new(change)));
            registry = Arc::new(bundle.registry.clone());
        }
        if rules_differ {
            tracing::info!(rules = bundle.rules.rules.len(), "rules put in force");
            bodies.push(Body::Rules(Arc::new(bundle.sources.clone())));
        }
    } else if registry_change.is_some() || rules_differ {
        tracing::warn!(
            sensors = registry_change.map_or(0, |change| change.upsert.len() + change.remove.len()),
            rules = rules_differ,
            "the bundle in the files differs from the one in force, which stays; start with --apply-bundle to put the files in force"
        );
    }
    bodies.push(Body::Start);
    journal.append(bodies).await.map_err(failed)?;
    Ok(registry)
}

fn templates(config: &Config) -> Result<Templates, StartError> {
    let templates = config
        .topics
        .readings
        .iter()
        .map(|text| Template::new(text, Format::Citywatch));
    templates
        .collect::<Result<_, _>>()
        .map(Templates::new)
        .map_err(failed)
}

fn tokens(config: &Config, folder: &std::path::Path) -> Result<Tokens, StartError> {
    let tokens = Tokens::new(&config.tokens);
    if !config.tokens.is_empty() {
        return Ok(tokens);
    }
    let token = http::admin_token(folder).map_err(failed)?;
    tracing::info!(file = %folder.join("admin.token").display(), "no [[tokens]] are configured; an admin token stands in this file");
    Ok(tokens.with("admin", Role::Admin, &token))
}

async fn open_broker(
    config: &Config,
    tokens: &Tokens,
    intake: &Intake,
) -> Result<Option<EmbeddedBroker>, StartError> {
    if !config.broker.enabled {
        return Ok(None);
    }
    let user = |name: &str| {
        let (tokens, name) = (tokens.clone(), name.to_owned());
        let verify = {
            let name = name.clone();
            move |password: &[u8]| {
                let bearer = std::str::from_utf8(password)
                    .ok()
                    .and_then(|password| tokens.bearer(password));
                bearer.is_some_and(|bearer| bearer.name == name && bearer.may(Role::Device))
            }
        };
        User {
            name,
            verify: Arc::new(verify),
        }
    };
    let broker = BrokerConfig {
        max_packet: config.broker.max_packet,
        allow_anonymous: config.broker.anonymous(),
        users: tokens.names(Role::Device).map(user).collect(),
        ..BrokerConfig::new(config.broker.listen)
    };
    EmbeddedBroker::start(broker, intake.clone())
        .await
        .map(Some)
        .map_err(failed)
}

fn cap_client(
    config: &Config,
    embedded: Option<SocketAddr>,
    own_token: &str,
) -> Result<Option<MqttClient>, StartError> {
    let own =
        embedded.map(|address| format!("mqtt://citywatch:{own_token}@{}", reachable(address)));
    let Some(url) = config.delivery.cap_broker.clone().or(own) else {
        return Ok(None);
    };
    let id = format!("citywatch-cap-{}", std::process::id());
    MqttClient::connect(&url, &id, ClientOptions::default())
        .map(Some)
        .map_err(failed)
}

/// Where a client on this machine finds a listener.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

async fn start_outbox(
    config: &Config,
    ledger: &Ledger,
    cap_broker: Option<MqttClient>,
) -> Result<Outbox, StartError> {
    let mut channels: Vec<Arc<dyn Channel>> =
        vec![Arc::new(Webhook::new(Timeouts::default()).map_err(failed)?)];
    if let Some(client) = cap_broker {
        let publisher: Arc<dyn Publisher> = Arc::new(CapBroker(client));
        channels.push(Arc::new(CapMqtt::new(publisher)));
    }
    let delivery = &config.delivery;
    let outbox = OutboxConfig {
        max_attempts: delivery.max_attempts,
        retry_base: delivery.first_wait.to_std(),
        retry_cap: delivery.longest_wait.to_std(),
        ..OutboxConfig::default()
    };
    Outbox::start(ledger.clone(), channels, outbox)
        .await
        .map_err(failed)
}

async fn prune(ledger: Ledger, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
        if let Err(error) = ledger.prune().await {
            tracing::warn!(%error, "old events were not forgotten; trying again in an hour");
        }
    }
}
