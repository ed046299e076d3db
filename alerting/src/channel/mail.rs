//! Mail over SMTP: plain text and HTML in both languages, the CAP message attached. The only file that names the mail
//! library.
//!
//! *Accepted* is the mail server's 250: the next hop has it. *Delivered* is never known, for reports of mail servers are
//! mostly suppressed. Each attempt is a connection of its own; TLS is required unless the settings say otherwise, and a
//! server that stops to offer it gets neither password nor warning.

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::tls::{self, TrustError};
use super::{
    BoxFuture, Channel, Endpoint, MAIL, SendFailure, SendOrder, Sent, mail_hint, mail_text,
};
use crate::cap::one_line;

/// More of an answer is not shown.
const EXCERPT_CHARS: usize = 300;
/// Of a long chain the first message and the newest ones are named: mail programs thread by them.
const MAX_REFERENCES: usize = 20;

/// A mailbox's address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailAddress(Address);

/// Why a text is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` is not a mail address: {why}; write it as duty@city.example")]
pub struct MailAddressError {
    /// As it came.
    pub address: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for MailAddress {
    type Err = MailAddressError;

    fn from_str(text: &str) -> Result<MailAddress, MailAddressError> {
        let address = text.trim().parse::<Address>();
        address.map(MailAddress).map_err(|error| MailAddressError {
            address: text.to_owned(),
            why: error.to_string().to_lowercase(),
        })
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_ref())
    }
}

/// How the connection to the mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS is asked for on the plain port, and insisted on.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None; only for a server on this machine.
    None,
}

impl Security {
    /// The port that is usual for it.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Security::StartTls => 587,
            Security::Tls => 465,
            Security::None => 25,
        }
    }
}

/// The mail server and how to speak to it.
#[derive(Clone)]
pub struct MailSettings {
    /// Its name, which its certificate must bear.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub security: Security,
    /// Account and password; `None` for a server that asks for none.
    pub credentials: Option<(String, String)>,
    /// The sender.
    pub from: MailAddress,
    /// Its name for people; may be empty.
    pub from_name: String,
    /// For connecting, and for each of the server's answers.
    pub timeout: Duration,
    /// Attempts at a time.
    pub concurrent: usize,
    /// Further authorities that may sign the server's certificate.
    pub ca_file: Option<PathBuf>,
}

/// Why the channel cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The authorities that should be trusted cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The mail library refuses its settings.
    #[error("cannot set up the connection to the mail server: {0}")]
    Client(#[from] lettre::transport::smtp::Error),
}

/// The channel.
pub struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    settings: MailSettings,
}

