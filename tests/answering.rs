//! The page behind the link: whoever was warned answers without an account, by any browser, and nobody else does.

#![allow(clippy::unwrap_used)]

#[path = "support/inbox.rs"]
mod inbox;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use citywatch_alerting::links::{LinkKey, SignedLinks};
use inbox::Inbox;
use serde_json::{Value, json};
use support::{Service, get, wait_for};

const RULES: &str = "rules:
  - id: flood.test
    name: { zh: 下穿通道积水, en: Water in the underpass }
    hazard: flood
    measurement: water_depth
    unit: cm
    levels: { orange: value >= 20 }
    advice: { zh: 封闭通道, en: \"Close at < 2 m\" }
";

const PLANS: &str = "departments:
  - id: pumps
    name: { zh: 排水公司, en: Pumps }
    channels: [{ kind: sms, phone: '13800000000' }]
plans:
  - { id: default, levels: { blue: { tell: [pumps] } } }
";

struct Warned {
    service: Service,
    gateway: Inbox,
    warning: i64,
    delivery: i64,
    path: String,
}

/// A service that has sent one warning; the link is taken from the call of the gateway.
fn warned() -> Warned {
    let gateway = Inbox::start("202 Accepted");
    let files = [
        ("rules/flood.yaml", RULES),
        (
            "sensors.csv",
            "sensor_id,name,measurements\nu-1,人民路下穿通道,water_depth\n",
        ),
        ("plans.yaml", PLANS),
    ];
    let mut service = Service::new(&files, "");
    let more = format!(
        "\n[service]\npublic_url = \"http://127.0.0.1:{}\"\n\n[sms]\nurl = \"http://127.0.0.1:{}/cgi-bin/sendsms\"\nusername = \"cw\"\npassword = \"s3cret\"\n",
        service.http, gateway.port
    );
    let config = std::fs::read_to_string(service.config()).unwrap() + &more;
    std::fs::write(service.config(), config).unwrap();
    service.start();
    service.send(
        &json!([{ "sensor": "u-1", "measurement": "water_depth", "value": 22.5, "unit": "cm" }]),
    );
    let alert = service.alerts("").pop().unwrap()["id"].as_i64().unwrap();
    let (status, entry) = service.post(&format!("/api/v1/alerts/{alert}/warnings"), b"{}");
    assert_eq!(status, 201, "{entry}");
    let target = wait_for("the message", || gateway.targets().pop());
    let delivery = service.get("/api/v1/deliveries")["items"][0]["id"]
        .as_i64()
        .unwrap();
    Warned {
        service,
        gateway,
        warning: entry["id"].as_i64().unwrap(),
        delivery,
        path: link(&target),
    }
}

/// The path of the link at the end of the message in a call of the gateway.
fn link(target: &str) -> String {
    let query = target.split_once('?').unwrap().1;
    let (_, text) = url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "text")
        .unwrap();
    text[text.find("/a/").unwrap()..].to_owned()
}

