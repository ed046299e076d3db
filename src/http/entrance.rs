//! The way into the HTTP service: answers from the first moment, and lets requests through once there is
//! something to let them to. While the service starts it says what it waits for, and does nothing else.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use citywatch_model::Position;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::problem::Problem;

/// Seconds after which a caller who came too early may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

/// What a start waits for.
#[derive(Debug, Clone)]
pub enum Waiting {
    /// Journal, history and ledger are being opened.
    Storage,
    /// The engine is given what the journal holds.
    Journal {
        /// Position up to which it has it.
        read: watch::Receiver<Position>,
        /// Position of the newest record.
        last: Position,
    },
    /// The rest is being started.
    Doors,
}

impl Waiting {
    fn text(&self) -> String {
        match self {
            Waiting::Storage => "starting: journal and ledger are being opened".to_owned(),
            Waiting::Journal { read, last } => {
                let read = *read.borrow();
                format!("starting: {read} of {last} journal positions are read")
            }
            Waiting::Doors => "starting: the doors are being opened".to_owned(),
        }
    }
}

/// A handle; clones share one entrance.
#[derive(Clone)]
pub struct Entrance {
    inside: Arc<OnceLock<Router>>,
    waiting: watch::Sender<Waiting>,
}

impl Entrance {
    /// Answers at `listener` until `stop`, then lets running requests end.
    pub fn serve(listener: TcpListener, stop: watch::Receiver<bool>) -> (Entrance, JoinHandle<()>) {
        let entrance = Entrance {
            inside: Arc::new(OnceLock::new()),
            waiting: watch::Sender::new(Waiting::Storage),
        };
        let router = Router::new().fallback(enter).with_state(entrance.clone());
        (entrance, tokio::spawn(serve(listener, router, stop)))
    }

    /// Says what the start waits for now.
    pub fn wait_for(&self, waiting: Waiting) {
        self.waiting.send_replace(waiting);
    }

    /// Lets everybody in to `router` from now on.
    pub fn open(&self, router: Router) {
        if self.inside.set(router).is_err() {
            tracing::error!("the HTTP service was started twice; the first one stays");
        }
    }

    fn not_yet(&self, path: &str) -> Response {
        if path == "/healthz" {
            return super::healthy().into_response();
        }
        let waiting = self.waiting.borrow().text();
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", waiting);
        let mut response = problem.into_response();
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, RETRY_AFTER);
        response
    }
}

async fn enter(State(entrance): State<Entrance>, request: Request) -> Response {
    match entrance.inside.get() {
        Some(router) => match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => entrance.not_yet(request.uri().path()),
    }
}

async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let stopped = async move {
        // an error means that the service is gone, which is the same to us
        drop(stop.wait_for(|stop| *stop).await);
    };
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
    {
        tracing::error!(%error, "the HTTP server has ended; restart the service");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The whole answer as text.
    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn who_comes_early_is_told_how_far_the_start_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stopping, stop) = watch::channel(false);
        let (entrance, server) = Entrance::serve(listener, stop);
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/readyz").await.contains("being opened"));
        let (progress, read) = watch::channel(0);
        entrance.wait_for(Waiting::Journal { read, last: 700 });
        progress.send_replace(300);
        for path in ["/readyz", "/api/v1/alerts", "/metrics"] {
            let answer = ask(address, path).await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.contains("retry-after: 2"), "{answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains("300 of 700 journal positions"), "{answer}");
        }
        entrance.open(Router::new().route("/readyz", get(|| async { "inside" })));
        assert!(ask(address, "/readyz").await.ends_with("inside"));
        stopping.send_replace(true);
        server.await.unwrap();
    }
}
