//! Where the demo's warnings arrive: a real HTTP endpoint for every department, and a real subscriber to
//! the CAP topics. They print what they get and count it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use citywatch_ingest::client::MqttClient;
use serde_json::Value;

/// What arrived, by department and by MQTT topic.
#[derive(Debug, Clone, Default)]
pub struct Inbox {
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Inbox {
    /// Opens the departments' endpoint; answers its address.
    pub async fn open(&self) -> std::io::Result<SocketAddr> {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .route("/{department}", post(receive))
            .with_state(self.clone());
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the demo's inbox ended; warnings cannot arrive");
            }
        });
        Ok(address)
    }

    /// Counts CAP messages that `client` receives.
    pub async fn follow(&self, client: &MqttClient) -> Result<(), String> {
        let mut messages = client
            .subscribe("citywatch/cap/#")
            .await
            .map_err(|error| error.to_string())?;
        let inbox = self.clone();
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                inbox.count(&format!("mqtt {}", message.topic));
            }
        });
        Ok(())
    }

    fn count(&self, whom: &str) {
        *self
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(whom.to_owned())
            .or_default() += 1;
    }

    /// How many messages arrived where.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn receive(
    State(inbox): State<Inbox>,
    Path(department): Path<String>,
    Json(body): Json<Value>,
) -> StatusCode {
    inbox.count(&department);
    let headline = body["data"]["headline"]["zh"]
        .as_str()
        .unwrap_or("(no headline)");
    println!("  收到 received by {department}: {headline}");
    StatusCode::NO_CONTENT
}
