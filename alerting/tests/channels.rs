//! The channels against real endpoints on 127.0.0.1: what they send, and what they make of every answer.

#![allow(clippy::unwrap_used, missing_docs)]

mod support {
    pub mod http;
    pub mod sample;
}

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use citywatch_alerting::cap;
use citywatch_alerting::channel::{
    BoxFuture, CapMqtt, Channel, Endpoint, Publisher, Recipient, SendFailure, SendOrder, Sent,
    Timeouts, TopicTemplate, Webhook,
};
use citywatch_alerting::warning::Warning;
use citywatch_model::{Text, name};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use support::http::{Reply, Request, Server};
use support::sample::{cases, sample};

const KEYS: [&str; 2] = [
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
];

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
        answer_url: None,
        receipt_url: None,
        earlier: Vec::new(),
    }
}

fn hook(url: &str, secret: Option<&str>) -> SendOrder {
    order(Endpoint::webhook(url, secret).unwrap(), sample())
}

fn webhook() -> Webhook {
    Webhook::new(Timeouts::default()).unwrap()
}

/// An answer in one line.
fn outcome(result: &Result<Sent, SendFailure>) -> String {
    match result {
        Ok(Sent {
            accepted,
            delivered,
            status,
            detail,
        }) => {
            format!("sent accepted={accepted} delivered={delivered} {status:?} {detail}")
        }
        Err(SendFailure::Retry {
            detail,
            after,
            status,
        }) => format!("retry after={after:?} {status:?} {detail}"),
        Err(SendFailure::Permanent { detail, status }) => format!("permanent {status:?} {detail}"),
    }
}

/// Verifies a request from its raw bytes with one key, as a recipient would.
fn verifies(request: &Request, key: &str) -> bool {
    let (id, timestamp) = (
        request.header("webhook-id"),
        request.header("webhook-timestamp"),
    );
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(&request.body);
    request
        .header("webhook-signature")
        .split(' ')
        .any(|signature| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(key).unwrap()).unwrap();
            mac.update(&signed);
            let (version, bytes) = signature.split_once(',').unwrap();
            version == "v1"
                && mac
                    .verify_slice(&BASE64_STANDARD.decode(bytes).unwrap())
                    .is_ok()
        })
}

#[tokio::test]
async fn a_webhook_is_signed_with_every_key() {
    let mut server = Server::start(|_| Reply::answer("200 OK", "", "thanks")).await;
    let secret = format!("whsec_{} whsec_{}", KEYS[0], KEYS[1]);
    let result = webhook()
        .send(&hook(&format!("{}/hook?a=1", server.url), Some(&secret)))
        .await;
    assert!(
        matches!(
            &result,
            Ok(Sent {
                accepted: true,
                delivered: true,
                status: Some(200),
                ..
            })
        ),
        "{result:?}"
    );
    let request = server.next().await;
    assert_eq!(request.line, "POST /hook?a=1 HTTP/1.1");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-id"), "msg_0198c1d2");
    let age = jiff::Timestamp::now().as_second()
        - request.header("webhook-timestamp").parse::<i64>().unwrap();
    assert!((0..5).contains(&age), "{age}");
    assert!(verifies(&request, KEYS[0]) && verifies(&request, KEYS[1]));
    assert!(!verifies(
        &Request {
            body: b"{}".to_vec(),
            ..request
        },
        KEYS[0]
    ));
}

#[tokio::test]
async fn a_webhook_carries_the_warning() {
    let mut server = Server::start(|_| Reply::answer("204 No Content", "", "")).await;
    let channel = webhook();
    for (name, warning) in cases()
        .into_iter()
        .filter(|(name, _)| matches!(*name, "raise" | "update" | "withdrawal"))
    {
        let mut order = order(Endpoint::webhook(&server.url, None).unwrap(), warning);
        order.cap_xml = Arc::from("<alert/>");
        channel.send(&order).await.unwrap();
        let request = server.next().await;
        assert_eq!(request.header("webhook-signature"), "");
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        insta::assert_snapshot!(
            format!("webhook_{name}"),
            serde_json::to_string_pretty(&body).unwrap()
        );
    }
}

