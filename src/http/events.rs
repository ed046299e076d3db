//! Server-sent events: what changes, as it changes, without gaps. A follower that was away sends the
//! number of the last event it saw in `Last-Event-ID` and goes on from there.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use citywatch_alerting::ledger::Event;
use futures::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Viewer;
use super::problem::{Problem, Query};
use super::view::Problems;

/// Events read at a time.
const BATCH: u32 = 500;

/// From where
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Events after this number; without it and without `Last-Event-ID`, only new ones
    after: Option<i64>,
}

/// The data of one frame
#[derive(Debug, Serialize, ToSchema)]
pub struct EventFrame {
    #[serde(flatten)]
    #[schema(inline)]
    event: Event,
    /// When it was committed, in microseconds since 1970; only of alerts, while the service remembers
    #[serde(skip_serializing_if = "Option::is_none")]
    committed_us: Option<i64>,
}

/// What changes, as it changes
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, content_type = "text/event-stream", body = EventFrame), Problems))]
pub async fn stream(
    State(app): State<App>,
    _: Viewer,
    headers: HeaderMap,
    Query(query): Query<EventQuery>,
) -> Result<Sse<impl Stream<Item = Result<Frame, Infallible>>>, Problem> {
    let newest = app.ledger.subscribe();
    let last_seen = match headers.get(HeaderName::from_static("last-event-id")) {
        Some(value) => {
            let number = value
                .to_str()
                .ok()
                .and_then(|text| text.trim().parse().ok());
            Some(number.ok_or_else(|| {
                Problem::bad_request("Last-Event-ID is not the number of an event")
            })?)
        }
        None => None,
    };
    let after = last_seen
        .or(query.after)
        .unwrap_or_else(|| *newest.borrow());
    if after > *newest.borrow() {
        let detail = format!(
            "event {after} is not there yet, the newest is {}: this is another ledger, begin without a number",
            *newest.borrow()
        );
        return Err(Problem::new(StatusCode::GONE, "events-gone", detail));
    }
    let follower = Follower {
        stop: app.stop.clone(),
        app,
        newest,
        after,
        waiting: Vec::new().into_iter(),
    };
    let frames = futures::stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(frame(&follower.app, event)), follower))
    });
    Ok(Sse::new(frames).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn frame(app: &App, event: Event) -> Frame {
    let (id, kind) = (event.id.to_string(), event.kind.clone());
    let committed_us = if kind.starts_with("alert.") {
        app.ledger.committed_us(event.id)
    } else {
        None
    };
    let frame = Frame::default().id(id).event(kind);
    frame
        .json_data(EventFrame {
            event,
            committed_us,
        })
        .unwrap_or_else(|error| {
            tracing::error!(%error, "an event could not be written");
            Frame::default().comment("an event could not be written")
        })
}

struct Follower {
    app: App,
    newest: watch::Receiver<i64>,
    stop: watch::Receiver<bool>,
    after: i64,
    waiting: std::vec::IntoIter<Event>,
}

impl Follower {
    /// The next event; `None` when the service stops or cannot read its ledger.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.next() {
                self.after = event.id;
                return Some(event);
            }
            self.newest.mark_unchanged();
            match self.app.ledger.events_after(self.after, BATCH).await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    self.waiting = events.into_iter();
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, "a follower of events is cut off; it will come back");
                    return None;
                }
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
        }
    }
}
