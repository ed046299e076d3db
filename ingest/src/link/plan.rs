//! The settings of a link, checked and ready to be used: everything that can be wrong before connecting is
//! found here.

use std::sync::Arc;
use std::time::Duration;

use citywatch_model::{Name, name};

use super::wire::Target;
use super::{LinkConfig, LinkError, Login, Pace, tls};
use crate::client::url::Broker;
use crate::topic::{Template, Templates};

/// Shortest keep-alive that both versions of MQTT allow here.
const LEAST_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// A filter to subscribe to, and the QoS to ask for.
pub(super) type Filter = (String, u8);

pub(super) struct Plan {
    pub(super) name: Name,
    pub(super) target: Target,
    pub(super) templates: Arc<Templates>,
    pub(super) filters: Vec<Filter>,
    pub(super) pace: Pace,
}

impl Plan {
    pub(super) fn new(config: &LinkConfig) -> Result<Plan, LinkError> {
        let link = || config.name.clone();
        let wrong = |problem| {
            Err(LinkError::Setting {
                link: link(),
                problem,
            })
        };
        let broker = Broker::parse(&config.url).map_err(|error| LinkError::Url {
            link: link(),
            error,
        })?;
        if config.client_id.is_empty() {
            return wrong(
                "`client_id` is empty: write a name that never changes and that nobody else uses",
            );
        }
        if config.topics.is_empty() {
            return wrong("there are no topics: add at least one { template = \"…\" }");
        }
        if config.keep_alive < LEAST_KEEP_ALIVE || config.inflight == 0 {
            return wrong("`keep_alive` must be at least 5s and `inflight` at least 1");
        }
        if !broker.tls && config.tls != super::TlsFiles::default() {
            return wrong(
                "there are files for TLS, but the url starts with mqtt://: write mqtts://",
            );
        }
        let (templates, filters) = topics(config)?;
        let tls = match broker.tls {
            true => Some(tls::client_config(&config.name, &config.tls)?),
            false => None,
        };
        let login = config
            .login
            .clone()
            .or(broker.credentials.as_ref().map(|(user, password)| Login {
                user: user.clone(),
                password: password.clone(),
            }));
        Ok(Plan {
            name: name(&config.name),
            target: Target {
                broker,
                login,
                tls,
                client_id: config.client_id.clone(),
                version: config.version,
                clean: false,
                inflight: config.inflight,
                keep_alive: config.keep_alive,
                session_expiry: config.session_expiry,
                timeout: config.pace.timeout,
            },
            templates: Arc::new(templates),
            filters,
            pace: config.pace,
        })
    }
}

fn topics(config: &LinkConfig) -> Result<(Templates, Vec<Filter>), LinkError> {
    let mut templates = Vec::new();
    let mut filters: Vec<Filter> = Vec::new();
    for topic in &config.topics {
        let template =
            Template::new(&topic.template, topic.format).map_err(|error| LinkError::Topic {
                link: config.name.clone(),
                error,
            })?;
        if topic.qos > 1 {
            return Err(LinkError::Setting {
                link: config.name.clone(),
                problem: "`qos` must be 0 or 1: what arrives twice is kept once anyway",
            });
        }
        let filter = template.filter();
        match filters.iter_mut().find(|(other, _)| *other == filter) {
            Some((_, qos)) => *qos = topic.qos.max(*qos),
            None => filters.push((filter, topic.qos)),
        }
        templates.push(template);
    }
    Ok((Templates::new(templates), filters))
}
