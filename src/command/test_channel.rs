//! `citywatch test-channel`: one message, marked as a test in both languages, through the same channel as warnings, and
//! what the other side answered. It needs no running service, asks for no answer, and touches no ledger.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use citywatch_alerting::cap;
use citywatch_alerting::channel::{
    CAP_MQTT, Channel, Endpoint, KINDS, MAIL, Recipient, SMS, SendOrder, Sent, WEBHOOK,
};
use citywatch_alerting::directory::Department;
use citywatch_alerting::wall_clock;
use citywatch_alerting::warning::{Area, Cause, Scope, Status, Warning, WarningKind};
use citywatch_model::{Duration as Span, Level, Text, name};

use crate::cli::TestChannel;
use crate::config::{self, Config};
use crate::{bundle, service};

/// As long as the outbox waits for an attempt.
const LIMIT: Duration = Duration::from_secs(30);

/// Why nothing was sent.
enum Refusal {
    Usage(String),
    Problems(Vec<String>),
}

pub async fn run(options: TestChannel) -> ExitCode {
    match send(&options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Refusal::Usage(why)) => {
            eprintln!("citywatch test-channel: {why}");
            ExitCode::from(2)
        }
        Err(Refusal::Problems(problems)) => {
            for problem in problems {
                eprintln!("citywatch test-channel: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// `true` if every message was taken.
async fn send(options: &TestChannel) -> Result<bool, Refusal> {
    let config = config::read(&options.config).map_err(|problems| {
        Refusal::Problems(problems.iter().map(ToString::to_string).collect())
    })?;
    let targets = targets(options, &config)?;
    let one = |problem: String| Refusal::Problems(vec![problem]);
    let mut channels = service::gateways(&config).map_err(one)?;
    channels.extend(service::cap_channel(&config).map_err(one)?);
    let channels: HashMap<&str, Arc<dyn Channel>> = channels
        .into_iter()
        .map(|channel| (channel.kind(), channel))
        .collect();
    let warning = Arc::new(test_warning(&config));
    let mut all_taken = true;
    for (recipient, endpoint) in targets {
        let kind = endpoint.kind();
        let Some(channel) = channels.get(kind) else {
            eprintln!("{kind}: {}", not_configured(kind, options));
            all_taken = false;
            continue;
        };
        let order = order(&warning, recipient, endpoint);
        all_taken &= attempt(channel.as_ref(), &order).await;
    }
    Ok(all_taken)
}

/// Prints how it went; `true` if it was taken.
async fn attempt(channel: &dyn Channel, order: &SendOrder) -> bool {
    let kind = channel.kind();
    match tokio::time::timeout(LIMIT, channel.send(order)).await {
        Ok(Ok(Sent {
            delivered, detail, ..
        })) => {
            let state = if delivered { "delivered" } else { "accepted" };
            println!("{kind}: {state}: {detail}");
            true
        }
        Ok(Err(failure)) => {
            eprintln!("{kind}: failed: {failure}");
            false
        }
        Err(_) => {
            eprintln!("{kind}: failed: no answer within {LIMIT:?}");
            false
        }
    }
}

fn not_configured(kind: &str, options: &TestChannel) -> String {
    let file = options.config.display();
    if kind == CAP_MQTT {
        return format!(
            "on the embedded broker only the running service publishes: {file} names no other as `cap_broker` under [delivery]"
        );
    }
    format!("is not configured: add [{kind}] to {file}")
}

/// Who is to be sent the test, and where.
fn targets(options: &TestChannel, config: &Config) -> Result<Vec<(Recipient, Endpoint)>, Refusal> {
    let kind = KINDS.into_iter().find(|kind| *kind == options.name);
    match (kind, &options.to) {
        (Some(kind), Some(to)) => {
            let endpoint = match kind {
                SMS => Endpoint::sms(to),
                MAIL => Endpoint::mail(to),
                WEBHOOK => Endpoint::webhook(to, None),
                _ => Endpoint::cap_mqtt(Some(to)),
            };
            let endpoint = endpoint.map_err(|error| Refusal::Usage(error.to_string()))?;
            Ok(vec![(Recipient::default(), endpoint)])
        }
        (Some(kind), None) => Err(Refusal::Usage(format!(
            "say where to: citywatch test-channel {kind} --to ADDRESS"
        ))),
        (None, Some(_)) => Err(Refusal::Usage(format!(
            "--to goes with one of {}, and `{}` is none of them",
            KINDS.join(", "),
            options.name
        ))),
        (None, None) => of_department(&options.name, config),
    }
}

fn of_department(id: &str, config: &Config) -> Result<Vec<(Recipient, Endpoint)>, Refusal> {
    let bundle = bundle::read(&config.bundle).map_err(Refusal::Problems)?;
    let departments = &bundle.directory.departments;
    let found = departments.values().find(|department| department.id == *id);
    let Some(department) = found else {
        let known: Vec<&str> = departments.keys().map(|id| id.as_str()).collect();
        return Err(Refusal::Usage(format!(
            "there is no channel and no department `{id}`: name one of {}, or a department of the plans ({})",
            KINDS.join(", "),
            known.join(", ")
        )));
    };
    let targets: Vec<_> = endpoints(department).collect();
    if targets.is_empty() {
        return Err(Refusal::Problems(vec![format!(
            "department `{id}` has no channel"
        )]));
    }
    Ok(targets)
}

fn endpoints(department: &Department) -> impl Iterator<Item = (Recipient, Endpoint)> {
    department.endpoints().map(|(contact, endpoint)| {
        let recipient = Recipient {
            department: department.id.to_string(),
            department_name: department.name.clone(),
            contact: contact.to_owned(),
        };
        (recipient, endpoint.clone())
    })
}

fn order(warning: &Arc<Warning>, recipient: Recipient, endpoint: Endpoint) -> SendOrder {
    SendOrder {
        message_id: format!("msg_{}", uuid::Uuid::new_v4().simple()),
        attempt: 1,
        endpoint,
        warning: Arc::clone(warning),
        cap_xml: cap::render(warning).into(),
        recipient,
        answer_url: None,
        receipt_url: None,
        earlier: Vec::new(),
    }
}

fn test_warning(config: &Config) -> Warning {
    let now = wall_clock();
    let text = |zh: &str, en: &str| Text {
        zh: zh.to_owned(),
        en: en.to_owned(),
    };
    let both = "守望通道测试，无需响应 Citywatch channel test, no action needed";
    Warning {
        identifier: format!("TEST-{}", uuid::Uuid::new_v4().simple()),
        sender: config.service.sender.clone(),
        sender_name: config.service.name.clone(),
        sent: now,
        timezone: jiff::tz::TimeZone::get(&config.service.timezone)
            .unwrap_or(jiff::tz::TimeZone::UTC),
        status: Status::Test,
        exercise: None,
        kind: WarningKind::Issued,
        scope: Scope::Restricted,
        note: None,
        references: Vec::new(),
        hazard: name(""),
        event: text("通道测试", "Channel test"),
        event_codes: Vec::new(),
        level: Level::Blue,
        headline: Text::same(both),
        description: text(
            "本消息用于测试预警发送通道，请勿采取行动。",
            "This message tests the way by which warnings are sent: do not act on it.",
        ),
        instruction: Text::default(),
        onset: None,
        expires: now + Span::from_secs(3_600),
        area: Area::default(),
        cause: Cause {
            alert_id: "test".to_owned(),
            rule: name("citywatch.test-channel"),
            rule_source: String::new(),
            sensor: name(""),
            measurement: name(""),
            value: None,
            unit: name(""),
        },
        cap_url: None,
        contact: String::new(),
    }
}