#[tokio::test]
async fn a_webhook_body_stays_small_where_the_message_can_be_fetched() {
    let mut server = Server::start(|_| Reply::answer("200 OK", "", "")).await;
    let (channel, mut order) = (webhook(), hook(&server.url, None));
    channel.send(&order).await.unwrap();
    assert!(server.next().await.body.len() < 20_000);

    order.cap_xml = Arc::from("x".repeat(20_000));
    channel.send(&order).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&server.next().await.body).unwrap();
    assert!(body["data"]["cap"].is_null());

    Arc::make_mut(&mut order.warning).cap_url = None;
    channel.send(&order).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&server.next().await.body).unwrap();
    assert_eq!(body["data"]["cap"].as_str().unwrap().len(), 20_000);
}

#[tokio::test]
async fn every_answer_is_judged() {
    let answers = [
        ("200 OK", "", ""),
        ("202 Accepted", "", "queued"),
        (
            "301 Moved Permanently",
            "location: https://new.example.gov.cn/secret\r\n",
            "",
        ),
        ("302 Found", "location: /maintenance\r\n", ""),
        ("304 Not Modified", "", ""),
        ("400 Bad Request", "", "field x\n\tis missing\u{1}"),
        ("401 Unauthorized", "", "no"),
        ("404 Not Found", "", ""),
        ("408 Request Timeout", "", ""),
        ("410 Gone", "", ""),
        ("422 Unprocessable Content", "retry-after: 5\r\n", ""),
        ("425 Too Early", "", ""),
        ("429 Too Many Requests", "retry-after: 7\r\n", "slow down"),
        ("500 Internal Server Error", "", ""),
        ("501 Not Implemented", "", ""),
        (
            "503 Service Unavailable",
            "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            "",
        ),
    ];
    let mut server = Server::start(move |request| {
        let index: usize = request
            .line
            .split(['/', ' '])
            .nth(2)
            .unwrap()
            .parse()
            .unwrap();
        let (status, headers, text) = answers[index];
        Reply::answer(status, headers, text)
    })
    .await;
    let channel = webhook();
    let mut lines = Vec::new();
    for (index, (status, ..)) in answers.iter().enumerate() {
        let result = channel
            .send(&hook(&format!("{}/{index}", server.url), None))
            .await;
        lines.push(
            format!("{status} -> {}", outcome(&result))
                .replace(&server.url["http://".len()..], "HOST"),
        );
        server.next().await;
    }
    assert_eq!(
        server.waiting(),
        0,
        "no redirect is followed, nothing is repeated"
    );
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn an_answer_is_read_and_shown_in_part_only() {
    let server =
        Server::start(|_| Reply::answer("500 Internal Server Error", "", &"汛".repeat(2_000_000)))
            .await;
    let Err(SendFailure::Retry { detail, .. }) = webhook().send(&hook(&server.url, None)).await
    else {
        panic!("500 is to be tried again")
    };
    let (_, excerpt) = detail.rsplit_once(": ").unwrap();
    assert_eq!(excerpt.chars().count(), 200);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let mut server = Server::start(|_| Reply::answer("200 OK", "", "fine")).await;
    let (channel, order) = (webhook(), hook(&server.url, None));
    for _ in 0..3 {
        channel.send(&order).await.unwrap();
        assert_eq!(server.next().await.connection, 0);
    }
}

fn short(total_ms: u64, answer_ms: u64) -> Webhook {
    let millis = Duration::from_millis;
    Webhook::new(Timeouts {
        connect: millis(5_000),
        total: millis(total_ms),
        answer: millis(answer_ms),
    })
    .unwrap()
}

#[tokio::test]
async fn silence_is_tried_again() {
    let server = Server::start(|_| Reply::Stall(Vec::new())).await;
    let result = short(100, 100).send(&hook(&server.url, None)).await;
    let Err(SendFailure::Retry {
        detail,
        status: None,
        ..
    }) = result
    else {
        panic!("{result:?}")
    };
    assert!(detail.ends_with("no answer within 100ms"), "{detail}");
}

#[tokio::test]
async fn a_slow_text_after_a_status_holds_nothing_up() {
    for (status, works) in [("200 OK", true), ("503 Service Unavailable", false)] {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 100\r\n\r\nbegin");
        let server = Server::start(move |_| Reply::Stall(head.clone().into_bytes())).await;
        let started = Instant::now();
        let result = short(20_000, 50).send(&hook(&server.url, None)).await;
        assert_eq!(result.is_ok(), works, "{result:?}");
        assert!(outcome(&result).ends_with(": begin"), "{result:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let result = webhook()
        .send(&hook(&format!("http://{address}/secret-path"), None))
        .await;
    let Err(SendFailure::Retry { detail, .. }) = result else {
        panic!("{result:?}")
    };
    assert!(
        detail.contains("refused") && detail.contains(&address.to_string()),
        "{detail}"
    );
    assert!(!detail.contains("secret-path"), "{detail}");
}

#[tokio::test]
async fn https_is_spoken_and_never_given_up_for_http() {
    let server = Server::start(|_| Reply::answer("200 OK", "", "")).await;
    let url = server.url.replace("http://", "https://");
    let result = short(200, 100).send(&hook(&url, None)).await;
    assert!(
        matches!(result, Err(SendFailure::Retry { .. })),
        "{result:?}"
    );
    assert_eq!(server.waiting(), 0);
}

#[test]
fn addresses_are_checked_before_they_are_used() {
    let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let lines: Vec<String> = [
        ("https://user:pass@example.gov.cn/hook", Some(good)),
        ("http://[::1]:8080", None),
        ("ftp://example.gov.cn", None),
        ("example.gov.cn/hook", None),
        ("http://", None),
        ("http://h", Some("hunter2")),
    ]
    .into_iter()
    .map(|(url, secret)| match Endpoint::webhook(url, secret) {
        Ok(endpoint) => format!("{url} -> {} {}", endpoint.kind(), endpoint.host()),
        Err(error) => format!("{url} !! {error}"),
    })
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// A broker's connection that writes down what is published.
#[derive(Default)]
struct Broker {
    published: Mutex<Vec<(String, Bytes)>>,
    down: bool,
    silent: bool,
}

impl Publisher for Broker {
    fn publish<'a>(&'a self, topic: &'a str, payload: Bytes) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if self.silent {
                std::future::pending::<()>().await;
            }
            if self.down {
                return Err("the link is down".to_owned());
            }
            self.published
                .lock()
                .unwrap()
                .push((topic.to_owned(), payload));
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_cap_message_goes_to_its_topic() {
    let broker = Arc::new(Broker::default());
    let order = order(Endpoint::cap_mqtt(None).unwrap(), sample());
    let result = CapMqtt::new(broker.clone()).send(&order).await;
    assert_eq!(
        outcome(&result),
        "sent accepted=true delivered=false None the broker has acknowledged citywatch/cap/flood/orange"
    );
    let published = broker.published.lock().unwrap();
    assert_eq!(
        published[..],
        [(
            "citywatch/cap/flood/orange".to_owned(),
            Bytes::from(order.cap_xml.to_string())
        )]
    );
}

#[tokio::test]
async fn a_broker_that_fails_is_tried_again() {
    let order = order(Endpoint::cap_mqtt(Some("cap")).unwrap(), sample());
    for broker in [
        Broker {
            down: true,
            ..Broker::default()
        },
        Broker {
            silent: true,
            ..Broker::default()
        },
    ] {
        let result = CapMqtt::new(Arc::new(broker))
            .with_timeout(Duration::from_millis(50))
            .send(&order)
            .await;
        assert!(
            matches!(result, Err(SendFailure::Retry { .. })),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn an_order_for_another_channel_is_refused() {
    let mqtt = CapMqtt::new(Arc::new(Broker::default()));
    let result = mqtt.send(&hook("http://h", None)).await;
    assert_eq!(
        outcome(&result),
        "permanent None the cap_mqtt channel cannot send to a webhook address"
    );
    let result = webhook()
        .send(&order(Endpoint::cap_mqtt(None).unwrap(), sample()))
        .await;
    assert_eq!(
        outcome(&result),
        "permanent None the webhook channel cannot send to a cap_mqtt address"
    );
}

#[test]
fn topics_are_filled_in_or_refused() {
    let mut warning = sample();
    warning.cause.sensor = name("区/u+1#");
    let lines: Vec<String> = [
        TopicTemplate::DEFAULT,
        "cap/{status}/{kind}/{rule}/{sensor}/{department}",
        "plain",
        "",
        "cap/#",
        "$SYS/cap",
        "cap/{colour}",
        "cap/{level",
        "cap/level}",
    ]
    .into_iter()
    .map(|template| match template.parse::<TopicTemplate>() {
        Ok(topic) => format!("{template} -> {}", topic.fill(&warning, "")),
        Err(error) => format!("{template} !! {error}"),
    })
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
