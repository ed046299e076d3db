//! An MQTT client that publishes with QoS 1 and says when each message was acknowledged: for CAP over MQTT,
//! the load generator and the demo. What is not yet acknowledged when a connection is lost is sent again on
//! the next one: a message may arrive twice, but never vanishes while its receipt is awaited.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

mod error;
pub(crate) mod url;
mod worker;

pub use error::ClientError;

use url::Broker;
use worker::{Connection, Worker, is_filter, is_topic};

/// How long the last acknowledgements are waited for when the client closes.
const GOODBYE: Duration = Duration::from_secs(5);

/// Settings that hold for every connection of a client.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Messages on their way without acknowledgement; further ones wait. At least 1.
    pub window: u16,
    /// A connection without any packet for this long is probed. At least 1 s.
    pub keep_alive: Duration,
    /// Wait before the second attempt to connect; doubled after each failure, with jitter.
    pub first_backoff: Duration,
    /// Longest wait between two attempts.
    pub longest_backoff: Duration,
    /// Longest wait for a connection or for a flush.
    pub timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            window: 100,
            keep_alive: Duration::from_secs(30),
            first_backoff: Duration::from_millis(200),
            longest_backoff: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
        }
    }
}

/// A message that a subscription brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it was published.
    pub topic: String,
    /// Its bytes.
    pub payload: Bytes,
    /// Whether the broker kept it from earlier.
    pub retain: bool,
}

/// A connection to a broker that comes back by itself. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct MqttClient {
    shared: Arc<Shared>,
}

struct Shared {
    client_id: String,
    commands: mpsc::UnboundedSender<Command>,
    window: Arc<Semaphore>,
    /// How many were made.
    subscriptions: AtomicU64,
    status: watch::Receiver<Status>,
    task: AbortHandle,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    Connecting,
    Connected,
    Failed(ClientError),
    Closed,
}

enum Command {
    Publish(Pending),
    Subscribe(Subscription),
    Close,
}

/// A publish that is not yet acknowledged.
struct Pending {
    topic: String,
    payload: Bytes,
    retain: bool,
    acknowledged: oneshot::Sender<()>,
    /// Known once the event loop has written it on the present connection.
    packet_id: Option<u16>,
    _slot: OwnedSemaphorePermit,
}

struct Subscription {
    /// Tells subscriptions apart.
    number: u64,
    filter: String,
    messages: mpsc::UnboundedSender<Received>,
    ready: Option<oneshot::Sender<Result<(), ClientError>>>,
}

/// Resolves when the broker has acknowledged the message.
pub struct Receipt {
    client_id: String,
    acknowledged: oneshot::Receiver<()>,
}

impl Future for Receipt {
    type Output = Result<(), ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.acknowledged)
            .poll(context)
            .map(|answer| {
                answer.map_err(|_| ClientError::Closed {
                    client_id: self.client_id.clone(),
                })
            })
    }
}

impl MqttClient {
    /// Starts to connect to `url` and keeps at it; [`MqttClient::connected`] waits for the first success.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A URL that cannot be used.
    pub fn connect(
        url: &str,
        client_id: &str,
        options: ClientOptions,
    ) -> Result<MqttClient, ClientError> {
        let broker = Broker::parse(url)?;
        if broker.tls {
            return Err(Broker::wrong(
                url,
                "asks for TLS, which this client does not speak yet",
            ));
        }
        let (commands, command_queue) = mpsc::unbounded_channel();
        let (status_sender, status) = watch::channel(Status::Connecting);
        let window = Arc::new(Semaphore::new(usize::from(options.window.max(1))));
        let client_id = client_id.to_owned();
        let worker = Worker::new(
            Connection {
                broker,
                client_id: client_id.clone(),
                options,
            },
            command_queue,
            status_sender,
        );
        let task = tokio::spawn(worker.run()).abort_handle();
        let subscriptions = AtomicU64::new(0);
        Ok(MqttClient {
            shared: Arc::new(Shared {
                client_id,
                commands,
                window,
                subscriptions,
                status,
                task,
            }),
        })
    }