/// Status, head and body of one request as a browser makes it.
fn ask(port: u16, method: &str, path: &str, form: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

impl Warned {
    fn page(&self) -> String {
        let (status, _, page) = ask(self.service.http, "GET", &self.path, "");
        assert_eq!(status, 200, "{page}");
        page
    }

    fn answer(&self, form: &str) -> u16 {
        ask(self.service.http, "POST", &self.path, form).0
    }

    fn delivery(&self) -> Value {
        self.service
            .get(&format!("/api/v1/deliveries/{}", self.delivery))
    }

    fn says(&self) -> [Value; 3] {
        let delivery = self.delivery();
        ["answer", "answered_by", "answer_note"].map(|key| delivery[key].clone())
    }
}

/// In the audit as the recipient's, and to those who follow events.
fn four_answers_are_told(warned: &Warned) {
    let port = warned.service.http;
    let acts = warned.service.get("/api/v1/audit?limit=10");
    let acts = acts.as_array().unwrap();
    let answers: Vec<&Value> = acts.iter().filter(|act| act["act"] == "answer").collect();
    assert_eq!(answers.len(), 4);
    assert!(
        answers
            .iter()
            .all(|act| act["role"] == "recipient" && act["actor"] == "排水公司"),
        "{answers:?}"
    );
    assert!(
        answers[0]["from"]
            .as_str()
            .unwrap()
            .contains("by the link sent by sms"),
        "{answers:?}"
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let events = format!(
        "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nLast-Event-ID: 0\r\n\r\n",
        support::TOKEN
    );
    stream.write_all(events.as_bytes()).unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(stream));
    let answered = lines
        .map(Result::unwrap)
        .filter(|line| line == "event: delivery.answered");
    assert_eq!(answered.take(4).count(), 4);
}

fn the_page_is_whole_and_private(head: &str, page: &str) {
    for header in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-robots-tag: noindex, nofollow",
        "content-security-policy: default-src 'none'; style-src 'nonce-",
    ] {
        assert!(head.contains(header), "{header}: {head}");
    }
    for text in [
        "【下穿通道积水橙色预警】人民路下穿通道 22.5 cm（严重）",
        "橙色预警（严重）",
        "封闭通道",
        "Close at &lt; 2 m",
        "收到 Received",
        "出动 On the way",
        "完成 Done",
        "<h1 class=\"orange\">",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}

#[test]
fn looking_answers_nothing_and_the_form_answers_at_once() {
    let warned = warned();
    let port = warned.service.http;
    let (status, head, page) = ask(port, "GET", &warned.path, "");
    assert_eq!(status, 200);
    the_page_is_whole_and_private(&head, &page);
    let outside = ["<script", "http://", "https://", "src=", "@import", "url("];
    assert!(outside.iter().all(|mark| !page.contains(mark)), "{page}");
    assert_eq!(ask(port, "HEAD", &warned.path, "").0, 200);
    assert_eq!(warned.says(), [Value::Null, Value::Null, Value::Null]);

    let (status, head, _) = ask(port, "POST", &warned.path, "word=received");
    assert_eq!(status, 303);
    let token = warned.path.strip_prefix("/a/").unwrap();
    assert!(
        head.contains(&format!("location: {}", token.to_ascii_lowercase())),
        "{head}"
    );
    assert_eq!(
        warned.says(),
        [json!("received"), json!("排水公司"), json!("")]
    );
    let form = "word=on_the_way&name=%E8%80%81%E7%8E%8B&note=%3Cb%3E%E4%B8%A4%E8%BE%86%E8%BD%A6";
    assert_eq!(warned.answer(form), 303);
    assert_eq!(
        warned.says(),
        [json!("on_the_way"), json!("老王"), json!("<b>两辆车")]
    );
    let page = warned.page();
    assert!(
        page.contains("已回复 Answered: 出动 On the way<br>老王：&lt;b&gt;两辆车"),
        "{page}"
    );
    assert!(page.contains("value=\"done\" class=\"next\""), "{page}");
    // a late "received" hides nothing
    assert_eq!(warned.answer("word=received"), 303);
    assert_eq!(warned.says()[0], json!("on_the_way"));
    assert_eq!(warned.answer("word=done"), 303);
    assert_eq!(warned.says()[0], json!("done"));

    four_answers_are_told(&warned);
}

#[test]
fn what_is_not_an_answer_is_not_kept() {
    let warned = warned();
    let long = format!("word=received&note={}", "x".repeat(501));
    for form in ["", "word=maybe", "note=hello", long.as_str()] {
        assert_eq!(warned.answer(form), 422, "{form}");
    }
    let huge = format!("word=received&note={}", "x".repeat(20_000));
    let (status, _, page) = ask(warned.service.http, "POST", &warned.path, &huge);
    assert_eq!(status, 422, "{page}");
    assert_eq!(warned.says()[0], Value::Null);
    // 500 Chinese characters fit
    let full = format!("word=received&note={}", "%E6%B1%9B".repeat(500));
    assert_eq!(warned.answer(&full), 303);
}

#[test]
fn forged_and_expired_links_are_refused_and_counted_and_never_logged() {
    let warned = warned();
    let port = warned.service.http;
    let folder = warned.service.folder.path();
    let key = LinkKey::in_file(&folder.join("data/links.key")).unwrap();
    let links = SignedLinks::new(key, "http://x");
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    let future = "2099-01-01T00:00:00Z".parse().unwrap();
    let path = |url: String| url["http://x".len()..].to_owned();
    let lapsed = path(links.answer_url(warned.delivery, past));
    let nothing = path(links.answer_url(4_711, future));
    let mut forged = warned.path.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'Q' } else { 'A' });
    for (link, expected, zh, en) in [
        (&lapsed, 410, "链接已过期", "has expired"),
        (&nothing, 404, "链接无效", "not valid"),
        (&forged, 404, "链接无效", "not valid"),
        (&"/a/x".to_owned(), 404, "链接无效", "not valid"),
    ] {
        for method in ["GET", "POST"] {
            let (status, _, page) = ask(port, method, link, "word=done");
            assert_eq!(status, expected, "{method} {link}");
            assert!(page.contains(zh) && page.contains(en), "{page}");
        }
        let token = link.strip_prefix("/a/").unwrap();
        assert!(token.len() < 10 || !warned.service.log().contains(token));
    }
    assert_eq!(warned.says()[0], Value::Null);
    let (_, metrics) = get(port, "/metrics", None).unwrap();
    for (reason, count) in [("expired", 2), ("forged", 4), ("no_such_delivery", 2)] {
        let line =
            format!("citywatch_links_refused_total{{reason=\"{reason}\",use=\"answer\"}} {count}");
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
    // whoever guesses is slowed down, whoever was warned is not
    let many: Vec<u16> = (0..60).map(|_| ask(port, "GET", &forged, "").0).collect();
    assert_eq!(many.last(), Some(&429), "{many:?}");
    warned.page();
    assert_eq!(warned.answer("word=received"), 303);
}

