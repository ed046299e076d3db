//! The broker link against a scripted broker: each trap of the way once.

#![allow(clippy::unwrap_used)]

mod scripted;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod traps;

use std::time::Duration;

use citywatch_ingest::decode::Format;
use citywatch_ingest::link::{LinkConfig, LinkTopic, Pace};

/// A link that is quick to try again.
pub fn config(url: &str) -> LinkConfig {
    LinkConfig {
        topics: vec![LinkTopic {
            template: "citywatch/readings/#".to_owned(),
            format: Format::Citywatch,
            qos: 1,
        }],
        pace: Pace {
            first_backoff: Duration::from_millis(10),
            longest_backoff: Duration::from_millis(100),
            refused_backoff: Duration::from_millis(600),
            timeout: Duration::from_secs(5),
            noted_after: Duration::from_secs(2),
        },
        ..LinkConfig::new("city", url, "citywatch-test")
    }
}
