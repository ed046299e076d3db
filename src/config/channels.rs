//! `[sms]` and `[mail]`: the gateways by which departments are told, and what must hold before anybody relies on them.
//! Passwords are read from their files at the last moment and shown nowhere.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use citywatch_alerting::Directory;
use citywatch_alerting::cap::Language;
use citywatch_alerting::channel::{
    MAIL, MailAddress, MailAddressError, MailSettings, Receipts, SMS, Security, SmsSettings,
    authorities_are_readable,
};
use citywatch_alerting::directory::Department;
use citywatch_model::Duration as Span;
use serde::Deserialize;

use super::Config;

/// The outbox gives an attempt up after 30 s; what a channel waits for must end before.
const LONGEST: Span = Span::from_secs(25);
const SHORTEST: Span = Span::from_secs(1);

/// A secret of the configuration; it is never shown.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `[sms]`: a gateway in Kannel's form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// Address of the gateway's `sendsms`.
    pub url: String,
    /// Account at the gateway.
    pub username: String,
    /// Its password.
    pub password: Option<Hidden>,
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
    pub password: Option<Hidden>,
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

/// What is wrong, and the text of the file at which to look for it.
pub(super) type Wrong = (String, String);

/// What the types cannot say of both sections.
pub(super) fn judge(config: &Config) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut say = |needle: &str, message: String| wrong.push((needle.to_owned(), message));
    if let Some(sms) = &config.sms {
        judge_sms(sms, &mut say);
    }
    if let Some(mail) = &config.mail {
        judge_mail(mail, &mut say);
    }
    if config.sms.is_none() && config.mail.is_none() {
        return wrong;
    }
    let section = if config.sms.is_some() {
        "[sms]"
    } else {
        "[mail]"
    };
    match &config.service.public_url {
        None => say(
            section,
            format!(
                "{section} needs `public_url` under [service]: messages hold a link on which the recipient answers, so write the address under which telephones and mail programs reach this service, such as https://warn.city.example"
            ),
        ),
        Some(url) => {
            if let Err(why) = web_address(url) {
                say("public_url", format!("`public_url`: {why}"));
            }
        }
    }
    wrong
}

fn judge_sms(sms: &Sms, say: &mut dyn FnMut(&str, String)) {
    if let Err(why) = web_address(&sms.url) {
        say(&sms.url, format!("`url` under [sms]: {why}"));
    }
    if let Some(Err(why)) = sms.receipts_url.as_deref().map(web_address) {
        say("receipts_url", format!("`receipts_url` under [sms]: {why}"));
    }
    if !(2..=10).contains(&sms.max_parts) {
        say(
            "max_parts",
            "`max_parts` must lie between 2 and 10: one part has no room for a link".to_owned(),
        );
    }
    limits("[sms]", sms.timeout, sms.concurrent, say);
    one_password(
        "[sms]",
        sms.password.is_some(),
        sms.password_file.is_some(),
        say,
    );
    if sms.password.is_none() && sms.password_file.is_none() {
        say(
            "[sms]",
            "[sms] needs `password` or `password_file`".to_owned(),
        );
    }
}

fn judge_mail(mail: &Mail, say: &mut dyn FnMut(&str, String)) {
    if let Err(error) = mail.from.parse::<MailAddress>() {
        say(&mail.from, format!("`from` under [mail]: {error}"));
    }
    if mail.host.trim().is_empty() || mail.host.contains(['/', ':', '@', ' ']) {
        say(
            "[mail]",
            format!(
                "`host` under [mail] is `{}`: write the server's name alone, such as smtp.city.example, and its port as `port`",
                mail.host
            ),
        );
    }
    limits("[mail]", mail.timeout, mail.concurrent, say);
    let password = mail.password.is_some() || mail.password_file.is_some();
    one_password(
        "[mail]",
        mail.password.is_some(),
        mail.password_file.is_some(),
        say,
    );
    if mail.username.is_some() != password {
        say(
            "[mail]",
            "[mail] needs both `username` and a password, or neither".to_owned(),
        );
    }
    if mail.security == MailSecurity::None && mail.username.is_some() && !is_near(&mail.host) {
        say(
            "security",
            "`security = \"none\"` would send the password in the clear: use \"starttls\" or \"tls\"".to_owned(),
        );
    }
}

fn limits(section: &str, timeout: Span, concurrent: usize, say: &mut dyn FnMut(&str, String)) {
    if timeout < SHORTEST || timeout > LONGEST {
        say(
            "timeout",
            format!(
                "`timeout` under {section} must lie between 1s and 25s: an attempt ends after 30s"
            ),
        );
    }
    if !(1..=256).contains(&concurrent) {
        say(
            "concurrent",
            format!("`concurrent` under {section} must lie between 1 and 256"),
        );
    }
}

fn one_password(section: &str, inline: bool, file: bool, say: &mut dyn FnMut(&str, String)) {
    if inline && file {
        say(
            section,
            format!("{section} has both `password` and `password_file`: keep one"),
        );
    }
}

fn is_near(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An address that links can be put behind.
fn web_address(text: &str) -> Result<url::Url, String> {
    let wrong = |why: &str| {
        format!(
            "`{text}` {why}: write http://HOST or https://HOST, with a port and a path if need be"
        )
    };
    let url = text
        .parse::<url::Url>()
        .map_err(|error| wrong(&format!("is no web address ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("is no address of the web"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user or a password"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has something behind ? or #"));
    }
    Ok(url)
}

/// The password, from wherever it stands.
fn password(inline: Option<&Hidden>, file: Option<&Path>) -> Result<Option<String>, String> {
    if let Some(hidden) = inline {
        return Ok(Some(hidden.0.clone()));
    }
    let Some(path) = file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!(
            "`password_file` {} cannot be read: {error}; the service's user must be able to",
            path.display()
        )
    })?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(format!("`password_file` {} is empty", path.display()));
    }
    Ok(Some(text.to_owned()))
}

impl Sms {
    /// As the channel wants it; the password is read now.
    pub fn settings(&self) -> Result<SmsSettings, String> {
        let named = |why: String| format!("[sms]: {why}");
        let password = password(self.password.as_ref(), self.password_file.as_deref());
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
        let password = password(self.password.as_ref(), self.password_file.as_deref());
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

/// What `directory` would send by gateways that are not configured: the kind, and what is wrong.
pub fn unserved(config: &Config, directory: &Directory) -> Vec<(&'static str, String)> {
    let served = [(SMS, config.sms.is_some()), (MAIL, config.mail.is_some())];
    let missing = served.into_iter().filter(|(_, served)| !served);
    let mut problems = Vec::new();
    for (kind, _) in missing {
        let has = |department: &&Department| {
            let mut endpoints = department.endpoints();
            endpoints.any(|(_, endpoint)| endpoint.kind() == kind)
        };
        for department in directory.departments.values().filter(has) {
            problems.push((
                kind,
                format!(
                    "department `{}` is to be told by {kind}, and citywatch.toml has no [{kind}]: add the section, or remove the channel",
                    department.id
                ),
            ));
        }
        for plan in directory.plans.values() {
            let mut levels = plan
                .levels
                .values()
                .filter_map(|level| level.channels.as_ref());
            if levels.any(|kinds| kinds.iter().any(|named| named == kind)) {
                problems.push((
                    kind,
                    format!(
                        "plan `{}` names the channel {kind}, and citywatch.toml has no [{kind}]: add the section, or leave it out",
                        plan.id
                    ),
                ));
            }
        }
    }
    problems
}
