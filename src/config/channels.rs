//! `[sms]` and `[mail]`: the gateways by which departments are told, and what must hold before anybody relies on them.
//! Passwords are read from their files at the last moment and shown nowhere.

mod judge;

use std::path::PathBuf;
use std::time::Duration;

use citywatch_alerting::cap::Language;
use citywatch_alerting::channel::{
    MailAddressError, MailSettings, Receipts, Security, SmsSettings, authorities_are_readable,
};
use citywatch_model::Duration as Span;
use serde::Deserialize;

use super::secret::{self, Secret};

pub(super) use judge::judge;
pub use judge::unserved;
use judge::web_address;

/// `[sms]`: a gateway in Kannel's form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// Address of the gateway's `sendsms`.
    pub url: String,
    /// Account at the gateway.
    pub username: String,
    /// Its password.
    pub password: Option<Secret>,
    /// Or a file with nothing but the password.
    pub password_file: Option<PathBuf>,
    /// Sender that telephones show.
    pub from: Option<String>,
    /// Reports that the gateway is asked for.
    #[serde(default = "all_receipts")]
    pub receipts: ReceiptsWanted,
    /// Address under which the gateway reaches this service, for its reports; absent: `public_url`.
    pub receipts_url: Option<String>,
    /// Language of the messages.
    #[serde(default = "chinese")]
    pub language: SmsLanguage,
    /// Longest message, in parts of 67 characters.
    #[serde(default = "four")]
    pub max_parts: usize,
    /// Until the gateway has answered.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// Attempts at a time.
    #[serde(default = "eight")]
    pub concurrent: usize,
    /// Further authorities that may sign the gateway's certificate, PEM.
    pub ca_file: Option<PathBuf>,
}

/// Reports that the gateway is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptsWanted {
    /// Queued, taken by the carrier, delivered, failed.
    All,
    /// Delivered, failed, refused.
    Final,
    /// None.
    None,
}

/// Language of text messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmsLanguage {
    /// Chinese.
    Zh,
    /// English.
    En,
}

/// `[mail]`: the next mail server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Its name, which its certificate must bear.
    pub host: String,
    /// Absent: 587 for starttls, 465 for tls, 25 for none.
    pub port: Option<u16>,
    /// How the connection is kept private.
    #[serde(default = "starttls")]
    pub security: MailSecurity,
    /// Account; absent: the server asks for none.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Or a file with nothing but the password.
    pub password_file: Option<PathBuf>,
    /// The sender's address.
    pub from: String,
    /// For connecting, and for each answer of the server.
    #[serde(default = "ten_seconds")]
    pub timeout: Span,
    /// Attempts at a time.
    #[serde(default = "four")]
    pub concurrent: usize,
    /// Further authorities that may sign the server's certificate, PEM.
    pub ca_file: Option<PathBuf>,
}

/// How the connection to the mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// TLS is insisted on.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None.
    None,
}

fn all_receipts() -> ReceiptsWanted {
    ReceiptsWanted::All
}
fn chinese() -> SmsLanguage {
    SmsLanguage::Zh
}
fn starttls() -> MailSecurity {
    MailSecurity::StartTls
}
fn four() -> usize {
    4
}
fn eight() -> usize {
    8
}
fn ten_seconds() -> Span {
    Span::from_secs(10)
}

impl Sms {
    /// As the channel wants it; the password is read now.
    pub fn settings(&self) -> Result<SmsSettings, String> {
        let named = |why: String| format!("[sms]: {why}");
        let password = secret::read(
            "password",
            self.password.as_ref(),
            self.password_file.as_deref(),
        );
        authorities_are_readable(self.ca_file.as_deref()).map_err(|e| named(e.to_string()))?;
        Ok(SmsSettings {
            url: web_address(&self.url).map_err(named)?,
            username: self.username.clone(),
            password: password.map_err(named)?.unwrap_or_default(),
            from: self.from.clone(),
            receipts: match self.receipts {
                ReceiptsWanted::All => Receipts::All,
                ReceiptsWanted::Final => Receipts::Final,
                ReceiptsWanted::None => Receipts::None,
            },
            language: match self.language {
                SmsLanguage::Zh => Language::Chinese,
                SmsLanguage::En => Language::English,
            },
            max_parts: self.max_parts,
            timeout: std_time(self.timeout),
            concurrent: self.concurrent,
            ca_file: self.ca_file.clone(),
        })
    }

    /// Makes relative paths start at `base`.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.password_file, &mut self.ca_file]
            .into_iter()
            .flatten()
    }
}

impl Mail {
    /// As the channel wants it; the password is read now. `name` is who sends, for people.
    pub fn settings(&self, name: &str) -> Result<MailSettings, String> {
        let named = |why: String| format!("[mail]: {why}");
        let password = secret::read(
            "password",
            self.password.as_ref(),
            self.password_file.as_deref(),
        );
        authorities_are_readable(self.ca_file.as_deref()).map_err(|e| named(e.to_string()))?;
        let security = match self.security {
            MailSecurity::StartTls => Security::StartTls,
            MailSecurity::Tls => Security::Tls,
            MailSecurity::None => Security::None,
        };
        let from = self.from.parse();
        Ok(MailSettings {
            host: self.host.clone(),
            port: self.port.unwrap_or(security.port()),
            security,
            credentials: self.username.clone().zip(password.map_err(named)?),
            from: from.map_err(|error: MailAddressError| named(error.to_string()))?,
            from_name: name.to_owned(),
            timeout: std_time(self.timeout),
            concurrent: self.concurrent,
            ca_file: self.ca_file.clone(),
        })
    }

    /// Makes relative paths start at `base`.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.password_file, &mut self.ca_file]
            .into_iter()
            .flatten()
    }
}

fn std_time(span: Span) -> Duration {
    span.to_std()
}
