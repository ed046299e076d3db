//! Text messages through a real gateway, with the shipped settings: Chinese and long, delivered by the gateway's own
//! report, and nothing else waits while the gateway is down.

#![allow(clippy::unwrap_used)]

#[path = "support/inbox.rs"]
mod inbox;
#[path = "support/kannel.rs"]
mod kannel;
mod support;

use inbox::Inbox;
use kannel::Kannel;
use serde_json::{Value, json};
use support::{Service, TOKEN, get, request, wait_for};

const RULES: &str = "rules:
  - id: flood.test
    name: { zh: 下穿通道积水, en: Water in the underpass }
    hazard: flood
    measurement: water_depth
    unit: cm
    levels: { orange: value >= 20 }
    advice: { zh: 封闭通道，启动排水泵，疏散车辆与行人，并在两端路口设置警示标志和专人值守，直至水位回落, en: Close the underpass }
";

const SENSORS: &str = "sensor_id,name,measurements\nu-1,人民路下穿通道,water_depth\n";

/// A service whose department hears by text message and by webhook.
fn service(gateway: &Kannel, hook: &Inbox) -> Service {
    let plans = format!(
        "departments:\n  - id: pumps\n    name: {{ zh: 排水公司, en: Pumps }}\n    channels:\n      - {{ kind: webhook, url: 'http://127.0.0.1:{}/pumps' }}\n    \
         contacts:\n      - {{ name: 老王, phone: '138 0000 0000', channels: [{{ kind: sms }}] }}\n\
         plans:\n  - {{ id: default, levels: {{ blue: {{ tell: [pumps] }} }} }}\n",
        hook.port
    );
    let files = [
        ("rules/flood.yaml", RULES),
        ("sensors.csv", SENSORS),
        ("plans.yaml", &plans),
        ("sms.password", kannel::PASSWORD),
    ];
    let service = Service::new(&files, "");
    let more = format!(
        "\n[service]\npublic_url = \"http://127.0.0.1:{}\"\n\n[delivery]\nmax_attempts = 100000\nfirst_wait = \"100ms\"\nlongest_wait = \"500ms\"\n\n\
         [sms]\nurl = \"http://127.0.0.1:{}/cgi-bin/sendsms\"\nusername = \"{}\"\npassword_file = \"sms.password\"\nfrom = \"10690000\"\n",
        service.http,
        gateway.sendsms,
        kannel::USER
    );
    let config = std::fs::read_to_string(service.config()).unwrap() + &more;
    std::fs::write(service.config(), config).unwrap();
    service
}

/// Raises an alert and clicks; answers nothing, for the deliveries tell the rest.
fn warn(service: &Service) {
    service.send(
        &json!([{ "sensor": "u-1", "measurement": "water_depth", "value": 22.5, "unit": "cm" }]),
    );
    let alert = service.alerts("").pop().unwrap()["id"].as_i64().unwrap();
    let (status, entry) = service.post(&format!("/api/v1/alerts/{alert}/warnings"), b"{}");
    assert_eq!(status, 201, "{entry}");
}

fn delivery(service: &Service, channel: &str) -> Value {
    let list = service.get(&format!("/api/v1/deliveries?channel={channel}"));
    list["items"][0].clone()
}

fn reaches(service: &Service, channel: &str, state: &str) -> Value {
    wait_for(&format!("{channel} {state}"), || {
        Some(delivery(service, channel)).filter(|row| row["state"] == state)
    })
}

/// What the carrier took is one long message that people can read; answers the token of its link.
fn the_text_is_whole(gateway: &Kannel, service: &Service) -> String {
    let texts = gateway.messages();
    let text = texts.iter().find(|text| text.contains("预警")).unwrap();
    assert!(
        text.starts_with("【下穿通道积水橙色预警】人民路下穿通道 22.5 cm（严重）"),
        "{text}"
    );
    assert!(text.contains("处置：封闭通道，启动排水泵"), "{text}");
    assert!(
        text.encode_utf16().count() > 70,
        "more than one part: {text}"
    );
    let link = text.rsplit(' ').next().unwrap();
    let (_, token) = link.rsplit_once('/').unwrap();
    let (status, page) = get(service.http, &format!("/a/{token}"), None).unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("人民路下穿通道"), "{page}");
    token.to_owned()
}

