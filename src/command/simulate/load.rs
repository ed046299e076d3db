//! The publishers: one message after the other in even steps, each over the next connection. None waits for the others,
//! nor for an answer until its connection has a hundred to come. A message that is late is sent at once; the schedule
//! does not stretch.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use citywatch_ingest::client::{ClientOptions, MqttClient};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::watch::Alarms;
use crate::cli::{PayloadFormat, Simulate};
use crate::latency::{Latencies, unix_time};

/// What is to be published.
pub struct Load {
    broker: String,
    topic: String,
    connections: u32,
    sensors: u32,
    batch: u32,
    format: PayloadFormat,
    /// Over all connections.
    messages_a_second: f64,
    length: Duration,
    alarm_every: u64,
    alarms: Arc<Alarms>,
    next_reading: AtomicU64,
}

/// What came of it.
#[derive(Default)]
pub struct LoadResult {
    pub messages: u64,
    pub readings: u64,
    pub failed: u64,
    pub acknowledged: Latencies,
}

type Outcome = Result<Duration, String>;

impl Load {
    pub fn new(options: &Simulate, alarms: Arc<Alarms>) -> Result<Load, String> {
        let messages_a_second = options.rate / f64::from(options.batch);
        let alarm_every = if options.alarms > 0.0 {
            (options.rate / options.alarms).round() as u64
        } else {
            0
        };
        if options.alarms > 0.0 && alarm_every < 2 {
            return Err("--alarms must be less than half of --rate".to_owned());
        }
        Ok(Load {
            broker: options.broker.clone(),
            topic: options.topic.clone(),
            connections: options.connections,
            sensors: options.sensors,
            batch: options.batch,
            format: options.format,
            messages_a_second,
            length: Duration::from_secs_f64(options.seconds),
            alarm_every,
            alarms,
            next_reading: AtomicU64::new(0),
        })
    }

    pub async fn run(self) -> Result<LoadResult, String> {
        let mut clients = Vec::new();
        for index in 0..self.connections {
            let id = format!("citywatch-simulate-{}-{index}", std::process::id());
            let client = MqttClient::connect(&self.broker, &id, ClientOptions::default())
                .map_err(|error| error.to_string())?;
            client
                .connected()
                .await
                .map_err(|error| error.to_string())?;
            clients.push(client);
        }
        let (outcomes, inbox) = mpsc::unbounded_channel();
        let load = Arc::new(self);
        let mut publishers = JoinSet::new();
        let mut turns = Vec::new();
        for client in clients {
            let (turn, given) = mpsc::unbounded_channel();
            publishers.spawn(publish(load.clone(), client, given, outcomes.clone()));
            turns.push(turn);
        }
        drop(outcomes);
        let (messages_a_second, length) = (load.messages_a_second, load.length);
        let pace = std::thread::Builder::new()
            .name("pace".to_owned())
            .spawn(move || pace(messages_a_second, length, &turns))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let result = load.gather(inbox).await;
        publishers.join_all().await;
        match pace.join() {
            Ok(()) => Ok(result),
            Err(_) => Err("the thread that keeps the pace has failed".to_owned()),
        }
    }

    async fn gather(&self, mut inbox: mpsc::UnboundedReceiver<Outcome>) -> LoadResult {
        let bar = ProgressBar::new(self.length.as_millis() as u64);
        if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {wide_bar} {msg}") {
            bar.set_style(style);
        }
        let start = Instant::now();
        let mut result = LoadResult::default();
        while let Some(outcome) = inbox.recv().await {
            result.messages += 1;
            match outcome {
                Ok(latency) => {
                    result.readings += u64::from(self.batch);
                    result.acknowledged.add(latency);
                }
                Err(error) => {
                    if result.failed == 0 {
                        bar.suspend(|| eprintln!("citywatch simulate: {error}"));
                    }
                    result.failed += 1;
                }
            }
            if result.messages % 1024 == 0 {
                bar.set_position(start.elapsed().as_millis() as u64);
                bar.set_message(format!("{} readings", result.readings));
            }
        }
        bar.finish_and_clear();
        result
    }

    /// The next message, and the sensors in it that raise an alarm.
    fn message(&self) -> (String, Vec<u32>) {
        let mut payload = String::with_capacity(80 * self.batch as usize);
        let mut raised = Vec::new();
        for index in 0..self.batch {
            payload.push(if index > 0 { ',' } else { '[' });
            let number = self.next_reading.fetch_add(1, Ordering::Relaxed);
            let sensor = (number % u64::from(self.sensors)) as u32;
            let alarm = self.alarm_every > 0 && {
                // wanders through the sensors, so that one has spoken normally before its next alarm
                let wander = (number / self.alarm_every).wrapping_mul(37) % self.alarm_every;
                number % self.alarm_every == wander
            };
            let value = if alarm {
                100.0
            } else {
                (number.wrapping_mul(7919) % 900) as f64 / 10.0
            };
            let millis = unix_time().as_millis();
            let written = match self.format {
                PayloadFormat::Citywatch => write!(
                    payload,
                    "{{\"sensor\":\"sim-{sensor:05}\",\"ts\":{millis},\"measurement\":\"load\",\"value\":{value}}}"
                ),
                PayloadFormat::Senml => write!(
                    payload,
                    "{{\"bn\":\"sim-{sensor:05}:\",\"n\":\"load\",\"t\":{}.{:03},\"v\":{value}}}",
                    millis / 1_000,
                    millis % 1_000
                ),
            };
            debug_assert!(written.is_ok());
            if alarm {
                raised.push(sensor);
            }
        }
        if self.batch == 1 && self.format == PayloadFormat::Citywatch {
            (payload.split_off(1), raised)
        } else {
            (payload + "]", raised)
        }
    }
}

/// Gives each connection its turns. On a thread of its own, because the runtime's timers know whole milliseconds only:
/// all messages of a millisecond would be sent in a heap.
fn pace(messages_a_second: f64, length: Duration, turns: &[mpsc::UnboundedSender<()>]) {
    let start = Instant::now();
    for (number, turn) in (0_u64..).zip(turns.iter().cycle()) {
        let due = Duration::from_secs_f64(number as f64 / messages_a_second);
        if due >= length {
            return;
        }
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        if turn.send(()).is_err() {
            return;
        }
    }
}

async fn publish(
    load: Arc<Load>,
    client: MqttClient,
    mut turns: mpsc::UnboundedReceiver<()>,
    outcomes: mpsc::UnboundedSender<Outcome>,
) {
    let mut waiting = JoinSet::new();
    while turns.recv().await.is_some() {
        let (payload, raised) = load.message();
        let sent = Instant::now();
        for sensor in raised {
            load.alarms.published(sensor, unix_time());
        }
        let receipt = client.send(&load.topic, payload, false).await;
        let outcomes = outcomes.clone();
        waiting.spawn(async move {
            let acknowledged = async { receipt?.await };
            let outcome = acknowledged
                .await
                .map(|()| sent.elapsed())
                .map_err(|error| error.to_string());
            // the receiver outlives every publisher
            drop(outcomes.send(outcome));
        });
        while waiting.try_join_next().is_some() {}
    }
    waiting.join_all().await;
    client.close().await;
}
