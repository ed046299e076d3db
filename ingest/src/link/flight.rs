//! Messages between their arrival and the journal's answer. They get their places in the journal in the order of
//! their arrival and come back in that order, many at a time, so that the journal's syncs group.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};

use tokio::sync::oneshot;

use super::wire::{Receipt, Received};
use crate::intake::{Accepted, Door, Form, Intake, IntakeError, Message};
use crate::topic::Templates;

/// Payload bytes that may wait for the journal; above it nothing is read from the broker.
const MAX_BYTES: usize = 64 << 20;

/// Where messages come from and how they are read.
#[derive(Clone)]
pub(super) struct Road {
    pub(super) intake: Intake,
    pub(super) templates: Arc<Templates>,
    /// The link's name, for people.
    pub(super) source: &'static str,
}

/// The messages of one connection; whatever is left when it ends was not acknowledged and comes again.
pub(super) struct Flight {
    road: Road,
    most: usize,
    bytes: usize,
    /// Comes when the newest message has its place in the journal.
    placed: Option<oneshot::Receiver<()>>,
    waiting: FuturesOrdered<BoxFuture<'static, Landed>>,
}

/// What became of a message.
pub(super) struct Landed {
    pub(super) receipt: Receipt,
    pub(super) result: Result<Accepted, IntakeError>,
    bytes: usize,
}

impl Flight {
    pub(super) fn new(road: Road, most: u16) -> Flight {
        Flight {
            road,
            most: usize::from(most),
            bytes: 0,
            placed: None,
            waiting: FuturesOrdered::new(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < self.most && self.bytes < MAX_BYTES
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes a message on its way. It begins to move when [`Flight::landed`] is waited for.
    pub(super) fn take(&mut self, received: Received) {
        let road = self.road.clone();
        self.bytes += received.payload.len();
        let (place, placed) = oneshot::channel();
        let before = self.placed.replace(placed);
        self.waiting.push_back(
            async move {
                // the readings of a sensor must not overtake each other; one that found no place holds up none
                if let Some(before) = before {
                    drop(before.await);
                }
                let message = Message {
                    door: Door::Link,
                    source: road.source,
                    topic: Some(&received.topic),
                    payload: &received.payload,
                    form: Form::Templates(&road.templates),
                    retained: received.retained,
                };
                Landed {
                    receipt: received.receipt,
                    result: road
                        .intake
                        .accept_in_turn(message, || place.send(()).unwrap_or_default())
                        .await,
                    bytes: received.payload.len(),
                }
            }
            .boxed(),
        );
    }

    /// The oldest message, once the journal has answered; never, if there is none.
    pub(super) async fn landed(&mut self) -> Landed {
        match self.waiting.next().await {
            Some(landed) => {
                self.bytes -= landed.bytes;
                landed
            }
            None => std::future::pending().await,
        }
    }
}