fn wrong_reports_are_refused_and_counted(service: &Service, path: &str, token: &str) {
    for (wrong, expected) in [
        ("/receipts/sms/AAAA?status=1".to_owned(), 404),
        (format!("/receipts/sms/{token}?status=1"), 404),
        (path.split('?').next().unwrap().to_owned(), 400),
        (path.replace("status=8", "status=x"), 400),
    ] {
        let (status, answer) = request(service.http, "POST", &wrong, None, None).unwrap();
        assert_eq!(status, expected, "{wrong}: {answer}");
    }
    let (_, metrics) = get(service.http, "/metrics", None).unwrap();
    let counted = r#"citywatch_links_refused_total{reason="forged",use="receipt"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_message_is_delivered_by_the_gateways_own_report_and_stays_so() {
    let hook = Inbox::start("200 OK");
    let mut gateway = Kannel::new();
    gateway.start();
    let mut service = service(&gateway, &hook);
    service.start();
    warn(&service);
    let delivered = reaches(&service, "sms", "delivered");
    assert_eq!(delivered["address"], "13800000000");
    assert!(delivered["accepted_at"].is_string() && delivered["delivered_at"].is_string());
    let detail = format!("/api/v1/deliveries/{}", delivered["id"]);
    // this carrier reports success before it says that it has taken the message
    let statuses = || -> Vec<i64> {
        let receipts = service.get(&detail)["receipts"].as_array().unwrap().clone();
        let status = |receipt: &Value| receipt["status"].as_i64().unwrap();
        receipts.iter().map(status).collect()
    };
    wait_for("both reports", || {
        let statuses = statuses();
        (statuses.contains(&1) && statuses.contains(&8)).then_some(())
    });
    let older = gateway
        .reports()
        .into_iter()
        .find(|url| url.contains("status=8"));
    let older = older.expect("the gateway called with status 8");
    let path = &older[older.find("/receipts/").unwrap()..];
    let before = statuses().len();
    let (status, answer) = get(service.http, path, None).unwrap();
    assert_eq!((status, answer.as_str()), (200, "ok"));
    assert_eq!(statuses().len(), before + 1, "the late report is kept");
    assert_eq!(delivery(&service, "sms")["state"], "delivered");

    let token = the_text_is_whole(&gateway, &service);
    let token = token.as_str();
    wrong_reports_are_refused_and_counted(&service, path, token);

    let channels = service.get("/api/v1/channels");
    let sms = channels
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["kind"] == "sms")
        .unwrap();
    assert_eq!(
        (&sms["configured"], &sms["waiting"]),
        (&json!(true), &json!(0))
    );
    assert!(
        sms["last_success"]["detail"]
            .as_str()
            .unwrap()
            .contains("202"),
        "{sms}"
    );
    nothing_secret_is_shown(&service, path, token, &detail);
}

/// Neither log nor API shows what only a gateway or a recipient may know.
fn nothing_secret_is_shown(service: &Service, path: &str, token: &str, detail: &str) {
    let log = service.log();
    let channels = service.get("/api/v1/channels").to_string();
    let receipt_token = path["/receipts/sms/".len()..].split('?').next().unwrap();
    for secret in [kannel::PASSWORD, token, receipt_token, TOKEN] {
        assert!(!log.contains(secret), "the log shows {secret}");
        assert!(!channels.contains(secret));
        assert!(!service.get(detail).to_string().contains(secret));
    }
}

#[test]
fn a_gateway_that_is_down_delays_nothing_else_and_gets_the_message_when_it_is_back() {
    let hook = Inbox::start("200 OK");
    let mut gateway = Kannel::new();
    let mut service = service(&gateway, &hook);
    service.start();
    warn(&service);
    let webhook = reaches(&service, "webhook", "delivered");
    let took = |from: &str, to: &str| {
        let at = |key: &str| {
            webhook[key]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .unwrap()
        };
        at(to).duration_since(at(from)).as_secs_f64()
    };
    assert!(took("created_at", "delivered_at") < 2.0, "{webhook}");
    // several attempts long, the gateway is away; every further warning still goes out by webhook at once
    wait_for("attempts in vain", || {
        let row = delivery(&service, "sms");
        (row["attempts"].as_i64()? >= 6).then_some(())
    });
    let waiting = delivery(&service, "sms");
    assert_eq!(waiting["state"], "sending", "{waiting}");
    let warning = waiting["warning"].as_i64().unwrap();
    let (status, entry) = service.post(
        &format!("/api/v1/warnings/{warning}/update"),
        b"{\"note\":\"x\"}",
    );
    assert_eq!(status, 201, "{entry}");
    wait_for("the update by webhook", || {
        (hook.targets().len() == 2).then_some(())
    });
    let channels = service.get("/api/v1/channels");
    let sms = channels
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["kind"] == "sms")
        .unwrap();
    assert!(sms["waiting"].as_i64().unwrap() >= 1, "{sms}");
    assert!(
        sms["last_failure"]["detail"]
            .as_str()
            .unwrap()
            .contains("the SMS gateway at 127.0.0.1"),
        "{sms}"
    );
    gateway.start();
    reaches(&service, "sms", "delivered");
    wait_for("the message at the carrier", || {
        gateway
            .messages()
            .iter()
            .any(|text| text.contains("更新"))
            .then_some(())
    });
}