impl Mail {
    /// Ready to send; nothing is sent yet.
    ///
    /// # Errors
    /// If `ca_file` cannot be read, or TLS cannot be set up.
    pub fn new(settings: MailSettings) -> Result<Mail, MailError> {
        let domain = settings.from.0.domain().to_owned();
        let tls = match settings.security {
            Security::StartTls => Tls::Required(parameters(&settings)?),
            Security::Tls => Tls::Wrapper(parameters(&settings)?),
            Security::None => Tls::None,
        };
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.as_str())
                .port(settings.port)
                .tls(tls)
                .timeout(Some(settings.timeout))
                .hello_name(ClientId::Domain(domain));
        if let Some((user, password)) = &settings.credentials {
            transport = transport.credentials(Credentials::new(user.clone(), password.clone()));
        }
        Ok(Mail {
            transport: transport.build(),
            settings,
        })
    }

    /// Subject, plain text and HTML of `order`.
    #[must_use]
    pub fn texts(order: &SendOrder) -> [String; 3] {
        let (warning, answer_url) = (&order.warning, order.answer_url.as_deref());
        [
            mail_text::subject(warning),
            mail_text::plain(warning, answer_url),
            mail_text::html(warning, answer_url),
        ]
    }

    /// The message that `order` becomes, headers and all, as it goes over the wire.
    ///
    /// # Errors
    /// One sentence on why it cannot be written.
    pub fn formatted(&self, order: &SendOrder) -> Result<Vec<u8>, String> {
        let Endpoint::Mail { address } = &order.endpoint else {
            return Err(format!("a {} address takes no mail", order.endpoint.kind()));
        };
        Ok(self.message(order, address)?.formatted())
    }

    async fn attempt(&self, order: &SendOrder) -> Result<Sent, SendFailure> {
        let Endpoint::Mail { address } = &order.endpoint else {
            return Err(SendFailure::misrouted(MAIL, &order.endpoint));
        };
        let message = self.message(order, address).map_err(|why| {
            let detail = format!("the mail cannot be written: {why}");
            SendFailure::Permanent {
                detail,
                status: None,
            }
        })?;
        match self.transport.send(message).await {
            Ok(response) => {
                let said: Vec<&str> = response.message().collect();
                let said = one_line(&said.join(" "), EXCERPT_CHARS);
                let server = self.server();
                Ok(Sent {
                    accepted: true,
                    delivered: false,
                    status: Some(response.code().into()),
                    detail: format!(
                        "the mail server {server} answered {}: {said}",
                        response.code()
                    ),
                })
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn message(&self, order: &SendOrder, to: &MailAddress) -> Result<Message, String> {
        let warning = &*order.warning;
        let settings = &self.settings;
        let sender_name = Some(settings.from_name.clone()).filter(|name| !name.is_empty());
        let to_name = one_line(&recipient(order), EXCERPT_CHARS);
        let mut message = Message::builder()
            .from(Mailbox::new(sender_name, settings.from.0.clone()))
            .to(Mailbox::new(Some(to_name), to.0.clone()))
            .subject(mail_text::subject(warning))
            .message_id(Some(self.message_id(&order.message_id)))
            .raw_header(automatic());
        let earlier = order.earlier.iter().filter(|id| **id != order.message_id);
        let earlier: Vec<String> = earlier.map(|id| self.message_id(id)).collect();
        if let (Some(first), Some(last)) = (earlier.first(), earlier.last()) {
            let newest = earlier.len().saturating_sub(MAX_REFERENCES - 1).max(1);
            let named = [
                std::slice::from_ref(first),
                &earlier[newest.min(earlier.len())..],
            ];
            message = message
                .in_reply_to(last.clone())
                .references(named.concat().join(" "));
        }
        let answer_url = order.answer_url.as_deref();
        let text = MultiPart::alternative()
            .singlepart(SinglePart::plain(mail_text::plain(warning, answer_url)))
            .singlepart(SinglePart::html(mail_text::html(warning, answer_url)));
        let cap_type = ContentType::parse(crate::cap::MEDIA_TYPE).map_err(|e| e.to_string())?;
        let cap = Attachment::new(format!("{}.xml", file_name(&warning.identifier)))
            .body(order.cap_xml.as_bytes().to_vec(), cap_type);
        message
            .multipart(MultiPart::mixed().multipart(text).singlepart(cap))
            .map_err(|error| error.to_string())
    }

    /// The same for every attempt of a delivery.
    fn message_id(&self, id: &str) -> String {
        format!("<{id}@{}>", self.settings.from.0.domain())
    }

    fn server(&self) -> String {
        format!("{}:{}", self.settings.host, self.settings.port)
    }

    fn failure(&self, error: &lettre::transport::smtp::Error) -> SendFailure {
        let status: Option<u16> = error.status().map(Into::into);
        let why = one_line(&reason(error), EXCERPT_CHARS);
        let said = match status {
            Some(code) => format!("the mail server {} answered {code}: {why}", self.server()),
            None => format!("the mail server {}: {why}", self.server()),
        };
        let detail = said + &mail_hint::hint(status, &why, &self.settings.host);
        // a wrong password is mended by a person, perhaps before the warning lapses
        let about_account = mail_hint::about_account(status);
        if error.is_permanent() && !about_account {
            return SendFailure::Permanent { detail, status };
        }
        SendFailure::Retry {
            detail,
            after: None,
            status,
        }
    }
}

fn parameters(settings: &MailSettings) -> Result<TlsParameters, MailError> {
    let mut parameters = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        for certificate in tls::authorities(path)? {
            parameters = parameters
                .add_root_certificate(Certificate::from_der(certificate.as_ref().to_vec())?);
        }
    }
    Ok(parameters.build_rustls()?)
}

/// RFC 3834: nobody's absence note answers it.
fn automatic() -> HeaderValue {
    HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    )
}

/// Department and person, for the address line.
fn recipient(order: &SendOrder) -> String {
    let department = crate::cap::Language::Chinese.of(&order.recipient.department_name);
    format!("{department} {}", order.recipient.contact)
        .trim()
        .to_owned()
}

/// An identifier as a name that every system takes for a file.
fn file_name(identifier: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = identifier.chars().map(|c| if plain(c) { c } else { '_' });
    name.take(100).collect()
}

/// What lies beneath the library's own words.
fn reason(error: &lettre::transport::smtp::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut reasons: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(inner) = next {
        let text = inner.to_string();
        // an outer error often repeats the one inside it
        if !reasons.iter().any(|said| said.contains(&text)) {
            reasons.push(text);
        }
        next = inner.source();
    }
    if reasons.is_empty() {
        return error.to_string();
    }
    reasons.join(": ")
}

impl Channel for Mail {
    fn kind(&self) -> &'static str {
        MAIL
    }

    fn send<'a>(&'a self, order: &'a SendOrder) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(self.attempt(order))
    }

    fn concurrent(&self) -> Option<usize> {
        Some(self.settings.concurrent)
    }
}
