//! Publishes the recorded observations through the broker, moment by moment. The service's clock is driven
//! from here: it stands at a moment until the broker has acknowledged all that was measured then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use citywatch_ingest::Clock;
use citywatch_ingest::client::MqttClient;
use citywatch_model::{Observation, Time};
use futures::future::try_join_all;
use serde_json::{Map, Value, json};

use super::show::Show;
use crate::latency::unix_time;

/// Topic of the demo's readings.
const TOPIC: &str = "citywatch/readings";

/// A replay under way.
pub struct Replay {
    observations: Vec<Observation>,
    clock: Clock,
    speed: f64,
    client: MqttClient,
    readings: AtomicU64,
    /// when each moment was published, in order, as time since 1970
    moments: Mutex<Vec<(Time, Duration)>>,
}

impl Replay {
    /// `observations` in the order of time.
    pub fn new(
        observations: Vec<Observation>,
        clock: Clock,
        speed: f64,
        client: MqttClient,
    ) -> Replay {
        Replay {
            observations,
            clock,
            speed,
            client,
            readings: AtomicU64::new(0),
            moments: Mutex::default(),
        }
    }

    /// Publishes everything, at the pace of the speed or slower.
    pub async fn run(&self, show: &Show) -> Result<(), String> {
        let Some(first) = self
            .observations
            .first()
            .map(|observation| observation.time)
        else {
            return Err("there is nothing to replay".to_owned());
        };
        let started = tokio::time::Instant::now();
        for moment in self.observations.chunk_by(|a, b| a.time == b.time) {
            let time = moment[0].time;
            tokio::time::sleep_until(
                started + Duration::from_secs_f64(time.since(first).seconds() / self.speed),
            )
            .await;
            self.clock.set(time);
            self.lock().push((time, unix_time()));
            let mut receipts = Vec::with_capacity(moment.len());
            for observation in moment {
                let receipt = self.client.send(TOPIC, payload(observation), false).await;
                receipts.push(receipt.map_err(|error| error.to_string())?);
            }
            try_join_all(receipts)
                .await
                .map_err(|error| error.to_string())?;
            let readings: usize = moment
                .iter()
                .map(|observation| observation.values.len())
                .sum();
            self.readings.fetch_add(readings as u64, Ordering::Relaxed);
            show.progress(time, first, self.readings());
        }
        Ok(())
    }

    /// Readings acknowledged so far.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// When the first moment at or after `time` was published: what made a transition at `time` known.
    pub fn published_at(&self, time: Time) -> Option<Duration> {
        let moments = self.lock();
        let index = moments.partition_point(|(moment, _)| *moment < time);
        moments.get(index).map(|(_, published)| *published)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Time, Duration)>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.client.close().await;
    }
}

/// Citywatch JSON of one observation.
fn payload(observation: &Observation) -> Vec<u8> {
    let mut values = Map::new();
    let mut units = Map::new();
    for value in &observation.values {
        values.insert(value.measurement.to_string(), json!(value.value));
        if !value.unit.is_empty() {
            units.insert(
                value.measurement.to_string(),
                Value::from(value.unit.as_str()),
            );
        }
    }
    let payload = json!({
        "sensor": observation.sensor.as_str(),
        "ts": observation.time.millis(),
        "values": values,
        "units": units,
    });
    payload.to_string().into_bytes()
}
