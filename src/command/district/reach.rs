//! How these commands reach what is in force: through the running service, or through its ledger while none runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use citywatch_alerting::ledger::{Actor, Call};
use citywatch_alerting::{Ledger, Settings};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::folder::CONFIG;
use crate::bundle::{BundleFile, Mistake, NamedText};
use crate::cli::Target;
use crate::config::{self, Config, Role};
use crate::http_client::Client;
use crate::in_force::{self, Difference, Present, Wish, told};
use crate::lock::{self, FolderLock, LockError};

/// How long whoever listens at the address of the configuration is waited for, until it says whether it is a Citywatch.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The way to what is in force.
pub enum Reach {
    /// A service runs.
    Service(Client),
    /// None runs; nobody else uses the data folder meanwhile.
    Ledger {
        ledger: Ledger,
        path: PathBuf,
        _lock: FolderLock,
    },
}

/// Files in force.
pub struct Found {
    pub version: i64,
    pub files: Vec<BundleFile>,
}

/// A folder against what is in force.
pub struct Compared {
    /// The version in force; 0 if there is none.
    pub version: i64,
    pub difference: Difference,
    /// Tests in the rule files that came out as written.
    pub tests_passed: u64,
}

impl Reach {
    /// Finds the service that `target` names.
    pub async fn open(target: &Target) -> Result<Reach, String> {
        if let Some(url) = &target.url {
            return Client::new(url, target.token.as_deref()).map(Reach::Service);
        }
        let beside = target.folder.join(CONFIG);
        let path = match &target.config {
            Some(path) => path.clone(),
            None if beside.exists() => beside,
            None => CONFIG.into(),
        };
        let config = config::read(&path).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })?;
        let url = format!("http://{}", reachable(config.http.listen));
        let service = || Client::new(&url, Some(&token(&config, target, &url)?));
        // of a copied folder the service that answers owns another data folder, and that is the one in force
        if answers(&url).await {
            return service().map(Reach::Service);
        }
        match lock::take(&config.storage.folder) {
            Ok(lock) => open_ledger(&config.storage.folder, lock).await,
            Err(LockError::Taken(_)) => service().map(Reach::Service),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The ledger that is written to because no service runs.
    pub fn ledger(&self) -> Option<&Path> {
        match self {
            Reach::Service(_) => None,
            Reach::Ledger { path, .. } => Some(path),
        }
    }

    /// What `files` would change.
    pub async fn difference(&self, files: Vec<BundleFile>) -> Result<Compared, String> {
        match self {
            Reach::Service(client) => {
                let body = json!({ "files": named(files), "dry_run": true });
                let answer = ask(client, Method::POST, Some(&body)).await?;
                Ok(Compared {
                    version: version(&answer)?,
                    tests_passed: answer["tests_passed"].as_u64().unwrap_or_default(),
                    difference: serde_json::from_value(answer["difference"].clone()).map_err(
                        |error| {
                            format!(
                                "the service answers otherwise than this program expects: {error}"
                            )
                        },
                    )?,
                })
            }
            Reach::Ledger { ledger, .. } => {
                let present = Present::load(ledger).await?;
                let modes = present.as_ref().map(|present| present.wish().modes);
                let wish = Wish {
                    files,
                    modes: modes.unwrap_or_default(),
                };
                let proposal = in_force::propose(present.as_ref(), wish);
                let proposal = proposal.map_err(|mistakes| told(&mistakes))?;
                Ok(Compared {
                    version: present.map_or(0, |present| present.version.id),
                    difference: proposal.difference,
                    tests_passed: proposal.tested.passed as u64,
                })
            }
        }
    }

    /// Puts `files` in force if what is in force is still what they were compared with; answers the version.
    pub async fn apply(
        &self,
        files: Vec<BundleFile>,
        reason: &str,
        compared: &Compared,
    ) -> Result<i64, String> {
        match self {
            Reach::Service(client) => {
                let body = json!({
                    "files": named(files), "reason": reason, "version": compared.version,
                });
                version(&ask(client, Method::POST, Some(&body)).await?)
            }
            Reach::Ledger { ledger, .. } => {
                let present = Present::load(ledger).await?;
                let actor = Actor {
                    name: std::env::var("USER").unwrap_or_else(|_| "command line".to_owned()),
                    role: "admin".to_owned(),
                    from: "command line".to_owned(),
                };
                let call = Call {
                    actor,
                    ..Call::default()
                };
                let applied = in_force::apply(ledger, present, files, (reason, call)).await;
                applied.map(|(_, present)| present.version.id)
            }
        }
    }

    /// The files in force.
    pub async fn files(&self) -> Result<Found, String> {
        match self {
            Reach::Service(client) => {
                let answer = ask(client, Method::GET, None).await?;
                let files: Vec<NamedText> = serde_json::from_value(answer["files"].clone())
                    .map_err(|error| {
                        format!("the service answers otherwise than this program expects: {error}")
                    })?;
                // names that lead out of the folder are refused here
                let files = files
                    .into_iter()
                    .map(|file| BundleFile::named(&file.file, file.text))
                    .collect::<Result<_, _>>();
                Ok(Found {
                    version: version(&answer)?,
                    files: files.map_err(|mistake| mistake.to_string())?,
                })
            }
            Reach::Ledger { ledger, .. } => {
                let present = Present::load(ledger).await?;
                let present = present.ok_or("nothing was ever put in force here")?;
                Ok(Found {
                    version: present.version.id,
                    files: present.bundle.files,
                })
            }
        }
    }

    /// Closes the ledger.
    pub async fn close(&self) -> Result<(), String> {
        match self {
            Reach::Service(_) => Ok(()),
            Reach::Ledger { ledger, .. } => {
                ledger.shutdown().await.map_err(|error| error.to_string())
            }
        }
    }
}

