//! How a handler says what it asks of its caller. The gate has let him in; each of these holds him to a right once more.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::bearer::Bearer;
use super::gate::Gate;
use super::origin::Client;
use super::problem::Problem;
use super::refusal::{Refusal, Refused};
use super::rights::Right;

/// Extractor: whoever the gate let in.
pub struct Granted(pub Bearer);
/// Extractor: the caller may bring readings.
pub struct Device(pub Bearer);
/// Extractor: the caller may read.
pub struct Viewer(pub Bearer);
/// Extractor: the caller may handle alerts.
pub struct Operator(pub Bearer);
/// Extractor: the caller may change what is in force.
pub struct Admin(pub Bearer);

/// The bearer, who must have the right too that the handler asks for: the table may be wrong where the handler is not.
fn bearer(parts: &Parts, right: Right) -> Result<Bearer, Box<Response>> {
    let found = (
        parts.extensions.get::<Bearer>(),
        parts.extensions.get::<Gate>(),
        parts.extensions.get::<Client>(),
    );
    let (Some(bearer), Some(gate), Some(client)) = found else {
        let outside = Problem::internal(&"a route stands outside authentication");
        return Err(Box::new(outside.into_response()));
    };
    bearer.has(right).map_err(|lacking| {
        let refused = Refused {
            who: Some(&bearer.name),
            client,
            method: &parts.method,
            path: parts.uri.path(),
        };
        Box::new(gate.refuse(&Refusal::Lacks(right, lacking), &refused))
    })?;
    Ok(bearer.clone())
}

macro_rules! extractors {
    ($($name:ident => $right:ident;)*) => {$(
        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Response;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<$name, Response> {
                bearer(parts, Right::$right).map($name).map_err(|refused| *refused)
            }
        }
    )*};
}

extractors! {
    Granted => Own;
    Device => Readings;
    Viewer => Read;
    Operator => Handle;
    Admin => Administer;
}