    /// Waits until the client is connected.
    ///
    /// # Errors
    /// The first failed attempt; the client goes on trying all the same.
    pub async fn connected(&self) -> Result<(), ClientError> {
        let mut status = self.shared.status.clone();
        let decided = status
            .wait_for(|status| *status != Status::Connecting)
            .await;
        match decided.as_deref() {
            Ok(Status::Failed(error)) => Err(error.clone()),
            Ok(Status::Connecting | Status::Connected) => Ok(()),
            Ok(Status::Closed) | Err(_) => Err(self.closed()),
        }
    }

    /// Whether there is a connection at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.shared.status.borrow() == Status::Connected
    }

    /// Publishes with QoS 1 and waits for the acknowledgement, however long the broker is away: put a
    /// timeout around it where that matters.
    ///
    /// # Errors
    /// A topic that MQTT does not allow, or the client was closed.
    pub async fn publish(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        retain: bool,
    ) -> Result<(), ClientError> {
        self.send(topic, payload, retain).await?.await
    }

    /// Puts a message on its way as soon as the window has room. Messages leave in the order in which these
    /// calls return; the receipt tells when each one was acknowledged.
    ///
    /// # Errors
    /// A topic that MQTT does not allow, or the client was closed.
    pub async fn send(
        &self,
        topic: &str,
        payload: impl Into<Bytes>,
        retain: bool,
    ) -> Result<Receipt, ClientError> {
        if !is_topic(topic) {
            let problem = "a message needs one plain topic, without + and #";
            return Err(ClientError::Topic {
                topic: topic.to_owned(),
                problem,
            });
        }
        let slot = Arc::clone(&self.shared.window)
            .acquire_owned()
            .await
            .map_err(|_| self.closed())?;
        let (acknowledged, receipt) = oneshot::channel();
        let pending = Pending {
            topic: topic.to_owned(),
            payload: payload.into(),
            retain,
            acknowledged,
            packet_id: None,
            _slot: slot,
        };
        self.shared
            .commands
            .send(Command::Publish(pending))
            .map_err(|_| self.closed())?;
        Ok(Receipt {
            client_id: self.shared.client_id.clone(),
            acknowledged: receipt,
        })
    }

    /// Subscribes with QoS 1 and waits until the broker has confirmed it. The subscription comes back after
    /// a lost connection, but what was published meanwhile is missing.
    ///
    /// # Errors
    /// A filter that MQTT or the broker does not allow, or the client was closed.
    pub async fn subscribe(
        &self,
        filter: &str,
    ) -> Result<mpsc::UnboundedReceiver<Received>, ClientError> {
        if !is_filter(filter) {
            let problem = "+ and # must stand alone in a level, and # at the end";
            return Err(ClientError::Topic {
                topic: filter.to_owned(),
                problem,
            });
        }
        let (messages, receiver) = mpsc::unbounded_channel();
        let (ready, confirmed) = oneshot::channel();
        let number = self.shared.subscriptions.fetch_add(1, Ordering::Relaxed);
        let subscription = Subscription {
            number,
            filter: filter.to_owned(),
            messages,
            ready: Some(ready),
        };
        self.shared
            .commands
            .send(Command::Subscribe(subscription))
            .map_err(|_| self.closed())?;
        confirmed.await.map_err(|_| self.closed())??;
        Ok(receiver)
    }

    /// Waits a few seconds for outstanding acknowledgements, takes leave of the broker and ends. Receipts
    /// that are still open then fail.
    pub async fn close(self) {
        let mut status = self.shared.status.clone();
        if self.shared.commands.send(Command::Close).is_ok() {
            // an error means that the worker has ended, which is what is waited for
            drop(
                timeout(
                    GOODBYE * 2,
                    status.wait_for(|status| *status == Status::Closed),
                )
                .await,
            );
        }
    }

    fn closed(&self) -> ClientError {
        ClientError::Closed {
            client_id: self.shared.client_id.clone(),
        }
    }
}