async fn open_ledger(folder: &Path, lock: FolderLock) -> Result<Reach, String> {
    let metrics = prometheus::Registry::new();
    let path = folder.join("ledger.sqlite");
    let ledger = Ledger::open(path.clone(), Arc::default(), Settings::default(), &metrics).await;
    Ok(Reach::Ledger {
        ledger: ledger.map_err(|error| error.to_string())?,
        path,
        _lock: lock,
    })
}

/// Whether a Citywatch listens there: only one of them says what is wrong with a request in these words.
async fn answers(url: &str) -> bool {
    let Ok(client) = Client::new(url, None) else {
        return false;
    };
    let asked = client.ask(Method::GET, "/api", None);
    let Ok(Ok((_, answer))) = tokio::time::timeout(ANSWER_LIMIT, asked).await else {
        return false;
    };
    let kind = answer["type"].as_str();
    kind.is_some_and(|kind| kind.starts_with("urn:citywatch:"))
}

/// The token that the command line names, else one that the configuration or the data folder holds.
fn token(config: &Config, target: &Target, url: &str) -> Result<String, String> {
    let of_config = || {
        let mut admins = config
            .tokens
            .iter()
            .filter(|token| token.role == Role::Admin);
        admins.find_map(|token| token.token.clone())
    };
    if let Some(token) = target.token.clone().or_else(of_config) {
        return Ok(token);
    }
    let path = config.storage.folder.join("admin.token");
    let text = std::fs::read_to_string(&path).map_err(|_| {
        format!(
            "a service answers at {url}, and no token of an admin stands in the configuration, nor can one be read in {}: say --token with one of it, or --url and --token of the service that is meant; nothing was changed",
            path.display()
        )
    })?;
    Ok(text.trim().to_owned())
}

/// Where a service on this machine is found.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn named(files: Vec<BundleFile>) -> Vec<NamedText> {
    let named = |file: BundleFile| NamedText {
        file: file.name,
        text: file.text,
    };
    files.into_iter().map(named).collect()
}

fn version(answer: &Value) -> Result<i64, String> {
    let version = answer["version"]["id"].as_i64();
    version.ok_or_else(|| "the service answers without a version: it is another program".to_owned())
}

async fn ask(client: &Client, method: Method, body: Option<&Value>) -> Result<Value, String> {
    let (status, answer) = client.ask(method, "/api/v1/bundle", body).await?;
    if status.is_success() {
        return Ok(answer);
    }
    let mistakes: Vec<Mistake> =
        serde_json::from_value(answer["mistakes"].clone()).unwrap_or_default();
    let detail = answer["detail"].as_str().unwrap_or("no reason was given");
    Err(match status {
        StatusCode::UNPROCESSABLE_ENTITY if !mistakes.is_empty() => {
            format!("{detail}\n\n{}", told(&mistakes))
        }
        status => format!("the service answers {status}: {detail}"),
    })
}
