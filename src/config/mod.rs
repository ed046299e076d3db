//! `citywatch.toml`: what it may say, the defaults, and where its paths lead.
//! Reading it reports every problem at once; nothing is started here.

mod archive;
mod channels;
mod links;
mod read;
mod secret;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use citywatch_ingest::decode::Format;
use citywatch_model::{Duration, Text, Time};
use serde::Deserialize;

pub use archive::Archive;
pub use channels::{Mail, Sms, unserved};
pub use links::Link;
pub use read::{Problem, read, read_all};

/// The name under which the service speaks to its own broker and API; no token may bear it.
pub const OWN_NAME: &str = "citywatch";

/// The whole configuration, paths made relative to the file that named them.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Who we are.
    pub service: Service,
    /// The HTTP door and API.
    pub http: Http,
    /// Sessions of people.
    pub accounts: Accounts,
    /// The embedded broker.
    pub broker: Broker,
    /// Which topics carry readings.
    pub topics: Topics,
    /// Brokers of others that bring readings.
    pub links: Vec<Link>,
    /// The district: sensors, zones, plans, rules.
    pub bundle: Bundle,
    /// The rule engine.
    pub engine: Engine,
    /// Journal and ledger.
    pub storage: Storage,
    /// How warnings are sent.
    pub delivery: Delivery,
    /// Where every reading is kept once more.
    pub archive: Option<Archive>,
    /// The SMS gateway, if there is one.
    pub sms: Option<Sms>,
    /// The mail server, if there is one.
    pub mail: Option<Mail>,
    /// Who may use the API and the broker.
    pub tokens: Vec<Token>,
}

/// `[service]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Name on warnings.
    pub name: Text,
    /// CAP `sender`: an Internet-style name, no spaces.
    pub sender: String,
    /// IANA time zone in which people read times.
    pub timezone: String,
    /// Address under which others reach the API, for links in warnings and feeds.
    pub public_url: Option<String>,
}

impl Default for Service {
    fn default() -> Service {
        Service {
            name: Text {
                zh: "城市安全风险监测预警中心".to_owned(),
                en: "Citywatch".to_owned(),
            },
            sender: "citywatch@localhost".to_owned(),
            timezone: "Asia/Shanghai".to_owned(),
            public_url: None,
        }
    }
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Proxies that are believed when `X-Forwarded-For` names the client.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Http {
    fn default() -> Http {
        Http {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            trusted_proxies: Vec::new(),
        }
    }
}

/// `[accounts]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// A session ends after so long without use.
    pub session_idle: Duration,
    /// A session ends after so long in any case.
    pub session_longest: Duration,
}

impl Default for Accounts {
    fn default() -> Accounts {
        Accounts {
            session_idle: Duration::from_secs(8 * 3_600),
            session_longest: Duration::from_secs(24 * 3_600),
        }
    }
}

/// `[broker]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Broker {
    /// Whether the embedded broker runs.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether clients may come without a password; absent: only if it listens on a loopback address.
    pub allow_anonymous: Option<bool>,
    /// Largest MQTT packet in bytes.
    pub max_packet: u32,
}

impl Default for Broker {
    fn default() -> Broker {
        Broker {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            allow_anonymous: None,
            max_packet: 1 << 20,
        }
    }
}

impl Broker {
    /// Whether a client without a password gets in.
    pub fn anonymous(&self) -> bool {
        self.allow_anonymous
            .unwrap_or_else(|| self.listen.ip().is_loopback())
    }
}

/// `[topics]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// Templates with `{sensor}` and `{measurement}`, the first match wins.
    pub readings: Vec<ReadingTopic>,
}

/// A topic template of the embedded broker, with its format unless that is Citywatch JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a topic template, or { template = \"…\", format = \"citywatch\" or \"senml\" }"
)]
pub enum ReadingTopic {
    /// Citywatch JSON.
    Plain(String),
    /// Any format.
    Of {
        /// The template.
        template: String,
        /// Format of the payloads.
        format: Format,
    },
}

