//! The one click, made through the API as an operator's console makes it.

use serde_json::{Value, json};

use crate::http_client::Client;

/// Issues a warning on `alert`; answers its headline and how many deliveries it made.
pub async fn warn(client: &Client, alert: &Value) -> Result<String, String> {
    let id = &alert["id"];
    let entry = client
        .post(&format!("/api/v1/alerts/{id}/warnings"), &json!({}))
        .await?;
    let headline = entry["warning"]["headline"]["zh"]
        .as_str()
        .unwrap_or_default();
    let found = client
        .get(&format!("/api/v1/deliveries?warning={}", entry["id"]))
        .await?;
    let deliveries = found["items"].as_array().map_or(0, Vec::len);
    Ok(format!("{headline} ({deliveries} deliveries)"))
}
