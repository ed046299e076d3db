//! The task that owns a link's connections: one after the other, with growing pauses between failures. Only here
//! messages are acknowledged, and only on the connection that brought them: each connection has a wire, a queue
//! and a flight of its own, and what is left of them when it ends is dropped, for the broker sends it again.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use citywatch_model::LinkState;
use tokio::sync::watch;
use tokio::time::Instant;

use super::board::{Board, LinkPhase};
use super::error::Failure;
use super::flight::{Flight, Landed, Road};
use super::plan::Plan;
use super::session::{Answer, Session};
use super::wire::{self, Incoming, Sender};
use crate::intake::Intake;

/// Refused subscriptions are asked for again after this long: somebody may have changed our rights.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// A connection that lasted this long was a good one: the next pause starts small again.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

pub(super) struct Worker {
    plan: Plan,
    intake: Intake,
    board: Arc<Board>,
    stop: watch::Receiver<bool>,
    session: Session,
    /// When readings could come last; from the start on they could.
    down_since: Option<Instant>,
    /// The interruption is journalled, so its end must be, too.
    noted: bool,
    /// The failure that was told last; the same one is not told again.
    told: Option<Failure>,
}

/// What belongs to one connection only.
struct Connection {
    sender: Sender,
    flight: Flight,
    connected: bool,
    /// The broker answers a subscription until then, or is asked again then.
    subscription: Option<Instant>,
    /// Without any news until then the connection is dead.
    silent: Instant,
    /// Set once the service stops: the last acknowledgements are written until then.
    leave_by: Option<Instant>,
    said_goodbye: bool,
}

impl Worker {
    pub(super) fn new(
        plan: Plan,
        intake: Intake,
        board: Arc<Board>,
        stop: watch::Receiver<bool>,
    ) -> Worker {
        let session = Session::new(plan.filters.clone());
        Worker {
            plan,
            intake,
            board,
            stop,
            session,
            down_since: Some(Instant::now()),
            noted: false,
            told: None,
        }
    }

    pub(super) async fn run(mut self) {
        let pace = self.plan.pace;
        let mut backoff = pace.first_backoff;
        loop {
            let started = Instant::now();
            let failure = self.connection().await;
            if failure == Failure::Stopped {
                self.board.ended(LinkPhase::Stopped);
                return;
            }
            self.down_since.get_or_insert_with(Instant::now);
            if started.elapsed() >= GOOD_CONNECTION {
                backoff = pace.first_backoff;
            }
            if failure.needs_a_person() {
                backoff = backoff.max(pace.refused_backoff);
            }
            self.tell(failure);
            if self.pause(backoff.mul_f64(0.5 + fastrand::f64())).await {
                self.board.ended(LinkPhase::Stopped);
                return;
            }
            self.note_interruption().await;
            backoff = (backoff * 2).min(pace.longest_backoff);
        }
    }

    /// One connection from its beginning to its end.
    async fn connection(&mut self) -> Failure {
        let (sender, mut wire) = wire::open(&self.plan.target);
        let mut here = Connection::new(self, sender);
        let mut stop = self.stop.clone();
        loop {
            let mut next = pin!(wire.next());
            let incoming = loop {
                let deadline = here.deadline();
                tokio::select! {
                    biased;
                    landed = here.flight.landed() => {
                        if let Err(failure) = self.landed(&here, &landed) {
                            return failure;
                        }
                        here.leave_if_done();
                    }
                    incoming = &mut next, if here.flight.has_room() => break incoming,
                    () = stopped(&mut stop), if here.leave_by.is_none() => {
                        if !here.connected {
                            return Failure::Stopped;
                        }
                        here.leave_by = Some(Instant::now() + self.plan.pace.timeout);
                        here.leave_if_done();
                    }
                    () = tokio::time::sleep_until(deadline) => {
                        if let Err(failure) = self.overdue(&mut here) {
                            return failure;
                        }
                    }
                }
            };
            here.silent = Instant::now() + self.patience();
            let taken = match incoming {
                Ok(incoming) => self.take(&mut here, incoming).await,
                Err(_) if here.leave_by.is_some() => return Failure::Stopped,
                Err(failure) => return failure,
            };
            if let Err(failure) = taken {
                return failure;
            }
        }
    }

    /// The wire has news at least once a keep-alive, since its own probes count.
    fn patience(&self) -> Duration {
        self.plan.target.keep_alive * 2 + self.plan.pace.timeout
    }

    async fn take(&mut self, here: &mut Connection, incoming: Incoming) -> Result<(), Failure> {
        match incoming {
            Incoming::Connected { session_present } => {
                here.connected = true;
                self.connected(here, session_present).await
            }
            Incoming::Message(received) if here.leave_by.is_none() => {
                here.flight.take(received);
                self.board.received(here.flight.len());
                Ok(())
            }
            Incoming::Subscribed(granted) => {
                let answer = self.session.answered(&granted);
                self.answered(here, answer);
                Ok(())
            }
            Incoming::Left => Err(Failure::Stopped),
            // what comes after the stop stays with the broker
            Incoming::Message(_) | Incoming::Acknowledged { .. } | Incoming::Other => Ok(()),
        }
    }

