//! Opens each part of the service as the configuration says. Nothing here decides an order.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use citywatch_alerting::channel::{CapMqtt, Channel, Mail, Publisher, Sms, Timeouts, Webhook};
use citywatch_alerting::links::{LinkKey, SignedLinks};
use citywatch_alerting::{Ledger, Outbox, OutboxConfig, Settings, wall_clock};
use citywatch_ingest::archive::{Archive, Sources};
use citywatch_ingest::broker::{Access, BrokerConfig, BrokerError, EmbeddedBroker, User, Users};
use citywatch_ingest::client::{ClientOptions, MqttClient};
use citywatch_ingest::link::Links;
use citywatch_ingest::topic::{Template, Templates};
use citywatch_ingest::{Clock, History, Intake, IntakeConfig, Journal, JournalConfig};
use citywatch_model::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{StartError, failed};
use crate::cap_broker::CapBroker;
use crate::config::{self, Config, Link, OWN_NAME, ReadingTopic, Role};
use crate::http::{self, Right, Standing, TokenBearer, Tokens, decide};
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

pub async fn open_broker(
    config: &Config,
    (tokens, ledger): (&Tokens, &Ledger),
    intake: &Intake,
    metrics: &prometheus::Registry,
) -> Result<Option<EmbeddedBroker>, StartError> {
    if !config.broker.enabled {
        return Ok(None);
    }
    let broker = BrokerConfig {
        max_packet: config.broker.max_packet,
        allow_anonymous: config.broker.anonymous(),
        users: tokens
            .bearers()
            .values()
            .map(|bearer| user(tokens, bearer))
            .collect(),
        more_users: more_users(ledger.clone()),
        own_user: OWN_NAME.to_owned(),
        ..BrokerConfig::new(config.broker.listen)
    };
    EmbeddedBroker::start(broker, intake.clone(), metrics)
        .await
        .map(Some)
        .map_err(failed)
}

/// A bearer as the broker knows it: the user name is the token's name, the password the token.
fn user(tokens: &Tokens, bearer: &TokenBearer) -> User {
    let (tokens, name) = (tokens.clone(), bearer.name.clone());
    let verify = move |password: &[u8]| {
        let bearer = std::str::from_utf8(password)
            .ok()
            .and_then(|password| tokens.bearer(password));
        bearer.is_some_and(|bearer| bearer.name == name && bearer.is_good(wall_clock()))
    };
    User {
        name: bearer.name.clone(),
        verify: Arc::new(verify),
        access: Access {
            publish: bearer.may(Right::Readings),
            // topics carry warnings of every zone
            subscribe: bearer.may(Right::Feed) && bearer.bounds.is_whole(),
        },
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

/// Tokens that were made through the API, as the broker knows them: looked up at each login and each publish, so that
/// one which is revoked or too old brings nothing more.
fn more_users(ledger: Ledger) -> Users {
    Arc::new(move |name: &str| {
        let token = ledger.token_named(name, wall_clock())?;
        let may = |right| {
            decide(
                &Standing::Scopes(token.scopes.clone()),
                !token.bounds.is_whole(),
                right,
            )
            .is_ok()
        };
        let access = Access {
            publish: may(Right::Readings),
            subscribe: may(Right::Feed) && token.bounds.is_whole(),
        };
        let ledger = ledger.clone();
        let verify = move |password: &[u8]| {
            let sent = std::str::from_utf8(password).ok();
            let sent = sent.and_then(|sent| ledger.token(sent, wall_clock()).ok());
            sent.is_some_and(|sent| sent.id == token.id)
        };
        Some(User {
            name: name.to_owned(),
            verify: Arc::new(verify),
            access,
        })
    })
}

pub fn cap_client(
    config: &Config,
    embedded: Option<SocketAddr>,
    own_token: &str,
) -> Result<Option<MqttClient>, StartError> {
    let own =
        embedded.map(|address| format!("mqtt://{OWN_NAME}:{own_token}@{}", reachable(address)));
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

fn over(client: MqttClient) -> Arc<dyn Channel> {
    let publisher: Arc<dyn Publisher> = Arc::new(CapBroker(client));
    Arc::new(CapMqtt::new(publisher))
}

/// CAP messages over `[delivery] cap_broker`; on the embedded broker only the running service publishes them.
pub fn cap_channel(config: &Config) -> Result<Option<Arc<dyn Channel>>, String> {
    let client = cap_client(config, None, "").map_err(|error| error.to_string())?;
    Ok(client.map(over))
}

/// The channels that need nothing of the service's own: webhooks, and the gateways that are configured.
pub fn gateways(config: &Config) -> Result<Vec<Arc<dyn Channel>>, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let webhook = Webhook::new(Timeouts::default()).map_err(|error| failed(&error))?;
    let mut channels: Vec<Arc<dyn Channel>> = vec![Arc::new(webhook)];
    if let Some(sms) = &config.sms {
        let channel = Sms::new(sms.settings()?).map_err(|error| failed(&error))?;
        channels.push(Arc::new(channel));
    }
    if let Some(mail) = &config.mail {
        let settings = mail.settings(&config.service.name.zh)?;
        let channel = Mail::new(settings).map_err(|error| failed(&error))?;
        channels.push(Arc::new(channel));
    }
    Ok(channels)
}

pub async fn start_outbox(
    config: &Config,
    ledger: &Ledger,
    cap_broker: Option<MqttClient>,
) -> Result<Outbox, StartError> {
    let mut channels = gateways(config).map_err(StartError)?;
    channels.extend(cap_broker.map(over));
    let delivery = &config.delivery;
    let outbox = OutboxConfig {
        max_attempts: delivery.max_attempts.unwrap_or(u32::MAX),
        retry_base: delivery.first_wait.to_std(),
        retry_cap: delivery.longest_wait.to_std(),
        ..OutboxConfig::default()
    };
    Outbox::start(ledger.clone(), channels, outbox)
        .await
        .map_err(failed)
}

pub fn refused_links(metrics: &prometheus::Registry) -> Result<http::LinkGuard, StartError> {
    http::LinkGuard::register(metrics).map_err(failed)
}
