//! Text messages over an HTTP gateway in Kannel's form: one GET of `sendsms` a message, in UCS-2, long ones cut into
//! parts by the gateway.
//!
//! *Accepted* is 202, whatever stands beside it: the gateway has queued the message, no carrier has seen it yet.
//! *Delivered* comes later, by the gateway's own call of the receipt address. The request holds the gateway's password,
//! so its address appears in no message, nor does the password if the gateway repeats it.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use url::Url;

use super::http::{self, HttpError, causes};
use super::{BoxFuture, Channel, Endpoint, SMS, SendFailure, SendOrder, Sent, sms_text};
use crate::cap::Language;

/// For the text behind a status.
const ANSWER: Duration = Duration::from_secs(1);

/// What to do about a gateway that does not answer.
const REMEDY: &str = "(see that it runs, and check `url` under [sms])";

/// Which reports the gateway is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipts {
    /// Queued, taken by the carrier, delivered, failed.
    All,
    /// Delivered, failed, refused.
    Final,
    /// None: accepted is all that is ever known.
    None,
}

/// The gateway and how to speak to it.
#[derive(Clone)]
pub struct SmsSettings {
    /// Address of its `sendsms`.
    pub url: Url,
    /// Account at the gateway.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The sender that telephones show, if the gateway lets us choose.
    pub from: Option<String>,
    /// Which reports are asked for.
    pub receipts: Receipts,
    /// Language of the messages.
    pub language: Language,
    /// Longest message, in parts of 67 characters.
    pub max_parts: usize,
    /// Until the answer's status is there.
    pub timeout: Duration,
    /// Attempts at a time.
    pub concurrent: usize,
    /// Further authorities that may sign the gateway's certificate.
    pub ca_file: Option<PathBuf>,
}

/// The channel.
pub struct Sms {
    client: Client,
    settings: SmsSettings,
}

impl Sms {
    /// Ready to send; nothing is sent yet.
    ///
    /// # Errors
    /// If `ca_file` cannot be read, or the HTTP client refuses its settings.
    pub fn new(settings: SmsSettings) -> Result<Sms, HttpError> {
        let connect = settings.timeout.min(Duration::from_secs(5));
        let client = http::client(connect, settings.ca_file.as_deref())?;
        Ok(Sms { client, settings })
    }

    /// The text that `order` becomes.
    #[must_use]
    pub fn text(&self, order: &SendOrder) -> String {
        sms_text::text(
            &order.warning,
            order.answer_url.as_deref(),
            self.settings.language,
            self.settings.max_parts,
        )
    }

    async fn attempt(&self, order: &SendOrder) -> Result<Sent, SendFailure> {
        let Endpoint::Sms { phone } = &order.endpoint else {
            return Err(SendFailure::misrouted(SMS, &order.endpoint));
        };
        let url = self.request(order, phone.as_str());
        let sending = tokio::time::timeout(self.settings.timeout, self.client.get(url).send());
        let host = self.host();
        let response = match sending.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let detail = format!("the SMS gateway at {host}: {} {REMEDY}", causes(&error));
                return Err(SendFailure::retry(detail));
            }
            Err(_) => {
                let limit = self.settings.timeout;
                let detail =
                    format!("the SMS gateway at {host}: no answer within {limit:?} {REMEDY}");
                return Err(SendFailure::retry(detail));
            }
        };
        let status = response.status();
        let excerpt = self.redacted(&http::excerpt(response, ANSWER).await);
        self.judge(status, &excerpt)
    }

    /// The call as the gateway's manual has it.
    fn request(&self, order: &SendOrder, phone: &str) -> Url {
        let settings = &self.settings;
        let mut url = settings.url.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("username", &settings.username)
            .append_pair("password", &settings.password)
            .append_pair("to", phone)
            .append_pair("charset", "UTF-8")
            .append_pair("coding", "2")
            .append_pair("text", &self.text(order));
        if let Some(from) = &settings.from {
            query.append_pair("from", from);
        }
        let mask = match settings.receipts {
            Receipts::All => Some("31"),
            Receipts::Final => Some("19"),
            Receipts::None => None,
        };
        if let (Some(mask), Some(receipt_url)) = (mask, &order.receipt_url) {
            // the gateway fills in %d, what became of it, and %A, the carrier's words
            query
                .append_pair("dlr-mask", mask)
                .append_pair("dlr-url", &format!("{receipt_url}?status=%d&answer=%A"));
        }
        drop(query);
        url
    }

    fn judge(&self, status: StatusCode, excerpt: &str) -> Result<Sent, SendFailure> {
        let (code, host) = (status.as_u16(), self.host());
        let hint = match code {
            200..=299 => " and not 202 (check that `url` under [sms] is the gateway's sendsms)",
            300..=399 => " (redirects are not followed: put the new address under [sms])",
            401 | 403 => " (check username and password under [sms], and who may call the gateway)",
            404 => " (check `url` under [sms])",
            _ => "",
        };
        let mut detail = format!("the SMS gateway at {host} answered {status}");
        if code != 202 {
            detail.push_str(hint);
        }
        if !excerpt.is_empty() {
            detail.push_str(": ");
            detail.push_str(excerpt);
        }
        match code {
            202 => Ok(Sent {
                accepted: true,
                delivered: false,
                status: Some(code),
                detail,
            }),
            // something may be mended before the warning lapses, here or at the gateway; only a message that the
            // gateway understood and will never take is given up
            400 | 402 | 405 | 406 | 409..=418 | 422 => Err(SendFailure::Permanent {
                detail,
                status: Some(code),
            }),
            _ => Err(SendFailure::Retry {
                detail,
                after: None,
                status: Some(code),
            }),
        }
    }

    fn host(&self) -> String {
        let url = &self.settings.url;
        let host = url.host_str().unwrap_or_default();
        url.port_or_known_default()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn redacted(&self, text: &str) -> String {
        let password = &self.settings.password;
        if password.is_empty() {
            return text.to_owned();
        }
        let encoded: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
        text.replace(password.as_str(), "***")
            .replace(&encoded, "***")
    }
}

impl Channel for Sms {
    fn kind(&self) -> &'static str {
        SMS
    }

    fn send<'a>(&'a self, order: &'a SendOrder) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(self.attempt(order))
    }

    fn concurrent(&self) -> Option<usize> {
        Some(self.settings.concurrent)
    }
}
