//! What must hold of `[delivery]`, and of `[sms]` and `[mail]` together with the rest of the configuration, and of the plans that use them.
//! Pure: nothing is read and nothing is sent.

use std::net::IpAddr;

use citywatch_alerting::Directory;
use citywatch_alerting::channel::{MAIL, MailAddress, SMS};
use citywatch_alerting::directory::Department;
use citywatch_model::Duration as Span;

use super::{Mail, MailSecurity, Sms};
use crate::config::{Config, Delivery};

/// The outbox gives an attempt up after 30 s; what a channel waits for must end before.
const LONGEST: Span = Span::from_secs(25);
const SHORTEST: Span = Span::from_secs(1);
/// With shorter waits between attempts an outage of the other side becomes a flood of them.
const SHORTEST_WAIT: Span = Span::from_millis(100);

/// What is wrong, and the text of the file at which to look for it.
pub type Wrong = (String, String);

/// What the types cannot say of these sections.
pub fn judge(config: &Config) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut say = |needle: &str, message: String| wrong.push((needle.to_owned(), message));
    judge_delivery(&config.delivery, &mut say);
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

fn judge_delivery(delivery: &Delivery, say: &mut dyn FnMut(&str, String)) {
    if delivery.max_attempts == Some(0) {
        say(
            "max_attempts",
            "`max_attempts` under [delivery] is 0, so nothing would ever be sent: write at least 1, or leave it out to try until the warning expires".to_owned(),
        );
    }
    for (key, wait) in [
        ("first_wait", delivery.first_wait),
        ("longest_wait", delivery.longest_wait),
    ] {
        if wait < SHORTEST_WAIT {
            say(
                key,
                format!("`{key}` under [delivery] is {wait}: it must be at least 100ms"),
            );
        }
    }
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
pub(super) fn web_address(text: &str) -> Result<url::Url, String> {
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
