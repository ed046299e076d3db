//! How each channel fares.

use axum::Json;
use axum::extract::State;
use citywatch_alerting::ledger::ChannelState;

use super::App;
use super::access::Viewer;
use super::problem::Problem;
use super::view::Problems;

/// Every kind of channel: whether it is configured, its newest success and failure, what waits and what was given up
#[utoipa::path(get, path = "/api/v1/channels", tag = "deliveries",
    responses((status = 200, body = Vec<ChannelState>), Problems))]
pub async fn list(State(app): State<App>, _: Viewer) -> Result<Json<Vec<ChannelState>>, Problem> {
    Ok(Json(app.ledger.channel_states().await?))
}
