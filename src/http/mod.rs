//! The HTTP door and API: `/api/v1`, feeds, metrics. Handlers translate between HTTP and the crates below
//! and decide nothing themselves; every body that goes out has a type in `view`.

mod access;
mod accounts;
mod alerts;
mod answering;
mod archive;
mod backtests;
mod bearer;
mod bundle;
mod call;
mod channels;
mod deliveries;
mod entrance;
mod events;
mod feed;
mod gate;
mod link_guard;
mod origin;
mod plans;
mod problem;
mod readings;
mod receipts;
mod refusal;
mod rights;
mod rule_changes;
mod rules;
mod sensors;
mod session;
mod sight;
mod status;
mod tokens;
mod view;
mod warnings;
mod zones;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use citywatch_alerting::Ledger;
use citywatch_alerting::ledger::AlertState;
use citywatch_ingest::archive::Archive;
use citywatch_ingest::link::LinkBoard;
use citywatch_ingest::{History, Intake, Journal};
use citywatch_model::{Position, Text};
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use bearer::{TokenBearer, Tokens, admin_token, new_token};
pub use entrance::{Entrance, Waiting};
use gate::Gate;
pub use gate::Posts;
pub use link_guard::LinkGuard;
use problem::Problem;
pub use rights::{Right, Standing, decide};

use crate::backtests::Backtests;
use crate::in_force::Keeper;
use crate::pipeline::{Facts, Notes, Road};

/// Largest request body in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// What the handlers stand on.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// Name of the service on feeds.
    pub name: Text,
    /// Address of the API from outside.
    pub public_url: String,
    pub ledger: Ledger,
    /// What is in force, and how it changes.
    pub keeper: Keeper,
    pub intake: Intake,
    pub history: History,
    pub archive: Option<Archive>,
    pub backtests: Backtests,
    pub journal: Journal,
    pub links: LinkBoard,
    pub facts: watch::Receiver<Arc<Facts>>,
    pub booked: watch::Receiver<Position>,
    pub road: Road,
    pub notes: Notes,
    /// Counts links that are not taken, and slows guessing.
    pub link_guard: LinkGuard,
    pub metrics: prometheus::Registry,
    pub stop: watch::Receiver<bool>,
    /// The service is ready once the alert book has reached this position.
    pub ready_at: Position,
}

impl App {
    pub fn new(parts: Parts) -> App {
        App(Arc::new(parts))
    }
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(Problem, AlertState, events::Gap)),
    info(
        title = "Citywatch",
        description = "Real-time urban safety risk monitoring and early warning. Times are RFC 3339 in UTC; errors are RFC 9457 problem documents."
    )
)]
struct Description;

/// Routes, and their description.
fn routes() -> (Router<App>, utoipa::openapi::OpenApi) {
    let mut description = Description::openapi();
    secure(&mut description);
    OpenApiRouter::with_openapi(description)
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::detail))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::verify))
        .routes(routes!(alerts::assign))
        .routes(routes!(alerts::close))
        .routes(routes!(warnings::issue))
        .routes(routes!(warnings::list))
        .routes(routes!(warnings::detail))
        .routes(routes!(warnings::update))
        .routes(routes!(warnings::lift))
        .routes(routes!(warnings::correct))
        .routes(routes!(warnings::withdraw))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::detail))
        .routes(routes!(deliveries::retry))
        .routes(routes!(deliveries::answer))
        .routes(routes!(channels::list))
        .routes(routes!(readings::accept, readings::history))
        .routes(routes!(readings::rejected))
        .routes(routes!(sensors::list))
        .routes(routes!(sensors::unknown))
        .routes(routes!(sensors::detail))
        .routes(routes!(zones::list))
        .routes(routes!(plans::list))
        .routes(routes!(events::stream))
        .routes(routes!(feed::atom))
        .routes(routes!(feed::cap))
        .routes(routes!(rules::list))
        .routes(routes!(rules::check))
        .routes(routes!(
            rules::detail,
            rule_changes::put,
            rule_changes::delete
        ))
        .routes(routes!(rules::versions))
        .routes(routes!(rule_changes::mode))
        .routes(routes!(rule_changes::rollback))
        .routes(routes!(backtests::begin, backtests::list))
        .routes(routes!(backtests::detail, backtests::stop))
        .merge(bundles())
        .merge(people())
        .routes(routes!(bundle::versions))
        .routes(routes!(bundle::version))
        .routes(routes!(status::status))
        .routes(routes!(status::audit))
        .routes(routes!(archive::refused))
        .split_for_parts()
}

/// What recipients and gateways reach by a signed link instead of a token.
fn signed_links() -> Router<App> {
    Router::new()
        .route("/a/{token}", get(answering::show).post(answering::answer))
        .route(
            "/receipts/sms/{token}",
            get(receipts::take).post(receipts::take),
        )
        .layer(DefaultBodyLimit::max(answering::BODY_LIMIT))
}

/// Who may come in, and how.
fn people() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(session::log_in, session::who, session::log_out))
        .routes(routes!(session::change_password))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::change))
        .routes(routes!(accounts::reset))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
}

/// Describes how calls prove who sends them: a token, or a session with its header for writing calls.
fn secure(description: &mut utoipa::openapi::OpenApi) {
    let cookie = ApiKey::Cookie(ApiKeyValue::new(gate::COOKIE));
    let csrf = ApiKey::Header(ApiKeyValue::new("X-CSRF-Token"));
    let schemes = [
        (
            "token",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        ),
        (
            "feed",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)),
        ),
        ("session", SecurityScheme::ApiKey(cookie)),
        ("csrf", SecurityScheme::ApiKey(csrf)),
    ];
    let components = description.components.get_or_insert_default();
    for (name, scheme) in schemes {
        components.add_security_scheme(name, scheme);
    }
    let none: [String; 0] = [];
    description.security = Some(vec![
        SecurityRequirement::new("token", none.clone()),
        SecurityRequirement::new("session", none.clone()).add("csrf", none),
    ]);
}

/// A district's files are larger than other bodies.
fn bundles() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(bundle::export, bundle::apply))
        .layer(DefaultBodyLimit::max(bundle::BUNDLE_LIMIT))
}

/// The whole HTTP service.
///
/// # Errors
/// If the metrics of another one are registered already.
pub fn router(app: App, posts: Posts) -> Result<Router, prometheus::Error> {
    let (api, description) = routes();
    let gate = Gate::new(posts, &description)?;
    let description = Arc::new(description);
    let router = api
        .layer(middleware::from_fn_with_state(gate, gate::authenticate))
        .route("/healthz", get(|| async { healthy() }))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(status::metrics))
        .merge(signed_links())
        .route(
            "/openapi.json",
            get(move || async move { Json((*description).clone()) }),
        )
        .fallback(|| async {
            Problem::not_found(
                "there is nothing at this address; /openapi.json lists what there is",
            )
        })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "this address takes other methods; see /openapi.json",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(app);
    Ok(router)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal(&"a handler panicked").into_response()
}

/// The process runs and answers.
fn healthy() -> &'static str {
    "ok"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    /// The description is a contract: a change of it is a change in this snapshot.
    #[test]
    fn the_api_is_described() {
        let (_, description) = super::routes();
        insta::assert_snapshot!(description.to_pretty_json().unwrap());
    }
}
