//! The archive's address as a client of it sees it. This is the only file that names influxdb2 and the HTTP client
//! that it is built on; it judges what an answer means, and retries nothing.
//!
//! The library hands out status and text of an answer but not its headers, so a `Retry-After` cannot be seen: the
//! growing waits between attempts stand for it.

use std::time::Duration;

use influxdb2::api::write::TimestampPrecision;
use influxdb2::models::{DataPoint, WriteDataPoint};
use influxdb2::{ClientBuilder, RequestError};
use reqwest_of_influxdb2::{ClientBuilder as HttpBuilder, StatusCode, redirect};

use super::point::Point;
use super::{ArchiveConfig, ArchiveError};

/// The one measurement of all points: names that devices choose stand in tags only, where none can turn a line into
/// a comment or into a part of the database's own.
const MEASUREMENT: &str = "reading";
/// Shorter than the keep-alive of common servers.
const IDLE: Duration = Duration::from_secs(30);
/// More of an answer's text is not shown.
const EXCERPT_CHARS: usize = 300;

/// Why points were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteError {
    /// At least one of them is refused. `named`: the archive says that it could read them, so they are the matter
    /// and not the address.
    Refused { reason: String, named: bool },
    /// The archive is not there, or not for us; `kind` is a metric's label.
    Unavailable { reason: String, kind: &'static str },
}

pub(super) struct Client {
    client: influxdb2::Client,
    org: String,
    bucket: String,
}

impl Client {
    pub(super) fn new(config: &ArchiveConfig) -> Result<Client, ArchiveError> {
        // the library panics on an address that it cannot parse
        check_url(&config.url).map_err(ArchiveError::Url)?;
        let http = HttpBuilder::new()
            .user_agent(concat!("citywatch/", env!("CARGO_PKG_VERSION")))
            // a redirected write becomes a read
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .pool_idle_timeout(IDLE);
        let client = ClientBuilder::with_builder(http, &config.url, &config.org, &config.token)
            .build()
            .map_err(|error| ArchiveError::Client(error.to_string()))?;
        Ok(Client {
            client,
            org: config.org.clone(),
            bucket: config.bucket.clone(),
        })
    }

    /// Writes `points` in one request; `Ok` when the archive has all of them.
    pub(super) async fn write(&self, points: &[Point]) -> Result<(), WriteError> {
        let body = lines(points).map_err(|reason| WriteError::Refused {
            reason,
            named: true,
        })?;
        let precision = TimestampPrecision::Milliseconds;
        self.client
            .write_line_protocol_with_precision(&self.org, &self.bucket, body, precision)
            .await
            .map_err(judge)
    }
}

