//! CAP messages for automated triggers: an Atom feed, and each message by itself.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use citywatch_alerting::cap::Language;
use citywatch_alerting::feed::{self, FeedEntry, FeedHead, MAX_ENTRIES, MEDIA_TYPE};
use citywatch_alerting::ledger::WarningFilter;

use super::App;
use super::access::Granted;
use super::problem::{Path, Problem};
use super::view::Problems;

/// The newest CAP messages
#[utoipa::path(get, path = "/feeds/cap.atom", tag = "feeds", security(("token" = []), ("session" = []), ("feed" = [])),
    responses((status = 200, content_type = "application/atom+xml", body = String), Problems))]
pub async fn atom(State(app): State<App>, Granted(bearer): Granted) -> Result<Response, Problem> {
    let filter = WarningFilter {
        limit: Some(MAX_ENTRIES as u32),
        ..WarningFilter::default()
    };
    let page = app.ledger.seen(&bearer.view).warnings(&filter).await?;
    let base = &app.public_url;
    let entries: Vec<FeedEntry> = page
        .items
        .iter()
        .map(|entry| {
            let url = format!("{base}/cap/{}.xml", entry.warning.identifier);
            FeedEntry::new(&entry.warning, &url, Language::Chinese)
        })
        .collect();
    let head = FeedHead {
        id: format!("{base}/feeds/cap.atom"),
        self_url: format!("{base}/feeds/cap.atom"),
        title: format!("{} CAP", app.name.zh),
        author: app.name.zh.clone(),
        updated: page
            .items
            .first()
            .map_or_else(|| app.ledger.now(), |entry| entry.warning.sent),
        language: Language::Chinese,
    };
    Ok((
        [(header::CONTENT_TYPE, MEDIA_TYPE)],
        feed::atom(&entries, &head),
    )
        .into_response())
}

/// One CAP message
#[utoipa::path(get, path = "/cap/{file}", tag = "feeds", security(("token" = []), ("session" = []), ("feed" = [])), params(("file" = String, Path, description = "IDENTIFIER.xml")),
    responses((status = 200, content_type = "application/cap+xml", body = String), Problems))]
pub async fn cap(
    State(app): State<App>,
    Granted(bearer): Granted,
    Path(file): Path<String>,
) -> Result<Response, Problem> {
    let Some(identifier) = file.strip_suffix(".xml") else {
        return Err(Problem::not_found(
            "CAP messages stand under /cap/IDENTIFIER.xml",
        ));
    };
    let warning = app.ledger.seen(&bearer.view).warning(identifier).await?;
    Ok(([(header::CONTENT_TYPE, "application/cap+xml")], warning.cap).into_response())
}
