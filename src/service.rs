//! Wiring: builds the road from its parts, opens the doors last, and closes them first.
//! Live service and demo are the same code; they differ in configuration and clock.

mod broker;
mod channels;
mod loss;
mod parts;

pub use channels::{cap_channel, gateways};
pub use loss::Lost;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citywatch_alerting::{Ledger, Outbox};
use citywatch_ingest::archive::Archive;
use citywatch_ingest::broker::EmbeddedBroker;
use citywatch_ingest::client::MqttClient;
use citywatch_ingest::link::Links;
use citywatch_ingest::{Clock, History, Journal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backtests::Backtests;
use crate::bundle::{BundleFile, Mistake};
use crate::config::{Config, OWN_NAME, Role};
use crate::http::{self, App, Entrance, Waiting};
use crate::in_force::{self, Keeper};
use crate::lock::{self, FolderLock};
use crate::pipeline::{Facts, Pipeline};

/// How long the last readings may take to reach the alert book when the service stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// How often the last use of sessions and tokens is written.
const SETTLE_PEOPLE_EVERY: Duration = Duration::from_secs(60);
/// How often warnings that have lapsed are looked for.
const LAPSE_EVERY: Duration = Duration::from_secs(1);
/// How often old events are forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// What a start needs besides the configuration.
pub struct Start {
    /// The files of the bundle, or why they cannot be read: that matters only if they are to be put in force.
    pub files: Result<Vec<BundleFile>, Vec<Mistake>>,
    pub clock: Clock,
    /// Put the bundle in force even if another one is.
    pub apply_bundle: bool,
    /// What people say is lost for good.
    pub lost: Lost,
    /// Tells the name and the one-time password of the first account, to the terminal and to nothing else.
    pub announce: fn(&str, &str),
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
    links: Links,
    cap_broker: Option<MqttClient>,
    archive: Option<Archive>,
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
    /// Starts everything; the doors open once the state of the journal has been rebuilt. Until then HTTP only
    /// says how far that is.
    pub async fn start(config: &Config, start: Start) -> Result<Service, StartError> {
        let started = Instant::now();
        let folder = &config.storage.folder;
        let lock = lock::take(folder).map_err(failed)?;
        let metrics = prometheus::Registry::new();
        parts::probe_broker(config)?;
        let listener = parts::listen(config.http.listen).await?;
        let http = listener.local_addr().map_err(failed)?;
        let (stopping, stop) = watch::channel(false);
        let (entrance, http_server) = Entrance::serve(listener, stop.clone());

        loss::prepare(config, &start.clock, http, start.lost).await?;
        let journal = parts::open_journal(config, &start.clock, &metrics)?;
        let ledger = open_ledger(config, &start, (&journal, http), &metrics).await?;
        parts::first_account(&ledger, start.announce).await?;
        let present = in_force::begin(&ledger, start.files, start.apply_bundle).await;
        let present = present.map_err(StartError)?;
        present.enter(&ledger);
        parts::tell_unserved(config, &ledger);
        let history = History::open(folder.join("history"), &metrics).map_err(failed)?;
        let before = journal.last();
        let pipeline = Pipeline::start(
            &journal,
            ledger.clone(),
            history.clone(),
            parts::engine_setup(config),
            &metrics,
        )
        .map_err(StartError)?;
        entrance.wait_for(Waiting::Journal {
            read: pipeline.fed.clone(),
            last: before,
        });
        let facts = rebuilt(&pipeline, before).await?;
        entrance.wait_for(Waiting::Doors);
        let held = (facts.registry.clone(), facts.in_force.clone());
        let time_zone = citywatch_model::name(&config.service.timezone);
        let keeper = Keeper::start(ledger.clone(), journal.clone(), present, held, time_zone).await;
        let keeper = keeper.map_err(StartError)?;
        loss::meet(&ledger, &pipeline).await?;

        let sources = (&journal, &history, &start.clock);
        let intake = parts::open_intake(config, sources, keeper.registry(), &metrics)?;
        if let Err(error) = keeper.expire(&intake).await {
            tracing::warn!(%error, "modes whose time has passed stay for now; trying again");
        }
        tokio::spawn(keeper.clone().watch(intake.clone(), stop.clone()));
        let own_token = http::new_token();
        let tokens = parts::tokens(config, folder)?.with(OWN_NAME, Role::Admin, &own_token);
        let embedded_broker =
            broker::open_broker(config, (&tokens, &ledger), &intake, &metrics).await?;
        let broker = embedded_broker.as_ref().map(EmbeddedBroker::local_addr);
        let cap_broker = channels::cap_client(config, broker, &own_token)?;
        let outbox = channels::start_outbox(config, &ledger, cap_broker.clone()).await?;

        let road = parts::watch_road(config, sources, &pipeline, &metrics, stop.clone())?;
        let links = parts::open_links(config, &intake, &start.clock, &metrics)?;
        let archive = parts::start_archive(config, sources, &metrics)?;
        let app = App::new(http::Parts {
            name: config.service.name.clone(),
            public_url: parts::public_url(config, http),
            ledger: ledger.clone(),
            keeper,
            intake,
            history,
            archive: archive.clone(),
            backtests: Backtests::default(),
            journal: journal.clone(),
            links: links.board(),
            facts: pipeline.facts.clone(),
            booked: pipeline.booked.clone(),
            road,
            notes: pipeline.notes.clone(),
            link_guard: parts::refused_links(&metrics)?,
            metrics: metrics.clone(),
            stop: stop.clone(),
            ready_at: journal.last(),
        });
        let posts = parts::posts(config, http, (&ledger, tokens), metrics);
        entrance.open(http::router(app, posts).map_err(failed)?);
        tokio::spawn(prune(ledger.clone(), stop.clone()));
        tokio::spawn(lapse(ledger.clone(), stop.clone()));
        tokio::spawn(settle_people(ledger.clone(), stop));
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
            links,
            cap_broker,
            archive,
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

    /// Waits for a fault after which only half a service would go on, and answers what has ended by it.
    pub fn fault(&self) -> impl Future<Output = &'static str> + use<> {
        let mut ended = self.pipeline.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await {
                Ok(what) => what.unwrap_or_default(),
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Closes the doors, lets what was accepted go all the way, then closes the rest. CAP messages over the
    /// embedded broker that are not out by now go out at the next start.
    pub async fn stop(self) {
        tracing::info!("stopping: no more readings are accepted");
        if let Some(client) = self.cap_broker {
            client.close().await;
        }
        self.links.stop().await;
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
        if let Some(archive) = self.archive {
            archive.stop().await;
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

/// Opens the ledger that belongs to the journal.
async fn open_ledger(
    config: &Config,
    start: &Start,
    (journal, http): (&Journal, SocketAddr),
    metrics: &prometheus::Registry,
) -> Result<Ledger, StartError> {
    let folder = &config.storage.folder;
    loss::admit_new_ledger(folder, journal, start.lost)?;
    let ledger = parts::open_ledger(config, &start.clock, http, metrics).await?;
    loss::settle(folder, journal, &ledger, start.lost).await?;
    Ok(ledger)
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

async fn settle_people(ledger: Ledger, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(SETTLE_PEOPLE_EVERY) => {}
        }
        if let Err(error) = ledger.settle_people().await {
            tracing::warn!(%error, "the last use of sessions and tokens was not written; trying again in a minute");
        }
    }
}

async fn lapse(ledger: Ledger, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LAPSE_EVERY) => {}
        }
        if let Err(error) = ledger.lapse().await {
            tracing::error!(%error, "warnings that have lapsed were not followed up; trying again in a second");
        }
    }
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
