//! Server-sent events: what changes, as it changes. A follower that was away sends the number of the last
//! event it saw in `Last-Event-ID` and goes on from there; what was forgotten meanwhile is announced as a gap
//! and never skipped silently.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use citywatch_alerting::ledger::{Event, EventRow};
use futures::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::access::Granted;
use super::bearer::Bearer;
use super::problem::{Problem, Query};
use super::view::Problems;

/// Events read at a time.
const BATCH: u32 = 500;

/// How often a follower whom nothing reaches is asked whether his time is over.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

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

/// The data of a frame `gap`: events were forgotten before this follower had them
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Gap {
    /// The last event that the follower has
    after: i64,
    /// The oldest event that is still kept; it comes next
    from: i64,
}

/// What changes, as it changes
///
/// Each frame's `event` is the kind of what happened, its `id` the number to go on from, its data an
/// `EventFrame`. Events are kept for seven days. A follower that comes back later than that, or is slower,
/// first gets a frame `gap` without an `id`, its data a `Gap`: it has missed events and must load again what it
/// shows; the stream goes on with the oldest event that is kept. Who is bound to hazards or zones is told of what lies
/// inside, and the stream ends when his rights change.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, content_type = "text/event-stream", body = EventFrame),
        (status = 410, content_type = "application/problem+json", body = Problem, description = "That event is not there yet"),
        Problems))]
pub async fn stream(
    State(app): State<App>,
    Granted(bearer): Granted,
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
        people: app.ledger.people_changed(),
        bearer,
        app,
        newest,
        after,
        waiting: Vec::new().into_iter().peekable(),
    };
    let frames = futures::stream::unfold(follower, |mut follower| async move {
        let frame = match follower.next().await? {
            Next::Event(event) => frame(&follower.app, event),
            Next::Gap(gap) => written(Frame::default().event("gap"), gap),
        };
        Some((Ok(frame), follower))
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
    let data = EventFrame {
        event,
        committed_us,
    };
    written(Frame::default().id(id).event(kind), data)
}

fn written(frame: Frame, data: impl Serialize) -> Frame {
    frame.json_data(data).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written");
        Frame::default().comment("an event could not be written")
    })
}

/// What a follower is told next.
enum Next {
    Event(Event),
    Gap(Gap),
}

struct Follower {
    app: App,
    newest: watch::Receiver<i64>,
    stop: watch::Receiver<bool>,
    after: i64,
    people: watch::Receiver<u64>,
    bearer: Bearer,
    waiting: std::iter::Peekable<std::vec::IntoIter<EventRow>>,
}

impl Follower {
    /// The next event, or that some are gone before it; `None` when the service stops or cannot read its
    /// ledger, and when the follower would not be let in again.
    async fn next(&mut self) -> Option<Next> {
        loop {
            // events are numbered without holes, so a hole is what was forgotten
            let after = self.after;
            if let Some(from) = self.waiting.peek().map(|event| event.id)
                && from > after + 1
            {
                self.after = from - 1;
                return Some(Next::Gap(Gap { after, from }));
            }
            if let Some(row) = self.waiting.next() {
                self.after = row.id;
                match row.event {
                    Some(event) => return Some(Next::Event(event)),
                    // outside of what this follower may see
                    None => continue,
                }
            }
            let newest = *self.newest.borrow_and_update();
            self.people.mark_unchanged();
            if !self
                .bearer
                .still_holds(&self.app.ledger, citywatch_alerting::wall_clock())
            {
                return None;
            }
            if newest > self.after {
                let seen = self.app.ledger.seen(&self.bearer.view);
                match seen.event_rows(self.after, BATCH).await {
                    Ok(events) if events.is_empty() => {}
                    Ok(events) => {
                        self.waiting = events.into_iter().peekable();
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(%error, "a follower of events is cut off; it will come back");
                        return None;
                    }
                }
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                changed = self.people.changed() => changed.ok()?,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = self.stop.wait_for(|stop| *stop) => return None,
            }
        }
    }
}
