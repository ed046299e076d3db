//! Deliveries: accepted, delivered and answered are three different things.

use axum::Json;
use axum::extract::State;
use citywatch_alerting::ledger::{Answer, Delivery, DeliveryDetail, DeliveryFilter};

use super::App;
use super::access::{Operator, Viewer};
use super::call::Caller;
use super::problem::{Body, Path, Problem, Query};
use super::view::{Page, Problems};

/// Deliveries, the newest first; `state=dead` lists those that were given up
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "deliveries", params(DeliveryFilter),
    responses((status = 200, body = Page<Delivery>), Problems))]
pub async fn list(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Query(filter): Query<DeliveryFilter>,
) -> Result<Json<Page<Delivery>>, Problem> {
    Ok(Json(
        app.ledger
            .seen(&bearer.view)
            .deliveries(&filter)
            .await?
            .into(),
    ))
}

/// One delivery with its attempts
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", tag = "deliveries", params(("id" = i64, Path)),
    responses((status = 200, body = DeliveryDetail), Problems))]
pub async fn detail(
    State(app): State<App>,
    Viewer(bearer): Viewer,
    Path(id): Path<i64>,
) -> Result<Json<DeliveryDetail>, Problem> {
    Ok(Json(app.ledger.seen(&bearer.view).delivery(id).await?))
}

/// Tries a dead or failed delivery again, or one that waits for its next attempt at once
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/retry", tag = "deliveries", params(("id" = i64, Path), Caller),
    responses((status = 200, body = Delivery), Problems))]
pub async fn retry(
    State(app): State<App>,
    Operator(bearer): Operator,
    Path(id): Path<i64>,
    caller: Caller,
) -> Result<Json<Delivery>, Problem> {
    Ok(Json(
        app.ledger
            .retry_delivery(id, &caller.call(bearer, None))
            .await?,
    ))
}

/// 叫应: what the recipient has answered
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/answer", tag = "deliveries", params(("id" = i64, Path), Caller),
    request_body = Answer, responses((status = 200, body = Delivery), Problems))]
pub async fn answer(
    State(app): State<App>,
    Operator(bearer): Operator,
    Path(id): Path<i64>,
    caller: Caller,
    Body(body): Body<Answer>,
) -> Result<Json<Delivery>, Problem> {
    Ok(Json(
        app.ledger
            .answer(id, &body, &caller.call(bearer, None))
            .await?,
    ))
}
