//! The task that owns the connection to the broker. Only this file names rumqttc.
//!
//! rumqttc carries state from a lost connection into the next one (buffered events, packet ids, pending
//! requests that it drops when the broker forgot the session). So every connection gets a new event loop,
//! and the worker alone remembers what is not yet acknowledged: it sends that again, in order, before
//! anything new.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, MqttOptions, NetworkOptions, Outgoing,
    Packet, Publish, QoS, SubAck, SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::url::Broker;
use super::{
    ClientError, ClientOptions, Command, GOODBYE, Pending, Received, Status, Subscription,
};

/// A connection that lasted this long was a good one: the next wait starts small again.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// The largest packet that MQTT can carry; sizes are judged by whoever reads the payload.
const MAX_PACKET: usize = 268_435_455;

/// Whether a message may be published on `topic`.
pub(super) fn is_topic(topic: &str) -> bool {
    !topic.is_empty() && rumqttc::valid_topic(topic)
}

/// Whether `filter` may be subscribed to.
pub(super) fn is_filter(filter: &str) -> bool {
    rumqttc::valid_filter(filter)
}

/// Where to connect, as whom and how.
pub(super) struct Connection {
    pub(super) broker: Broker,
    pub(super) client_id: String,
    pub(super) options: ClientOptions,
}