impl ReadingTopic {
    /// Template and format.
    pub fn parts(&self) -> (&str, Format) {
        match self {
            ReadingTopic::Plain(template) => (template, Format::default()),
            ReadingTopic::Of { template, format } => (template, *format),
        }
    }
}

impl Default for Topics {
    fn default() -> Topics {
        let readings = [
            "citywatch/readings",
            "citywatch/readings/{sensor}",
            "citywatch/readings/{sensor}/{measurement}",
        ];
        Topics {
            readings: readings
                .map(|template| ReadingTopic::Plain(template.to_owned()))
                .to_vec(),
        }
    }
}

/// `[bundle]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bundle {
    /// Registry of sensors, CSV or YAML.
    pub sensors: Option<PathBuf>,
    /// Zones, YAML.
    pub zones: Option<PathBuf>,
    /// Departments, contacts and plans, YAML.
    pub plans: Option<PathBuf>,
    /// Rule files, or folders of them.
    pub rules: Vec<PathBuf>,
}

/// `[engine]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Engine {
    /// Threads that evaluate rules.
    pub workers: usize,
    /// How often the engine's state is kept for the next start; it is also kept when the service stops.
    pub save_every: Duration,
    /// How long what was accepted may wait for the alert book before `/readyz` and the log complain.
    pub overdue_after: Duration,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine {
            workers: 1,
            save_every: Duration::from_secs(300),
            overdue_after: Duration::from_secs(30),
        }
    }
}

/// `[storage]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Folder of journal, history and ledger. One process owns it.
    pub folder: PathBuf,
    /// Below this many free bytes nothing more is accepted.
    pub free_space_mark: u64,
}

impl Default for Storage {
    fn default() -> Storage {
        Storage {
            folder: PathBuf::from("data"),
            free_space_mark: 256 << 20,
        }
    }
}

/// `[delivery]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Delivery {
    /// Attempts before a delivery is given up; absent: it is tried until its warning expires.
    pub max_attempts: Option<u32>,
    /// Longest wait before the second attempt; it doubles from there.
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    pub longest_wait: Duration,
    /// Broker for CAP messages, `mqtt://host:port`; absent: the embedded broker.
    pub cap_broker: Option<String>,
}

impl Default for Delivery {
    fn default() -> Delivery {
        Delivery {
            max_attempts: None,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(600),
            cap_broker: None,
        }
    }
}

/// What a token's bearer may do; each role includes those before it, but for `device`, which stands alone.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Deserialize,
    serde::Serialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May only bring readings.
    Device,
    /// May read everything.
    Viewer,
    /// May also handle alerts and issue warnings.
    Operator,
    /// May do everything.
    Admin,
}

/// One entry of `[[tokens]]`: either the token or its SHA-256.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Who bears it; appears in the audit trail, and is the MQTT user name.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The token itself, at least 16 characters.
    pub token: Option<String>,
    /// Or its SHA-256 in hexadecimal.
    pub token_sha256: Option<String>,
    /// Only these hazards; empty: all.
    #[serde(default)]
    pub hazards: Vec<String>,
    /// Only these zones and what nests in them; empty: all.
    #[serde(default)]
    pub zones: Vec<String>,
    /// From when on it is refused.
    #[serde(default)]
    pub expires: Option<Time>,
}

impl Config {
    /// Makes relative paths start at `base`.
    fn rebase(&mut self, base: &Path) {
        let bundle = &mut self.bundle;
        let archive = self.archive.as_mut();
        let token_file = archive.and_then(|archive| archive.token_file.as_mut());
        let single = [&mut bundle.sensors, &mut bundle.zones, &mut bundle.plans];
        let paths = single.into_iter().flatten().chain(bundle.rules.iter_mut());
        let paths = paths.chain(self.sms.iter_mut().flat_map(Sms::paths));
        let paths = paths.chain(self.mail.iter_mut().flat_map(Mail::paths));
        for path in paths.chain([&mut self.storage.folder]).chain(token_file) {
            *path = base.join(&path);
        }
        for link in &mut self.links {
            link.rebase(base);
        }
    }
}