    async fn connected(
        &mut self,
        here: &mut Connection,
        session_present: bool,
    ) -> Result<(), Failure> {
        let (name, broker) = (self.plan.name, self.plan.target.broker.address());
        let (needed, forgotten) = self.session.connected(session_present);
        if self.noted {
            let up = self.intake.link_changed(name, LinkState::Up).await;
            up.map_err(|error| Failure::Journal(error.to_string()))?;
            self.noted = false;
        }
        self.down_since = None;
        self.told = None;
        self.board.connected();
        tracing::info!(link = %name, broker, session_present, "broker link connected");
        if forgotten {
            let problem = "the broker had forgotten our session at the reconnection: what it was to keep meanwhile is lost";
            tracing::error!(link = %name, broker, "{problem}; see deploy/mosquitto.conf and citywatch check");
            self.board.session_lost();
            self.board.failed(problem.to_owned());
        }
        self.ask_for(here, needed)
    }

    fn ask_for(
        &mut self,
        here: &mut Connection,
        filters: Vec<super::plan::Filter>,
    ) -> Result<(), Failure> {
        if !filters.is_empty() {
            here.sender.subscribe(&filters)?;
            self.session.asked(filters);
            here.subscription = Some(Instant::now() + self.plan.pace.timeout);
        }
        Ok(())
    }

    fn answered(&mut self, here: &mut Connection, answer: Answer) {
        here.subscription = None;
        let mut refused = Vec::new();
        let problem = match answer {
            Answer::Granted => None,
            Answer::Weak(filters) => Some(format!(
                "the broker grants only QoS 0 on {}: it may lose messages",
                filters.join(", ")
            )),
            Answer::Refused(filters) => {
                here.subscription = Some(Instant::now() + ASK_AGAIN);
                let list = filters.join(", ");
                refused = filters;
                Some(format!(
                    "the broker does not let `{}` subscribe to {list}: check its rights; asking again",
                    self.plan.target.client_id
                ))
            }
        };
        self.board.refused(refused);
        if let Some(problem) = problem {
            tracing::error!(link = %self.plan.name, "{problem}");
            self.board.failed(problem);
        }
    }

    /// Acknowledges a message that is on disk or was rejected as a whole.
    fn landed(&self, here: &Connection, landed: &Landed) -> Result<(), Failure> {
        let accepted = match &landed.result {
            Ok(accepted) => accepted,
            Err(error) => return Err(Failure::Journal(error.to_string())),
        };
        let awaited = landed.receipt.is_awaited();
        if awaited {
            here.sender.acknowledge(landed.receipt)?;
        }
        self.board
            .landed(here.flight.len(), !accepted.rejected.is_empty(), awaited);
        Ok(())
    }

    fn overdue(&mut self, here: &mut Connection) -> Result<(), Failure> {
        let now = Instant::now();
        if here.leave_by.is_some_and(|moment| now >= moment) {
            return Err(Failure::Stopped);
        }
        if now >= here.silent {
            let problem = "nothing was heard for two keep-alives";
            return Err(Failure::Lost(problem.to_owned()));
        }
        if here.subscription.is_some_and(|moment| now >= moment) {
            here.subscription = None;
            if self.session.is_open() {
                let problem = "it does not answer a subscription";
                return Err(Failure::Lost(problem.to_owned()));
            }
            if self.session.has_refused() {
                let refused = self.session.take_refused();
                return self.ask_for(here, refused);
            }
        }
        Ok(())
    }

    /// Tells a failure once, however often it repeats.
    fn tell(&mut self, failure: Failure) {
        self.board.ended(LinkPhase::Down);
        let target = &self.plan.target;
        let text = failure.text(&target.broker.address(), &target.client_id);
        if self.told.as_ref() == Some(&failure) {
            tracing::debug!(link = %self.plan.name, "{text}");
        } else {
            tracing::warn!(link = %self.plan.name, "{text}; trying again and again");
        }
        self.board.failed(text);
        self.told = Some(failure);
    }

    /// Journals that readings cannot arrive, once that has lasted long enough to matter.
    async fn note_interruption(&mut self) {
        let lasted = self.down_since.map(|since| since.elapsed());
        if self.noted || lasted.is_none_or(|lasted| lasted < self.plan.pace.noted_after) {
            return;
        }
        match self
            .intake
            .link_changed(self.plan.name, LinkState::Down)
            .await
        {
            Ok(()) => self.noted = true,
            Err(error) => {
                tracing::debug!(link = %self.plan.name, %error, "the interruption is not journalled yet");
            }
        }
    }

    /// Waits between two attempts; true if the service stops.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = stopped(&mut self.stop) => true,
            () = tokio::time::sleep(pause) => false,
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // whoever would say so is gone: that is a stop too
    drop(stop.wait_for(|stop| *stop).await);
}

impl Connection {
    fn new(worker: &Worker, sender: Sender) -> Connection {
        let plan = &worker.plan;
        let road = Road {
            intake: worker.intake.clone(),
            templates: plan.templates.clone(),
            source: plan.name.as_str(),
        };
        Connection {
            sender,
            flight: Flight::new(road, plan.target.inflight),
            connected: false,
            subscription: None,
            silent: Instant::now() + worker.patience(),
            leave_by: None,
            said_goodbye: false,
        }
    }

    fn deadline(&self) -> Instant {
        let others = [self.subscription, self.leave_by].into_iter().flatten();
        others.fold(self.silent, Instant::min)
    }

    /// Says goodbye when the service stops and the last message is acknowledged.
    fn leave_if_done(&mut self) {
        if self.leave_by.is_some() && self.flight.len() == 0 && !self.said_goodbye {
            self.said_goodbye = true;
            if self.sender.leave().is_err() {
                self.leave_by = Some(Instant::now());
            }
        }
    }
}
