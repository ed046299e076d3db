//! Carries CAP messages from the alerting side to the MQTT client of the ingest side.

use citywatch_alerting::channel::{BoxFuture, Publisher};
use citywatch_ingest::client::MqttClient;
use hyper::body::Bytes;

/// The MQTT client that CAP messages go out by.
pub struct CapBroker(pub MqttClient);

impl Publisher for CapBroker {
    fn publish<'a>(&'a self, topic: &'a str, payload: Bytes) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            self.0
                .publish(topic, payload, false)
                .await
                .map_err(|error| error.to_string())
        })
    }
}
