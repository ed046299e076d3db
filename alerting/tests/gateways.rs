//! Text messages and mails as they are written, and what the SMS channel makes of every answer of a gateway.

#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    #[allow(dead_code, reason = "the other channels look at more of a request")]
    pub mod http;
    pub mod sample;
}

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use citywatch_alerting::cap::{self, Language};
use citywatch_alerting::channel::{
    Channel, Endpoint, Mail, Receipts, Recipient, SendFailure, SendOrder, Sms, SmsSettings,
};
use citywatch_alerting::warning::{Status, Warning};
use citywatch_model::Text;

use support::http::{Reply, Request, Server};
use support::sample::{cases, sample};

const LINK: &str = "https://warn.example.gov.cn/a/LGshQABAAAAAAAAAAAAAAAAAAAAA";
const PASSWORD: &str = "s3cret&+/秘密";

fn order(endpoint: Endpoint, warning: Warning) -> SendOrder {
    SendOrder {
        message_id: "msg_0198c1d2".to_owned(),
        attempt: 1,
        endpoint,
        cap_xml: Arc::from(cap::render(&warning)),
        warning: Arc::new(warning),
        recipient: Recipient {
            department: "drainage".to_owned(),
            department_name: Text {
                zh: "排水公司".to_owned(),
                en: "Drainage company".to_owned(),
            },
            contact: "值班室".to_owned(),
        },
        answer_url: Some(LINK.to_owned()),
        receipt_url: Some("http://10.0.0.2:8080/receipts/sms/TOKEN".to_owned()),
        earlier: Vec::new(),
    }
}

fn text_to(warning: Warning) -> SendOrder {
    order(Endpoint::sms("+86 138-0000-0000").unwrap(), warning)
}

fn settings(url: &str) -> SmsSettings {
    SmsSettings {
        url: url.parse().unwrap(),
        username: "cw".to_owned(),
        password: PASSWORD.to_owned(),
        from: Some("10690000".to_owned()),
        receipts: Receipts::All,
        language: Language::Chinese,
        max_parts: 4,
        timeout: Duration::from_secs(10),
        concurrent: 8,
        ca_file: None,
    }
}