#[test]
fn the_page_says_what_has_become_of_the_warning() {
    let warned = warned();
    let act = |id: i64, what: &str| {
        let path = format!("/api/v1/warnings/{id}/{what}");
        let (status, entry) = warned
            .service
            .post(&path, "{\"note\":\"探头故障\"}".as_bytes());
        assert_eq!(status, 201, "{entry}");
        entry["id"].as_i64().unwrap()
    };
    let update = act(warned.warning, "update");
    let page = warned.page();
    assert!(
        page.contains("已有新的消息") && page.contains("（更新）"),
        "{page}"
    );
    act(update, "withdraw");
    let page = warned.page();
    assert!(
        page.contains("本预警已撤销") && page.contains("Do not act on it"),
        "{page}"
    );
    assert!(
        page.contains("value=\"received\"") && !page.contains("value=\"on_the_way\""),
        "{page}"
    );
    assert!(page.contains("<h1 class=\"over\">"), "{page}");
    // the withdrawal has a link of its own
    let last = wait_for("the withdrawal", || {
        let targets = warned.gateway.targets();
        (targets.len() == 3).then(|| targets.last().cloned())?
    });
    let (status, _, page) = ask(warned.service.http, "GET", &link(&last), "");
    assert_eq!(status, 200);
    assert!(
        page.contains("本预警已撤销") && page.contains("探头故障"),
        "{page}"
    );
}

#[test]
fn links_stay_good_across_a_restart() {
    let mut warned = warned();
    assert!(warned.service.terminate().success());
    warned.service.start();
    assert_eq!(warned.answer("word=done"), 303);
    assert_eq!(warned.says()[0], json!("done"));
}