/// The task that owns the connection.
pub(super) struct Worker {
    to: Connection,
    commands: mpsc::UnboundedReceiver<Command>,
    status: watch::Sender<Status>,
    /// In the order in which they were sent.
    unacknowledged: VecDeque<Pending>,
    subscriptions: Vec<Subscription>,
    /// Subscriptions that the broker has not yet answered on the present connection, in the order of requests.
    asked: VecDeque<u64>,
    /// Set once the client is closed: outstanding acknowledgements are waited for until then.
    leave_by: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        to: Connection,
        commands: mpsc::UnboundedReceiver<Command>,
        status: watch::Sender<Status>,
    ) -> Worker {
        Worker {
            to,
            commands,
            status,
            unacknowledged: VecDeque::new(),
            subscriptions: Vec::new(),
            asked: VecDeque::new(),
            leave_by: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = self.to.options.first_backoff;
        while self.leave_by.is_none() {
            let started = Instant::now();
            let Err(error) = self.connection().await else {
                break;
            };
            let broker = self.to.broker.address();
            if started.elapsed() >= GOOD_CONNECTION {
                backoff = self.to.options.first_backoff;
            }
            tracing::warn!(client = self.to.client_id, broker, retry_in = ?backoff, "mqtt connection lost: {error}");
            self.status.send_replace(Status::Failed(error));
            self.wait(backoff.mul_f64(0.5 + fastrand::f64())).await;
            backoff = (backoff * 2).min(self.to.options.longest_backoff);
        }
        self.status.send_replace(Status::Closed);
    }

    /// One connection from its beginning to its end; `Ok` when the client was closed.
    async fn connection(&mut self) -> Result<(), ClientError> {
        let (client, mut events) = AsyncClient::new(self.mqtt_options(), usize::from(u16::MAX));
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(self.to.options.timeout.as_secs().max(1));
        events.set_network_options(network);
        self.resume(&client)?;
        let mut leaving = false;
        loop {
            if self.leave_by.is_some() && self.unacknowledged.is_empty() && !leaving {
                leaving = true;
                self.request(client.try_disconnect())?;
            }
            // the future is kept until it resolves: dropped half-way, it could lose a packet it has begun to write
            let mut event = pin!(events.poll());
            let event = loop {
                tokio::select! {
                    event = &mut event => break event,
                    command = self.commands.recv(), if self.leave_by.is_none() => {
                        self.command(&client, command)?;
                        if self.leave_by.is_some() && self.unacknowledged.is_empty() {
                            leaving = true;
                            self.request(client.try_disconnect())?;
                        }
                    }
                    () = until(self.leave_by) => return Ok(()),
                }
            };
            match event {
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                Ok(event) => self.event(event),
                Err(_) if leaving => return Ok(()),
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// Asks for all that the connection before left open.
    fn resume(&mut self, client: &AsyncClient) -> Result<(), ClientError> {
        self.asked.clear();
        for subscription in &self.subscriptions {
            self.asked.push_back(subscription.number);
            self.request(client.try_subscribe(&subscription.filter, QoS::AtLeastOnce))?;
        }
        for pending in &mut self.unacknowledged {
            pending.packet_id = None;
        }
        for pending in &self.unacknowledged {
            self.request(publish(client, pending))?;
        }
        Ok(())
    }

    /// While there is no connection, commands are taken and kept.
    async fn wait(&mut self, wait: Duration) {
        let end = Instant::now() + wait;
        while self.leave_by.is_none() {
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                command = self.commands.recv() => match command {
                    Some(Command::Publish(pending)) => self.unacknowledged.push_back(pending),
                    Some(Command::Subscribe(subscription)) => self.subscriptions.push(subscription),
                    Some(Command::Close) | None => self.leave_by = Some(end),
                },
            }
        }
    }

    fn command(
        &mut self,
        client: &AsyncClient,
        command: Option<Command>,
    ) -> Result<(), ClientError> {
        match command {
            Some(Command::Publish(pending)) => {
                let sent = publish(client, &pending);
                self.unacknowledged.push_back(pending);
                self.request(sent)
            }
            Some(Command::Subscribe(subscription)) => {
                let sent = client.try_subscribe(&subscription.filter, QoS::AtLeastOnce);
                self.asked.push_back(subscription.number);
                self.subscriptions.push(subscription);
                self.request(sent)
            }
            Some(Command::Close) | None => {
                self.leave_by = Some(Instant::now() + GOODBYE);
                Ok(())
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                tracing::debug!(
                    client = self.to.client_id,
                    broker = self.to.broker.address(),
                    "mqtt connected"
                );
                self.status.send_replace(Status::Connected);
            }
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                // packets are written in the order of their requests
                if let Some(written) = self
                    .unacknowledged
                    .iter_mut()
                    .find(|pending| pending.packet_id.is_none())
                {
                    written.packet_id = Some(packet_id);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => {
                let found = self
                    .unacknowledged
                    .iter()
                    .position(|pending| pending.packet_id == Some(ack.pkid));
                if let Some(pending) = found.and_then(|index| self.unacknowledged.remove(index)) {
                    // whoever sent it may have stopped waiting
                    pending.acknowledged.send(()).unwrap_or(());
                }
            }
            Event::Incoming(Packet::SubAck(ack)) => self.subscribed(&ack),
            Event::Incoming(Packet::Publish(message)) => self.received(message),
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }

    /// Answers come in the order of the requests.
    fn subscribed(&mut self, ack: &SubAck) {
        let Some(number) = self.asked.pop_front() else {
            return;
        };
        let answered = self
            .subscriptions
            .iter_mut()
            .find(|subscription| subscription.number == number);
        if let Some(subscription) = answered
            && let Some(ready) = subscription.ready.take()
        {
            let refused = ack.return_codes.contains(&SubscribeReasonCode::Failure);
            let answer = if refused {
                Err(ClientError::SubscriptionRefused {
                    broker: self.to.broker.address(),
                    filter: subscription.filter.clone(),
                    client_id: self.to.client_id.clone(),
                })
            } else {
                Ok(())
            };
            // whoever subscribed may have stopped waiting
            drop(ready.send(answer));
        }
    }

    fn received(&mut self, message: Publish) {
        let received = Received {
            topic: message.topic,
            payload: message.payload,
            retain: message.retain,
        };
        self.subscriptions.retain(|subscription| {
            !rumqttc::matches(&received.topic, &subscription.filter)
                || subscription.messages.send(received.clone()).is_ok()
        });
    }

    fn request(&self, sent: Result<(), rumqttc::ClientError>) -> Result<(), ClientError> {
        let broker = self.to.broker.address();
        sent.map_err(|error| ClientError::Unreachable {
            broker,
            reason: format!("the request queue is stuck: {error}"),
        })
    }

    fn failure(&self, error: &ConnectionError) -> ClientError {
        let broker = self.to.broker.address();
        match error {
            ConnectionError::ConnectionRefused(code) => {
                let reason = match code {
                    ConnectReturnCode::BadUserNamePassword => {
                        "bad user name or password".to_owned()
                    }
                    ConnectReturnCode::NotAuthorized => "not authorised".to_owned(),
                    other => format!("{other:?}"),
                };
                ClientError::Refused {
                    broker,
                    client_id: self.to.client_id.clone(),
                    reason,
                }
            }
            other => ClientError::Unreachable {
                broker,
                reason: other.to_string(),
            },
        }
    }

    fn mqtt_options(&self) -> MqttOptions {
        let mut options = MqttOptions::new(
            &self.to.client_id,
            &self.to.broker.host,
            self.to.broker.port,
        );
        options.set_keep_alive(self.to.options.keep_alive.max(Duration::from_secs(1)));
        options.set_clean_session(true);
        options.set_max_packet_size(MAX_PACKET, MAX_PACKET);
        options.set_pending_throttle(Duration::ZERO);
        // packet ids run up to this number: with room to spare, an id is never wanted while it is in use
        options.set_inflight(self.to.options.window.max(1).saturating_mul(4));
        if let Some((user, password)) = &self.to.broker.credentials {
            options.set_credentials(user, password);
        }
        options
    }
}

fn publish(client: &AsyncClient, pending: &Pending) -> Result<(), rumqttc::ClientError> {
    client.try_publish(
        &pending.topic,
        QoS::AtLeastOnce,
        pending.retain,
        pending.payload.clone(),
    )
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
