//! Reports of the SMS gateway: it calls a signed address for each thing that becomes of a message. What it says is on
//! disk before it gets its 200; anything else tells it to call again.

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use citywatch_alerting::ledger::ReceiptReport;
use citywatch_alerting::links::LinkError;

use super::App;
use super::link_guard::LinkUse;
use super::problem::Problem;

/// One report: `status` is the gateway's number, `answer` the carrier's words. Further fields are nobody's business.
pub async fn take(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let from = peer.ip().to_string();
    let links = app.ledger.links().ok_or_else(|| unknown_link(None))?;
    let of = links
        .receipt_of(&token, app.ledger.now())
        .map_err(|error| refused(&app, &from, Some(error)))?;
    let (mut status, mut detail) = (None, String::new());
    for (key, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match &*key {
            "status" => status = value.trim().parse::<i64>().ok(),
            "answer" => detail = value.into_owned(),
            _ => {}
        }
    }
    let status = status.ok_or_else(|| {
        tracing::warn!(from, "a report of the SMS gateway without a number");
        Problem::bad_request("the report holds no `status`: let the gateway fill in %d")
    })?;
    let report = ReceiptReport { of, status, detail };
    match app.ledger.take_receipt(&report).await {
        Ok(delivery) => {
            tracing::info!(
                delivery = delivery.id,
                attempt = of.attempt,
                status,
                state = delivery.state.word(),
                "report of the SMS gateway"
            );
            Ok("ok".into_response())
        }
        Err(error) if error.not_found() => Err(refused(&app, &from, None)),
        Err(error) => Err(error.into()),
    }
}

fn refused(app: &App, from: &str, error: Option<LinkError>) -> Problem {
    if app
        .link_guard
        .refuse(LinkUse::Receipt, error, from, Instant::now())
    {
        return unknown_link(error);
    }
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many",
        "too many wrong addresses of late: wait a minute",
    )
}

fn unknown_link(error: Option<LinkError>) -> Problem {
    match error {
        Some(LinkError::Expired) => {
            Problem::new(StatusCode::FORBIDDEN, "expired", "this address has lapsed")
        }
        Some(LinkError::Forged) | None => {
            Problem::not_found("this address was not made here, or what it names is gone")
        }
    }
}