fn sms(language: Language, max_parts: usize) -> Sms {
    Sms::new(SmsSettings {
        language,
        max_parts,
        ..settings("http://127.0.0.1:1/")
    })
    .unwrap()
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[test]
fn text_messages() {
    let mut shown = String::new();
    for (name, warning) in cases() {
        for language in Language::ALL {
            let text = sms(language, 4).text(&text_to(warning.clone()));
            shown.push_str(&format!("{name} ({} units)\n{text}\n\n", units(&text)));
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn mails() {
    for (name, warning) in cases() {
        let [subject, plain, html] = Mail::texts(&order(
            Endpoint::mail("duty@example.gov.cn").unwrap(),
            warning,
        ));
        insta::assert_snapshot!(
            format!("mail_{name}"),
            format!("{subject}\n\n{plain}\n\n{html}")
        );
    }
}

#[test]
fn what_does_not_fit_is_cut_but_never_mark_and_link() {
    let long = |text: &str| Text::same(text.repeat(60).as_str());
    let warning = Warning {
        status: Status::Exercise,
        instruction: long("疏散低洼地区人员，"),
        ..sample()
    };
    let longer = Warning {
        headline: long("很长的标题𠮷"),
        sender_name: long("单位"),
        ..warning.clone()
    };
    for max_parts in 2..=10 {
        for (case, warning) in [&warning, &longer].into_iter().enumerate() {
            let text = sms(Language::Chinese, max_parts).text(&text_to(warning.clone()));
            assert!(units(&text) <= 67 * max_parts, "{max_parts}: {text}");
            assert!(
                text.starts_with("【演练】") && text.ends_with(&format!(" {LINK}")),
                "{text}"
            );
            assert!(text.contains("橙色"), "{text}");
            assert!(
                text.contains('…') || (case == 0 && max_parts >= 9),
                "{max_parts}: {text}"
            );
        }
    }
    let short = sms(Language::Chinese, 2).text(&text_to(warning));
    assert!(short.contains("人民路下穿通道（严重）"), "{short}");
}

/// The fields of a call of the gateway.
fn fields(request: &Request) -> BTreeMap<String, String> {
    let target = request.line.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').unwrap();
    assert_eq!(path, "/cgi-bin/sendsms");
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

#[tokio::test]
async fn the_gateway_is_called_as_its_manual_has_it() {
    let mut server =
        Server::start(|_| Reply::answer("202 Accepted", "", "3: Queued for later delivery")).await;
    let url = format!("{}/cgi-bin/sendsms", server.url);
    let channel = Sms::new(settings(&url)).unwrap();
    let order = text_to(sample());
    let sent = channel.send(&order).await.unwrap();
    assert!(sent.accepted && !sent.delivered);
    assert!(
        sent.detail
            .ends_with("202 Accepted: 3: Queued for later delivery"),
        "{}",
        sent.detail
    );
    let fields = fields(&server.next().await);
    let said = |key: &str| fields.get(key).map(String::as_str);
    assert_eq!(said("username"), Some("cw"));
    assert_eq!(said("password"), Some(PASSWORD));
    assert_eq!(said("to"), Some("+8613800000000"));
    assert_eq!(said("from"), Some("10690000"));
    assert_eq!(said("charset"), Some("UTF-8"));
    assert_eq!(said("coding"), Some("2"));
    assert_eq!(said("dlr-mask"), Some("31"));
    assert_eq!(
        said("dlr-url"),
        Some("http://10.0.0.2:8080/receipts/sms/TOKEN?status=%d&answer=%A")
    );
    assert_eq!(said("text"), Some(channel.text(&order).as_str()));
}

#[tokio::test]
async fn every_answer_of_a_gateway_is_judged_and_none_shows_the_password() {
    let encoded: String = url::form_urlencoded::byte_serialize(PASSWORD.as_bytes()).collect();
    let mut lines = Vec::new();
    for status in [
        "200 OK",
        "202 Accepted",
        "302 Found",
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ] {
        let said = format!("you sent {PASSWORD} as {encoded}");
        let server = Server::start(move |_| Reply::answer(status, "", &said)).await;
        let channel = Sms::new(settings(&format!("{}/cgi-bin/sendsms", server.url))).unwrap();
        let result = channel.send(&text_to(sample())).await;
        let line = match result {
            Ok(sent) => format!("accepted: {}", sent.detail),
            Err(SendFailure::Retry { detail, .. }) => format!("retry: {detail}"),
            Err(SendFailure::Permanent { detail, .. }) => format!("permanent: {detail}"),
        };
        lines.push(line.replace(&server.url["http://".len()..], "GATEWAY"));
    }
    let nobody = Sms::new(settings("http://127.0.0.1:1/cgi-bin/sendsms")).unwrap();
    lines.push(
        nobody
            .send(&text_to(sample()))
            .await
            .unwrap_err()
            .to_string(),
    );
    let all = lines.join("\n");
    assert!(
        !all.contains("s3cret") && !all.contains(&encoded) && !all.contains("password="),
        "{all}"
    );
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn a_silent_gateway_is_not_waited_for_longer_than_it_may_take() {
    let server = Server::start(|_| Reply::Stall(Vec::new())).await;
    let channel = Sms::new(SmsSettings {
        timeout: Duration::from_millis(100),
        ..settings(&server.url)
    })
    .unwrap();
    let failure = channel.send(&text_to(sample())).await.unwrap_err();
    assert!(
        matches!(&failure, SendFailure::Retry { .. })
            && failure.to_string().contains("no answer within 100ms"),
        "{failure}"
    );
}
