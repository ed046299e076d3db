//! Webhooks: one POST of signed JSON, as Standard Webhooks describes it.
//!
//! *Accepted* and *delivered* are one moment here: a 2xx comes from the recipient's own endpoint, so there is no
//! next hop in between. It says that a machine has the warning, never that a person has read it.
//!
//! Redirects are not followed (the signature was made for one address, and a warning must not wander), and an
//! endpoint's address appears in no message, for its path may be a secret.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Request, StatusCode};

use super::http::{self, HttpError, causes};
use super::{BoxFuture, Channel, Endpoint, SendFailure, SendOrder, Sent, WEBHOOK, body};

/// An endpoint may ask for a pause, but not hold a warning back for longer than this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// How long an attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection, TLS included.
    pub connect: Duration,
    /// Until the answer's status is there.
    pub total: Duration,
    /// For the answer's text after its status; the status alone decides, so this one is short.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(20),
            answer: Duration::from_secs(1),
        }
    }
}

/// The channel. One client with its pool of connections serves all endpoints.
pub struct Webhook {
    client: Client,
    timeouts: Timeouts,
}

impl Webhook {
    /// Reads the system's root certificates.
    ///
    /// # Errors
    /// If TLS or the HTTP client cannot be set up; a machine without root certificates is no error.
    pub fn new(timeouts: Timeouts) -> Result<Webhook, HttpError> {
        let client = http::client(timeouts.connect, None)?;
        Ok(Webhook { client, timeouts })
    }

    async fn attempt(&self, order: &SendOrder) -> Result<Sent, SendFailure> {
        let request = self.request(order)?;
        let host = order.endpoint.host();
        let sending = tokio::time::timeout(self.timeouts.total, self.client.execute(request));
        let response = match sending.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.broken(&host, &error)),
            Err(_) => {
                return Err(retry(format!(
                    "POST to {host}: no answer within {:?}",
                    self.timeouts.total
                )));
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let excerpt = http::excerpt(response, self.timeouts.answer).await;
        let answer = Answer {
            host: &host,
            status,
            headers: &headers,
            excerpt: &excerpt,
        };
        answer.judge(SystemTime::now())
    }

    fn request(&self, order: &SendOrder) -> Result<Request, SendFailure> {
        let Endpoint::Webhook { url, secret } = &order.endpoint else {
            return Err(SendFailure::misrouted(WEBHOOK, &order.endpoint));
        };
        let unusable = |why: String| SendFailure::Permanent {
            detail: format!("POST to {} cannot be made: {why}", order.endpoint.host()),
            status: None,
        };
        let body = body::body(order).map_err(|error| unusable(error.to_string()))?;
        let timestamp = Timestamp::now().as_second();
        let mut request = self
            .client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &order.message_id)
            .header("webhook-timestamp", timestamp);
        if let Some(secret) = secret {
            request = request.header(
                "webhook-signature",
                secret.sign(&order.message_id, timestamp, &body),
            );
        }
        request
            .body(body)
            .build()
            .map_err(|error| unusable(causes(&error)))
    }

    /// There was no answer. The address may come back, a certificate may be renewed: all but an impossible
    /// request is worth another attempt.
    fn broken(&self, host: &str, error: &reqwest::Error) -> SendFailure {
        if error.is_builder() {
            return SendFailure::Permanent {
                detail: format!("POST to {host} cannot be made: {}", causes(error)),
                status: None,
            };
        }
        if error.is_connect() && error.is_timeout() {
            return retry(format!(
                "POST to {host}: no connection within {:?}",
                self.timeouts.connect
            ));
        }
        retry(format!("POST to {host} failed: {}", causes(error)))
    }
}

impl Channel for Webhook {
    fn kind(&self) -> &'static str {
        WEBHOOK
    }

    fn send<'a>(&'a self, order: &'a SendOrder) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(self.attempt(order))
    }
}

fn retry(detail: String) -> SendFailure {
    SendFailure::retry(detail)
}

/// What came back.
struct Answer<'a> {
    host: &'a str,
    status: StatusCode,
    headers: &'a HeaderMap,
    excerpt: &'a str,
}

impl Answer<'_> {
    fn judge(&self, now: SystemTime) -> Result<Sent, SendFailure> {
        let status = Some(self.status.as_u16());
        match self.status.as_u16() {
            200..=299 => Ok(Sent {
                accepted: true,
                delivered: true,
                status,
                detail: self.detail(""),
            }),
            // moved for now, too early, too many, the other side's own trouble, or a wrong secret or address
            // that somebody may mend before the warning lapses
            302 | 303 | 307 | 401 | 403 | 404 | 408 | 425 | 429 | 500..=599 => {
                Err(SendFailure::Retry {
                    detail: self.detail(self.hint()),
                    after: self.retry_after(now),
                    status,
                })
            }
            _ => Err(SendFailure::Permanent {
                detail: self.detail(self.hint()),
                status,
            }),
        }
    }

    fn hint(&self) -> &'static str {
        match self.status.as_u16() {
            300..=399 => " (redirects are not followed: put the new address in the plan)",
            401 | 403 => " (check the secret at both ends)",
            404 => " (check the address in the plan)",
            410 => {
                " (the recipient wants no more messages here: remove or change the address in the plan)"
            }
            _ => "",
        }
    }

    /// Host, status, new host of a redirect, beginning of the text.
    fn detail(&self, hint: &str) -> String {
        let mut detail = format!("POST to {} answered {}", self.host, self.status);
        if let Some(target) = self.redirect_host() {
            detail.push_str(&format!(" towards {target}"));
        }
        detail.push_str(hint);
        if !self.excerpt.is_empty() {
            detail.push_str(": ");
            detail.push_str(self.excerpt);
        }
        detail
    }

    fn redirect_host(&self) -> Option<String> {
        let target = self
            .headers
            .get(LOCATION)
            .filter(|_| self.status.is_redirection())?
            .to_str()
            .ok()?;
        let url = url::Url::parse(target).ok()?;
        url.host_str().map(str::to_owned)
    }

    /// `Retry-After` in seconds or as a date of RFC 9110; at most an hour.
    fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let date = jiff::fmt::rfc2822::DateTimeParser::new()
                    .parse_timestamp(text)
                    .ok()?;
                SystemTime::from(date)
                    .duration_since(now)
                    .unwrap_or(Duration::ZERO)
            }
        };
        Some(wait.min(MAX_RETRY_AFTER))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_retry_after() {
        let now: SystemTime = "2026-11-22T08:00:00Z".parse::<Timestamp>().unwrap().into();
        for (value, want) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Sun, 22 Nov 2026 08:00:30 GMT", Some(30)),
            ("Sun, 22 Nov 2026 07:00:00 GMT", Some(0)),
            ("86400", Some(3_600)),
            ("99999999999999999999", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            let answer = Answer {
                host: "h",
                status: StatusCode::SERVICE_UNAVAILABLE,
                headers: &headers,
                excerpt: "",
            };
            assert_eq!(
                answer.retry_after(now),
                want.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
