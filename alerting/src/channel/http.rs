//! What channels over HTTP share: one way to set a client up, to read the beginning of an answer, and to say why there
//! was none. Redirects are not followed, no proxy is taken from the environment, and no address appears in a message:
//! its path or query may hold a secret.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, Response, redirect};

use super::tls::{self, TrustError};

/// More of an answer is not read.
const MAX_ANSWER_BYTES: usize = 4_096;
/// More of an answer is not shown.
const EXCERPT_CHARS: usize = 200;
/// Shorter than the keep-alive of common servers, so that few requests meet a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(30);

/// Why a channel over HTTP cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The authorities that should be trusted cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The HTTP client refuses its settings.
    #[error("cannot set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client that gives a connection up after `connect`; `ca_file` adds authorities to those of the system.
pub(super) fn client(connect: Duration, ca_file: Option<&Path>) -> Result<Client, HttpError> {
    Ok(Client::builder()
        .tls_backend_preconfigured(tls::config(ca_file)?)
        .user_agent(concat!("citywatch/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .tcp_nodelay(true)
        .connect_timeout(connect)
        .pool_idle_timeout(IDLE)
        .build()?)
}

/// The beginning of the answer's text on one line, as far as it comes within `limit`: the status alone decides.
/// Reading it to its end lets the connection be used again.
pub(super) async fn excerpt(mut response: Response, limit: Duration) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER_BYTES {
                break;
            }
        }
    };
    if tokio::time::timeout(limit, reading).await.is_err() {
        tracing::debug!("the text of an HTTP answer did not arrive in time");
    }
    crate::cap::one_line(&String::from_utf8_lossy(&bytes), EXCERPT_CHARS)
}

/// The innermost reasons, without the library's own words around them and without the address.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let reasons: Vec<String> = std::iter::successors(error.source(), |error| (*error).source())
        .map(ToString::to_string)
        .collect();
    match reasons.len() {
        0 => "the request is not possible".to_owned(),
        _ => reasons.join(": "),
    }
}
