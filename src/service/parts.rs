//! Opens each part of the service as the configuration says. Nothing here decides an order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use citywatch_alerting::links::{LinkKey, SignedLinks};
use citywatch_alerting::{Ledger, Settings};
use citywatch_ingest::archive::{Archive, Sources};
use citywatch_ingest::broker::BrokerError;
use citywatch_ingest::link::Links;
use citywatch_ingest::topic::{Template, Templates};
use citywatch_ingest::{Clock, History, Intake, IntakeConfig, Journal, JournalConfig};
use citywatch_model::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{StartError, failed};
use crate::config::{self, Config, Link, ReadingTopic, Role};
use crate::http::{self, Tokens};
use crate::pipeline::{self, EngineSetup, Pipeline, Road, SavedStates};

pub async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| {
        StartError(format!("cannot listen for HTTP on {address}: {error}; stop what uses that port, or choose another in [http] listen"))
    })
}

pub fn open_journal(
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

pub async fn open_ledger(
    config: &Config,
    clock: &Clock,
    http: SocketAddr,
    metrics: &prometheus::Registry,
) -> Result<Ledger, StartError> {
    let clock = clock.clone();
    let service = &config.service;
    let settings = Settings {
        sender: service.sender.clone(),
        sender_name: service.name.clone(),
        timezone: jiff::tz::TimeZone::get(&service.timezone).map_err(failed)?,
        public_url: Some(public_url(config, http)),
        links: Some(signed_links(config, http)?),
        clock: Arc::new(move || clock.now()),
        session_idle: config.accounts.session_idle,
        session_longest: config.accounts.session_longest,
        ..Settings::default()
    };
    let path = super::loss::ledger_file(&config.storage.folder);
    // plans and zones come with what is in force
    Ledger::open(path, Arc::default(), settings, metrics)
        .await
        .map_err(failed)
}

pub fn public_url(config: &Config, http: SocketAddr) -> String {
    config.service.public_url.clone().map_or_else(
        || format!("http://{http}"),
        |url| url.trim_end_matches('/').to_owned(),
    )
}

/// The key of links stands beside the ledger, whose deliveries they name.
fn signed_links(config: &Config, http: SocketAddr) -> Result<SignedLinks, StartError> {
    let key = LinkKey::in_file(&config.storage.folder.join("links.key")).map_err(failed)?;
    let links = SignedLinks::new(key, &public_url(config, http));
    let receipts = config
        .sms
        .as_ref()
        .and_then(|sms| sms.receipts_url.as_ref());
    Ok(match receipts {
        Some(url) => links.with_receipts_at(url),
        None => links,
    })
}

/// A port that the broker cannot have is told before anything is put in force.
pub fn probe_broker(config: &Config) -> Result<(), StartError> {
    let listen = config.broker.listen;
    if config.broker.enabled && std::net::TcpListener::bind(listen).is_err() {
        return Err(failed(BrokerError::PortTaken { listen }));
    }
    Ok(())
}

fn templates(config: &Config) -> Result<Templates, StartError> {
    let templates = config
        .topics
        .readings
        .iter()
        .map(ReadingTopic::parts)
        .map(|(text, format)| Template::new(text, format));
    templates
        .collect::<Result<_, _>>()
        .map(Templates::new)
        .map_err(failed)
}

pub fn tokens(config: &Config, folder: &Path) -> Result<Tokens, StartError> {
    let tokens = Tokens::new(&config.tokens);
    if !config.tokens.is_empty() {
        return Ok(tokens);
    }
    let token = http::admin_token(folder).map_err(failed)?;
    tracing::info!(file = %folder.join("admin.token").display(), "no [[tokens]] are configured; an admin token stands in this file");
    Ok(tokens.with("admin", Role::Admin, &token))
}

/// At the very first start, makes an account and tells its password.
pub async fn first_account(ledger: &Ledger, announce: fn(&str, &str)) -> Result<(), StartError> {
    if let Some((account, password)) = ledger.first_account().await.map_err(failed)? {
        announce(&account.name, &password);
    }
    Ok(())
}

/// What the gate before the API stands on.
pub fn posts(
    config: &Config,
    address: SocketAddr,
    (ledger, tokens): (&Ledger, Tokens),
    metrics: prometheus::Registry,
) -> http::Posts {
    http::Posts {
        ledger: ledger.clone(),
        tokens,
        trusted_proxies: config.http.trusted_proxies.clone(),
        public_url: public_url(config, address),
        metrics,
    }
}

pub fn open_intake(
    config: &Config,
    (journal, history, clock): (&Journal, &History, &Clock),
    registry: Arc<Registry>,
    metrics: &prometheus::Registry,
) -> Result<Intake, StartError> {
    let settings = IntakeConfig {
        templates: templates(config)?,
        ..IntakeConfig::default()
    };
    let (journal, history, clock) = (journal.clone(), history.clone(), clock.clone());
    Intake::new(journal, history, clock, registry, settings, metrics).map_err(failed)
}

/// Plans that name a gateway which is not configured.
pub fn tell_unserved(config: &Config, ledger: &Ledger) {
    for (_, problem) in config::unserved(config, &ledger.directory()) {
        tracing::error!(%problem, "a plan cannot be carried out");
    }
}

pub fn open_links(
    config: &Config,
    intake: &Intake,
    clock: &Clock,
    metrics: &prometheus::Registry,
) -> Result<Links, StartError> {
    let links = config.links.iter().map(Link::read);
    let links = links.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Links::start(&links, intake, clock, metrics).map_err(failed)
}

/// How the engine runs.
pub fn engine_setup(config: &Config) -> EngineSetup {
    EngineSetup {
        workers: config.engine.workers,
        saved: SavedStates::new(config.storage.folder.join("engine")),
        save_every: config.engine.save_every.to_std(),
    }
}

/// Looks whether the road moves, until the service stops.
pub fn watch_road(
    config: &Config,
    (journal, _, clock): (&Journal, &History, &Clock),
    pipeline: &Pipeline,
    metrics: &prometheus::Registry,
    stop: watch::Receiver<bool>,
) -> Result<Road, StartError> {
    let bearable = config.engine.overdue_after.to_std();
    let booked = pipeline.booked.clone();
    pipeline::watch_road((journal.clone(), clock), booked, bearable, metrics, stop).map_err(failed)
}

pub fn start_archive(
    config: &Config,
    (journal, history, clock): (&Journal, &History, &Clock),
    metrics: &prometheus::Registry,
) -> Result<Option<Archive>, StartError> {
    let Some(archive) = &config.archive else {
        return Ok(None);
    };
    let settings = archive.settings(&config.storage.folder).map_err(failed)?;
    let sources = Sources {
        journal: journal.clone(),
        history: history.clone(),
        clock: clock.clone(),
    };
    let archive = Archive::start(settings, sources, metrics).map_err(failed)?;
    Ok(Some(archive))
}

pub fn refused_links(metrics: &prometheus::Registry) -> Result<http::LinkGuard, StartError> {
    http::LinkGuard::register(metrics).map_err(failed)
}
