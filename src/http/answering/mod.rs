//! 叫应: the page behind the signed link in a text message or a mail, where its recipient answers. To look changes
//! nothing, since mail scanners and previews look too; only the form answers, by the same call of the ledger as the API.

mod page;

use std::net::SocketAddr;
use std::time::Instant;

use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, Form, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use citywatch_alerting::LedgerError;
use citywatch_alerting::accounts::View;
use citywatch_alerting::ledger::{
    Actor, Answer, AnswerWord, Call, Delivery, WarningEntry, WarningFilter,
};
use citywatch_alerting::links::LinkError;
use serde::Deserialize;

use super::App;
use super::link_guard::LinkUse;
use page::{Message, Page};

/// Largest answer in bytes: a note in Chinese, percent-encoded, fits.
pub const BODY_LIMIT: usize = 16 << 10;
/// Longest note and name, in characters.
const NOTE_CHARS: usize = 500;
const NAME_CHARS: usize = 60;

/// What the form sends.
#[derive(Debug, Deserialize)]
pub struct Filled {
    word: AnswerWord,
    #[serde(default)]
    name: String,
    #[serde(default)]
    note: String,
}

/// What the link is about.
struct Asked {
    delivery: Delivery,
    entry: WarningEntry,
    /// The newest message of the chain, if it is another one.
    newer: Option<WarningEntry>,
}

/// The page.
pub async fn show(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(token): Path<String>,
) -> Response {
    match asked(&app, &token, peer).await {
        Ok(asked) => shown(&asked),
        Err(refusal) => refusal,
    }
}

/// An answer; then the page again, so that loading it anew answers nothing.
pub async fn answer(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(token): Path<String>,
    form: Result<Form<Filled>, FormRejection>,
) -> Response {
    let asked = match asked(&app, &token, peer).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let Ok(Form(filled)) = form else {
        return told(Message::Unreadable);
    };
    if filled.note.chars().count() > NOTE_CHARS || filled.name.chars().count() > NAME_CHARS {
        return told(Message::TooLong);
    }
    let (answer, call) = (said(&asked.delivery, &filled), call(&asked.delivery, peer));
    match app.ledger.answer(asked.delivery.id, &answer, &call).await {
        Ok(_) => {
            // relative: the public address may have a path of its own
            let mut response = StatusCode::SEE_OTHER.into_response();
            if let Ok(place) = HeaderValue::from_str(&token) {
                response.headers_mut().insert(header::LOCATION, place);
            }
            private(response)
        }
        Err(error) => failed(&error),
    }
}

fn said(delivery: &Delivery, filled: &Filled) -> Answer {
    let by = match filled.name.trim() {
        "" => recipient(delivery),
        name => name.to_owned(),
    };
    Answer {
        word: filled.word,
        by,
        note: filled.note.trim().to_owned(),
    }
}

/// The recipient acts: the link proves that the message arrived there.
fn call(delivery: &Delivery, peer: SocketAddr) -> Call {
    let actor = Actor {
        name: recipient(delivery),
        role: "recipient".to_owned(),
        from: format!("{peer} by the link sent by {}", delivery.channel),
    };
    Call {
        actor,
        version: None,
        key: None,
        // the link is the right to this one delivery
        view: View::whole(),
    }
}

fn recipient(delivery: &Delivery) -> String {
    let to = &delivery.recipient;
    if to.contact.is_empty() {
        to.department_name.zh.clone()
    } else {
        format!("{} {}", to.department_name.zh, to.contact)
    }
}

/// What the token stands for, or the page that says why it is not taken.
async fn asked(app: &App, token: &str, peer: SocketAddr) -> Result<Asked, Response> {
    let links = app.ledger.links().ok_or_else(|| told(Message::Forged))?;
    let delivery = links
        .answer_of(token, app.ledger.now())
        .map_err(|error| refused(app, peer, Some(error)))?;
    match found(app, delivery).await {
        Ok(asked) => Ok(asked),
        Err(error) if error.not_found() => Err(refused(app, peer, None)),
        Err(error) => Err(failed(&error)),
    }
}

async fn found(app: &App, id: i64) -> Result<Asked, LedgerError> {
    let delivery = app.ledger.delivery(id).await?.delivery;
    let entry = app
        .ledger
        .warning(&delivery.warning.to_string())
        .await?
        .entry;
    let filter = WarningFilter {
        alert: Some(entry.alert),
        ..WarningFilter::default()
    };
    let chain = app.ledger.warnings(&filter).await?.items.into_iter();
    let newer = chain
        .filter(|other| other.chain == entry.chain && other.id > entry.id)
        .max_by_key(|other| other.id);
    Ok(Asked {
        delivery,
        entry,
        newer,
    })
}

fn refused(app: &App, peer: SocketAddr, error: Option<LinkError>) -> Response {
    let from = peer.ip().to_string();
    if !app
        .link_guard
        .refuse(LinkUse::Answer, error, &from, Instant::now())
    {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    told(match error {
        Some(LinkError::Expired) => Message::Expired,
        Some(LinkError::Forged) | None => Message::Forged,
    })
}

fn failed(error: &LedgerError) -> Response {
    tracing::error!(%error, "an answer by link was not kept; the page says so");
    told(Message::NotKept)
}

fn shown(asked: &Asked) -> Response {
    let nonce = nonce();
    let page = Page {
        delivery: &asked.delivery,
        entry: &asked.entry,
        newer: asked.newer.as_ref(),
        limits: (NAME_CHARS, NOTE_CHARS),
        nonce: &nonce,
    };
    html(StatusCode::OK, &nonce, page.html())
}

fn told(message: Message) -> Response {
    let nonce = nonce();
    html(message.status(), &nonce, message.html(&nonce))
}

fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

fn html(status: StatusCode, nonce: &str, body: String) -> Response {
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    private(response)
}

/// Nobody keeps the page, follows its address elsewhere, or lists it.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-robots-tag", "noindex, nofollow"),
        ("x-content-type-options", "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
