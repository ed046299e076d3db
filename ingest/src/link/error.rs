//! Why a broker link cannot be started, and why a connection of one ended.

use std::path::PathBuf;

use crate::client::ClientError;
use crate::topic::TemplateError;

/// Settings of a link that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The URL.
    #[error("link `{link}`: {error}")]
    Url {
        /// The link's name.
        link: String,
        /// What is wrong.
        error: ClientError,
    },
    /// A topic template.
    #[error("link `{link}`: {error}")]
    Topic {
        /// The link's name.
        link: String,
        /// What is wrong.
        error: TemplateError,
    },
    /// A setting that makes no sense.
    #[error("link `{link}`: {problem}")]
    Setting {
        /// The link's name.
        link: String,
        /// What is wrong and what to write.
        problem: &'static str,
    },
    /// A file that TLS needs.
    #[error("link `{link}`: {what} {}: {problem}", path.display())]
    File {
        /// The link's name.
        link: String,
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// TLS cannot work as it is set up.
    #[error("link `{link}`: {problem}")]
    Tls {
        /// The link's name.
        link: String,
        /// What is wrong.
        problem: String,
    },
    /// Other links count in the same registry.
    #[error("broker links cannot count: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The broker answered and said no.
    Refused(String),
    /// Certificates do not fit.
    Certificate(String),
    /// Not there, or not there any more.
    Lost(String),
    /// The journal did not take a message.
    Journal(String),
    /// We left.
    Stopped,
}

impl Failure {
    /// Whether asking again soon would do harm.
    pub(super) fn needs_a_person(&self) -> bool {
        matches!(self, Failure::Refused(_) | Failure::Certificate(_))
    }

    /// In words, with what to do.
    pub(super) fn text(&self, broker: &str, client_id: &str) -> String {
        match self {
            Failure::Refused(reason) => format!(
                "broker {broker} refuses `{client_id}`: {reason}: check user, password and client id"
            ),
            Failure::Certificate(reason) => format!("TLS with broker {broker} fails: {reason}"),
            Failure::Lost(reason) => format!("no connection to broker {broker}: {reason}"),
            Failure::Journal(reason) => {
                format!("messages of broker {broker} are left there: {reason}")
            }
            Failure::Stopped => format!("the link to broker {broker} is stopped"),
        }
    }
}
