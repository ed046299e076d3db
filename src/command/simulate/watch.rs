//! What became of the alarms: the service's own events tell when an alert row was committed, and a
//! receiver tells when its webhook came. Both on the wall clock of this machine.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;

use crate::http_client::{Client, Lines};
use crate::latency::{Latencies, unix_time};

/// Alarms on their way, and how long each part of the way took.
#[derive(Default)]
pub struct Alarms {
    state: Mutex<Ways>,
}

#[derive(Default)]
struct Ways {
    published: u64,
    /// when the alarm that stands at a sensor was published, until seen as row and as webhook
    rows: HashMap<String, Duration>,
    hooks: HashMap<String, Duration>,
    row_latency: Latencies,
    hook_latency: Latencies,
}

impl Alarms {
    fn state(&self) -> std::sync::MutexGuard<'_, Ways> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reading that raises an alarm leaves now.
    pub fn published(&self, sensor: u32, now: Duration) {
        let mut state = self.state();
        let id = format!("sim-{sensor:05}");
        state.published += 1;
        state.rows.insert(id.clone(), now);
        state.hooks.insert(id, now);
    }

    fn committed(&self, sensor: &str, at: Duration) {
        let state = &mut *self.state();
        if let Some(published) = state.rows.remove(sensor) {
            state.row_latency.add(at.saturating_sub(published));
        }
    }

    fn received(&self, sensor: &str, at: Duration) {
        let state = &mut *self.state();
        if let Some(published) = state.hooks.remove(sensor) {
            state.hook_latency.add(at.saturating_sub(published));
        }
    }

    /// Waits until nothing is on its way, at most `limit`.
    pub async fn wait(&self, rows: bool, hooks: bool, limit: Duration) {
        let done = || {
            let state = self.state();
            (!rows || state.rows.is_empty()) && (!hooks || state.hooks.is_empty())
        };
        let deadline = tokio::time::Instant::now() + limit;
        while !done() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Prints latencies; whether an alarm is missing.
    pub fn print(&self, rows: bool, hooks: bool) -> bool {
        let state = self.state();
        println!("alarms published: {}", state.published);
        let mut missing = false;
        for (shown, what, latency) in [
            (rows, "publish to alert row", &state.row_latency),
            (hooks, "publish to webhook received", &state.hook_latency),
        ] {
            if shown {
                println!("{what}: {latency}");
                missing |= latency.count() != state.published;
            }
        }
        missing
    }
}

/// The API of the service under test.
pub struct Service {
    client: Client,
}

impl Service {
    /// Connects and follows the service's events from now on.
    pub async fn connect(
        address: &str,
        token: Option<&str>,
        alarms: Arc<Alarms>,
    ) -> Result<Service, String> {
        let client = Client::new(address, token)?;
        let lines = client.lines("/api/v1/events").await?;
        tokio::spawn(follow(lines, alarms));
        Ok(Service { client })
    }

    /// Readings that the history holds.
    pub async fn readings(&self) -> Result<u64, String> {
        let status = self.client.get("/api/v1/status").await?;
        status["history"]["readings"]
            .as_u64()
            .ok_or_else(|| format!("the service's status has no history.readings: {status}"))
    }
}

async fn follow(mut lines: Lines, alarms: Arc<Alarms>) {
    while let Some(line) = lines.next().await {
        let Some(json) = line.strip_prefix("data:") else {
            continue;
        };
        let Ok(event) = serde_json::from_str::<Value>(json) else {
            continue;
        };
        let worse = matches!(
            event["kind"].as_str(),
            Some("alert.raised" | "alert.changed" | "alert.reopened")
        );
        if let (true, Some(sensor), Some(micros)) = (
            worse,
            event["data"]["subject"].as_str(),
            event["committed_us"].as_u64(),
        ) {
            alarms.committed(sensor, Duration::from_micros(micros));
        }
    }
    eprintln!("citywatch simulate: the service ended its events");
}

/// Starts a receiver of webhooks.
pub async fn receive_webhooks(address: SocketAddr, alarms: Arc<Alarms>) -> Result<(), String> {
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|error| {
        format!("cannot receive webhooks at {address}: {error}; choose another --webhook-listen")
    })?;
    let router = Router::new().fallback(post(webhook)).with_state(alarms);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            eprintln!("citywatch simulate: the webhook receiver ended: {error}");
        }
    });
    Ok(())
}

async fn webhook(State(alarms): State<Arc<Alarms>>, Json(body): Json<Value>) {
    let now = unix_time();
    let warns = matches!(
        body["type"].as_str(),
        Some("warning.issued" | "warning.updated")
    );
    if let (true, Some(sensor)) = (warns, body["data"]["sensor"].as_str()) {
        alarms.received(sensor, now);
    }
}
