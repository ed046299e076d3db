//! `[[links]]`: brokers that stand in the city already, and what the service wants of them. Says what may be
//! written and turns it into what a link needs; connects to nothing.

use std::path::{Path, PathBuf};

use citywatch_ingest::decode::Format;
use citywatch_ingest::link::{LinkConfig, LinkTopic, Login, TlsFiles, Version};
use citywatch_model::Duration;
use serde::Deserialize;

use super::secret::{self, Secret};

/// One entry of `[[links]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Tells links apart, in logs, metrics and the API.
    pub name: String,
    /// `mqtt://host[:port]`, or `mqtts://` for TLS.
    pub url: String,
    /// Under this name the broker keeps what arrives while the service is away. Must never change, and nobody
    /// else may use it.
    pub client_id: String,
    /// Version of MQTT.
    #[serde(default)]
    pub version: MqttVersion,
    /// User name.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<Secret>,
    /// Or a file that holds it.
    pub password_file: Option<PathBuf>,
    /// Authorities in PEM for `mqtts://`; absent: those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate in PEM, if the broker asks for one.
    pub client_certificate_file: Option<PathBuf>,
    /// Its key in PEM.
    pub client_key_file: Option<PathBuf>,
    /// Messages that may wait for the journal at one time.
    #[serde(default = "inflight")]
    pub inflight: u16,
    /// A connection without any packet for this long is probed.
    #[serde(default = "keep_alive")]
    pub keep_alive: Duration,
    /// How long the broker keeps the session while the service is away; MQTT 5 only.
    #[serde(default = "session_expiry")]
    pub session_expiry: Duration,
    /// What to subscribe to; the first template that fits a topic wins.
    pub topics: Vec<Topic>,
}

fn inflight() -> u16 {
    4_096
}

fn keep_alive() -> Duration {
    Duration::from_secs(30)
}

fn session_expiry() -> Duration {
    Duration::from_secs(7 * 86_400)
}

/// Version of MQTT.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub enum MqttVersion {
    /// MQTT 3.1.1.
    #[default]
    #[serde(rename = "3.1.1")]
    V3,
    /// MQTT 5.
    #[serde(rename = "5")]
    V5,
}

/// Topics of a link.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Template with `{sensor}` and `{measurement}`.
    pub template: String,
    /// Format of the payloads.
    #[serde(default)]
    pub format: Format,
    /// 0 or 1.
    #[serde(default = "at_least_once")]
    pub qos: u8,
}

fn at_least_once() -> u8 {
    1
}

impl Link {
    /// Makes relative paths start at `base`.
    pub(super) fn rebase(&mut self, base: &Path) {
        let files = [
            &mut self.password_file,
            &mut self.ca_file,
            &mut self.client_certificate_file,
            &mut self.client_key_file,
        ];
        for path in files.into_iter().flatten() {
            *path = base.join(&path);
        }
    }

    /// What the types cannot say.
    pub(super) fn problem(&self, before: &[Link]) -> Option<String> {
        let name = &self.name;
        if name.is_empty() || before.iter().any(|other| other.name == *name) {
            return Some(format!("link `{name}` needs a name that no other link has"));
        }
        if before
            .iter()
            .any(|other| other.url == self.url && other.client_id == self.client_id)
        {
            return Some(format!(
                "link `{name}` has the broker and client_id of another link, and each would throw out the other"
            ));
        }
        if self.password.is_some() && self.password_file.is_some() {
            return Some(format!(
                "link `{name}` has both `password` and `password_file`: keep one"
            ));
        }
        if self.user.is_none() && (self.password.is_some() || self.password_file.is_some()) {
            return Some(format!("link `{name}` has a password but no `user`"));
        }
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            return Some(format!(
                "link `{name}` needs both `client_certificate_file` and `client_key_file`, or neither"
            ));
        }
        let settings = LinkConfig {
            tls: TlsFiles::default(),
            ..self.settings(String::new())
        };
        // files are looked at when the link starts: they may be readable for the service only
        let url = settings
            .url
            .replacen("mqtts://", "mqtt://", 1)
            .replacen("ssl://", "mqtt://", 1);
        LinkConfig { url, ..settings }
            .check()
            .err()
            .map(|error| error.to_string())
    }

    /// The link's settings, with the password from its file.
    pub fn read(&self) -> Result<LinkConfig, String> {
        let password = secret::read(
            "password",
            self.password.as_ref(),
            self.password_file.as_deref(),
        );
        let password = password.map_err(|problem| format!("link `{}`: {problem}", self.name))?;
        Ok(self.settings(password.unwrap_or_default()))
    }

    fn settings(&self, password: String) -> LinkConfig {
        let topics = self.topics.iter().map(|topic| LinkTopic {
            template: topic.template.clone(),
            format: topic.format,
            qos: topic.qos,
        });
        let key = self.client_key_file.clone();
        LinkConfig {
            version: match self.version {
                MqttVersion::V3 => Version::V3,
                MqttVersion::V5 => Version::V5,
            },
            login: self.user.clone().map(|user| Login { user, password }),
            tls: TlsFiles {
                ca: self.ca_file.clone(),
                client: self.client_certificate_file.clone().zip(key),
            },
            topics: topics.collect(),
            inflight: self.inflight,
            keep_alive: self.keep_alive.to_std(),
            session_expiry: self.session_expiry.to_std(),
            ..LinkConfig::new(&self.name, &self.url, &self.client_id)
        }
    }
}
