//! The outbox and the channels that the configuration gives it.

use std::net::SocketAddr;
use std::sync::Arc;

use citywatch_alerting::channel::{CapMqtt, Channel, Mail, Publisher, Sms, Timeouts, Webhook};
use citywatch_alerting::{Ledger, Outbox, OutboxConfig};
use citywatch_ingest::client::{ClientOptions, MqttClient};

use super::{StartError, failed};
use crate::cap_broker::CapBroker;
use crate::config::{Config, OWN_NAME};

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