/// What is wrong with an address, if anything is: the library would panic, or drop a part of it in silence.
///
/// # Errors
/// What is wrong and what to write; user and password are not repeated.
pub fn check_url(text: &str) -> Result<(), String> {
    let wrong = |problem: &str| Err(format!("{problem}: write http://host:port or https://host"));
    let Ok(url) = url::Url::parse(text) else {
        return wrong("is not a url");
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return wrong("has no http or https host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("names a user: the token stands in `token` or `token_file`");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return wrong("has a path or a query, which InfluxDB's own address has not");
    }
    Ok(())
}

/// Whether anything speaks HTTP at the archive's address; for a person who checks a configuration.
///
/// # Errors
/// If nothing does.
pub async fn reach(config: &ArchiveConfig) -> Result<(), String> {
    let client = Client::new(config).map_err(|error| error.to_string())?;
    match client.client.ready().await.map_err(judge) {
        Err(WriteError::Unavailable {
            reason,
            kind: "network",
        }) => Err(reason),
        // whatever it said, somebody is there; the rights show with the first points
        Ok(_) | Err(_) => Ok(()),
    }
}

fn lines(points: &[Point]) -> Result<Vec<u8>, String> {
    let mut lines = Vec::with_capacity(points.len() * 96);
    for point in points {
        let line = data_point(point)?;
        line.write_data_point_to(&mut lines)
            .map_err(|error| error.to_string())?;
    }
    Ok(lines)
}

fn data_point(point: &Point) -> Result<DataPoint, String> {
    let mut builder = DataPoint::builder(MEASUREMENT)
        .tag("measurement", point.measurement.as_str())
        .tag("sensor", point.sensor.as_str())
        .field("value", point.value)
        .timestamp(point.time.millis());
    // an empty tag is no line protocol
    if !point.unit.is_empty() {
        builder = builder.tag("unit", point.unit.as_str());
    }
    if point.flags != 0 {
        builder = builder.field("flags", i64::from(point.flags));
    }
    builder.build().map_err(|error| error.to_string())
}

fn judge(error: RequestError) -> WriteError {
    match error {
        RequestError::Http { status, text } => answered(status, &text),
        RequestError::ReqwestProcessing { source } => WriteError::Unavailable {
            reason: network(&source.without_url()),
            kind: "network",
        },
        other @ (RequestError::Serializing { .. } | RequestError::Deserializing { .. }) => {
            WriteError::Unavailable {
                reason: other.to_string(),
                kind: "answer",
            }
        }
    }
}

/// An answer other than 204.
fn answered(status: StatusCode, text: &str) -> WriteError {
    let reason = format!("it answers {status}: {}", excerpt(text));
    let unavailable = |kind, hint: &str| WriteError::Unavailable {
        reason: format!("{reason}{hint}"),
        kind,
    };
    match status.as_u16() {
        400 | 413 => WriteError::Refused {
            reason,
            named: false,
        },
        422 => WriteError::Refused {
            reason,
            named: true,
        },
        429 => unavailable("busy", ""),
        401 | 403 => unavailable(
            "denied",
            "; check the token and its right to write into the bucket",
        ),
        404 => unavailable("denied", "; check url, org and bucket"),
        500..=599 => unavailable("server", ""),
        _ => unavailable("answer", "; check that InfluxDB 2 listens at this url"),
    }
}

/// The whole chain of causes on one line: the outermost alone says nothing of use.
fn network(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// What InfluxDB says, without its wrapping and on one line.
fn excerpt(text: &str) -> String {
    let message = serde_json::from_str::<serde_json::Value>(text)
        .ok()
        .and_then(|answer| answer.get("message")?.as_str().map(str::to_owned));
    let message = message.unwrap_or_else(|| text.to_owned());
    let plain = message.trim().chars().take(EXCERPT_CHARS);
    plain
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use citywatch_model::{Time, flags, name};

    use super::*;

    fn line(sensor: &str, measurement: &str, unit: &str, value: f64, marks: u8) -> String {
        let point = Point {
            sensor: name(sensor),
            measurement: name(measurement),
            time: Time::from_millis(1_790_000_000_123),
            value,
            unit: name(unit),
            flags: marks,
        };
        String::from_utf8(lines(&[point]).unwrap()).unwrap()
    }

    #[test]
    fn names_are_tags_and_are_escaped() {
        insta::assert_snapshot!(
            [
                line("g-1", "methane", "%LEL", 1.25, 0),
                line("井 3, 东=西", "water depth", "", -0.1, flags::NO_TIME | flags::UNKNOWN_SENSOR),
                line("#1\"x\"", "_field", "ug/m3", 1e-7, 0),
            ]
            .concat(),
            @r##"
        reading,measurement=methane,sensor=g-1,unit=%LEL value=1.25 1790000000123
        reading,measurement=water\ depth,sensor=井\ 3\,\ 东\=西 flags=5i,value=-0.1 1790000000123
        reading,measurement=_field,sensor=#1"x",unit=ug/m3 value=0.0000001 1790000000123
        "##
        );
    }

    #[test]
    fn every_finite_number_is_written_so_that_it_is_read_back_exactly() {
        for value in [
            0.1 + 0.2,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            -1e300,
            1.0 / 3.0,
        ] {
            let line = line("s", "m", "", value, 0);
            let text = line
                .split("value=")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            assert_eq!(
                text.parse::<f64>().unwrap().to_bits(),
                value.to_bits(),
                "{line}"
            );
        }
    }

    #[test]
    fn an_address_that_would_panic_or_be_cut_is_refused() {
        for fine in [
            "http://127.0.0.1:8086",
            "https://influx.district.example/",
            "http://[::1]:8086",
        ] {
            assert_eq!(check_url(fine), Ok(()), "{fine}");
        }
        for wrong in [
            "",
            "influx:8086",
            "//x",
            "/3242/23",
            "ftp://host",
            "http://",
            "http://u:secret@host",
            "http://host/influx",
            "http://host?org=a",
            "http://host/#a",
            "http://ho st",
            "mailto:a@b",
        ] {
            let problem = check_url(wrong).unwrap_err();
            assert!(
                problem.contains("http://host:port") && !problem.contains("secret"),
                "{wrong}: {problem}"
            );
        }
    }

    #[test]
    fn only_answers_about_points_are_refusals() {
        let refused = |code: u16| {
            let status = StatusCode::from_u16(code).unwrap();
            match answered(status, "{\"code\":\"x\",\"message\":\"say\\nwhy\"}") {
                WriteError::Refused { reason, named } => {
                    assert!(reason.ends_with("say why"), "{reason}");
                    Some(named)
                }
                WriteError::Unavailable { .. } => None,
            }
        };
        assert_eq!(
            (refused(400), refused(413), refused(422)),
            (Some(false), Some(false), Some(true))
        );
        for code in [200, 301, 401, 403, 404, 405, 408, 429, 500, 503] {
            assert_eq!(refused(code), None, "{code}");
        }
    }
}
