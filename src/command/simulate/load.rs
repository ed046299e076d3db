//! The publishers: one message after the other in even steps, those of a sensor over one connection. None waits for the
//! others, nor for an answer until its connection has a hundred to come. A message that is late is sent at once, and how
//! late is told; the schedule does not stretch.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use citywatch_ingest::client::{ClientOptions, MqttClient};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::watch::Alarms;
use crate::cli::{PayloadFormat, Simulate};
use crate::latency::{Latencies, unix_time};

/// A message that has no acknowledgement by then is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(30);

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
}

/// What came of it.
#[derive(Default)]
pub struct LoadResult {
    pub messages: u64,
    pub readings: u64,
    pub failed: u64,
    /// From publishing to the acknowledgement.
    pub acknowledged: Latencies,
    /// From when a message was due to when it was published.
    pub late: Latencies,
}

/// A message that is due.
struct Turn {
    number: u64,
    due: Instant,
    /// The same moment since 1970.
    time: Duration,
}

struct Outcome {
    late: Duration,
    acknowledged: Result<Duration, String>,
}

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
        let paced = load.clone();
        let pace = std::thread::Builder::new()
            .name("pace".to_owned())
            .spawn(move || paced.pace(&turns))
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
            result.late.add(outcome.late);
            match outcome.acknowledged {
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

    /// Gives each connection its turns. On a thread of its own, because the runtime's timers know whole milliseconds
    /// only: all messages of a millisecond would be sent in a heap.
    fn pace(&self, turns: &[mpsc::UnboundedSender<Turn>]) {
        let (start, began) = (Instant::now(), unix_time());
        for number in 0_u64.. {
            let after = Duration::from_secs_f64(number as f64 / self.messages_a_second);
            if after >= self.length {
                return;
            }
            std::thread::sleep(after.saturating_sub(start.elapsed()));
            let (due, time) = (start + after, began + after);
            // what one sensor says stays in order
            let sensor = number * u64::from(self.batch) % u64::from(self.sensors);
            let turn = &turns[(sensor / u64::from(self.batch)) as usize % turns.len()];
            if turn.send(Turn { number, due, time }).is_err() {
                return;
            }
        }
    }

    /// The message whose turn it is, and the sensors in it that raise an alarm. Readings carry the time at which they
    /// were due, the last of them with the message, so that those of a sensor differ however late they are sent and none
    /// lies in the future.
    fn message(&self, turn: &Turn) -> (String, Vec<u32>) {
        let first = turn.number * u64::from(self.batch);
        let step = Duration::from_secs_f64(1.0 / self.messages_a_second) / self.batch;
        let mut payload = String::with_capacity(80 * self.batch as usize);
        let mut raised = Vec::new();
        for index in 0..self.batch {
            payload.push(if index > 0 { ',' } else { '[' });
            let number = first + u64::from(index);
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
            let millis = (turn.time - step * (self.batch - 1 - index)).as_millis();
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

async fn publish(
    load: Arc<Load>,
    client: MqttClient,
    mut turns: mpsc::UnboundedReceiver<Turn>,
    outcomes: mpsc::UnboundedSender<Outcome>,
) {
    let mut waiting = JoinSet::new();
    while let Some(turn) = turns.recv().await {
        let (payload, raised) = load.message(&turn);
        let sent = Instant::now();
        let late = sent.saturating_duration_since(turn.due);
        for sensor in raised {
            load.alarms.published(sensor, unix_time());
        }
        // a connection whose messages are not acknowledged takes no more
        let taken = timeout(PATIENCE, client.send(&load.topic, payload, false)).await;
        let stuck = taken.is_err();
        let (outcomes, topic) = (outcomes.clone(), load.topic.clone());
        waiting.spawn(async move {
            let answered = match taken {
                Ok(Ok(receipt)) => timeout(PATIENCE, receipt).await,
                Ok(Err(error)) => Ok(Err(error)),
                Err(elapsed) => Err(elapsed),
            };
            let acknowledged = match answered {
                Ok(Ok(())) => Ok(sent.elapsed()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!(
                    "a message was not acknowledged within {} s: look at the broker's log, and whether this user may publish on {topic}",
                    PATIENCE.as_secs()
                )),
            };
            // the receiver outlives every publisher
            drop(outcomes.send(Outcome { late, acknowledged }));
        });
        if stuck {
            break;
        }
        while waiting.try_join_next().is_some() {}
    }
    waiting.join_all().await;
    client.close().await;
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn readings_of_a_batch_lead_up_to_when_it_is_due() {
        let load = Load {
            broker: String::new(),
            topic: "t".to_owned(),
            connections: 1,
            sensors: 50,
            batch: 10,
            format: PayloadFormat::Citywatch,
            messages_a_second: 20.0,
            length: Duration::from_secs(1),
            alarm_every: 0,
            alarms: Arc::default(),
        };
        let turn = Turn {
            number: 3,
            due: Instant::now(),
            time: Duration::from_secs(1_000),
        };
        let (payload, _) = load.message(&turn);
        let readings: Vec<Value> = serde_json::from_str(&payload).expect("it is JSON");
        let times: Vec<i64> = readings.iter().filter_map(|r| r["ts"].as_i64()).collect();
        let expected: Vec<i64> = (0..10).map(|index| 999_955 + 5 * index).collect();
        assert_eq!(times, expected);
        assert_eq!(readings[0]["sensor"], "sim-00030");
    }
}
