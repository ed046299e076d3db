//! Mail through a real server with STARTTLS and a password: Chinese subject and body, the alert's mails in one thread,
//! and what is said when the server is not trusted or does not want us.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Service, free_port, run, wait_for};

const USER: &str = "citywatch";
const PASSWORD: &str = "mail-password-0123456789";

/// The server; ends with its standard input, or by process id.
struct MailServer {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl MailServer {
    fn start(more: &[&str]) -> MailServer {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let child = Command::new(root.join("target/venv/bin/python"))
            .arg(root.join("tests/support/smtpd.py"))
            .args([
                port.to_string(),
                path("mails"),
                path("ca.pem"),
                path("key.pem"),
            ])
            .args([USER, PASSWORD])
            .args(more)
            .stdin(Stdio::piped())
            .spawn()
            .expect("`make test` makes target/venv");
        let server = MailServer {
            folder,
            port,
            child,
        };
        wait_for("the mail server", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        server
    }

    fn ca_file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// The mails that it took.
    fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn section(&self, password: &str, more: &str) -> String {
        format!(
            "\n[mail]\nhost = \"localhost\"\nport = {}\nusername = \"{USER}\"\npassword = \"{password}\"\nfrom = \"warn@city.example\"\n{more}\n",
            self.port
        )
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // it may have ended by itself
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const RULES: &str = "rules:
  - id: flood.test
    name: { zh: 下穿通道积水, en: Water in the underpass }
    hazard: flood
    measurement: water_depth
    unit: cm
    levels: { orange: value >= 20, red: value >= 27 }
    advice: { zh: \"封闭通道 <立即>\", en: Close the underpass }
";

const PLANS: &str = "departments:
  - id: pumps
    name: { zh: 排水公司, en: Pumps }
    contacts:
      - { name: 老王, mail: wang@pumps.example, channels: [{ kind: mail }] }
plans:
  - { id: default, levels: { blue: { tell: [pumps] } } }
";

fn service(section: &str) -> Service {
    let files = [
        ("rules/flood.yaml", RULES),
        (
            "sensors.csv",
            "sensor_id,name,measurements\nu-1,人民路下穿通道,water_depth\n",
        ),
        ("plans.yaml", PLANS),
    ];
    let service = Service::new(&files, "");
    let more = format!(
        "\n[service]\nname = {{ zh = \"示例区安全中心\", en = \"Safety Centre\" }}\npublic_url = \"http://127.0.0.1:{}\"\n{section}",
        service.http
    );
    let config = std::fs::read_to_string(service.config()).unwrap() + &more;
    std::fs::write(service.config(), config).unwrap();
    service
}

fn post(service: &Service, path: &str, body: &Value) -> Value {
    let (status, answer) = service.post(path, body.to_string().as_bytes());
    assert!(matches!(status, 200 | 201), "{status} {answer}");
    answer
}

fn nth_mail(server: &MailServer, number: usize) -> Value {
    wait_for("the mail", || server.mails().get(number).cloned())
}

fn header(mail: &Value, name: &str) -> String {
    mail["header"][name].as_str().unwrap_or_default().to_owned()
}

/// Headers, texts, link and attachment of the first mail.
fn the_first_is_whole(first: &Value, service: &Service) {
    assert_eq!(
        header(first, "subject"),
        "【下穿通道积水橙色预警】人民路下穿通道 22.5 cm（严重） | Orange warning: Water in the underpass, 人民路下穿通道 22.5 cm (severe)"
    );
    assert!(
        first["raw_subject"].as_str().unwrap().contains("=?utf-8?"),
        "{first}"
    );
    assert_eq!(
        (&first["tls"], &first["login"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(first["rcpt"], json!(["wang@pumps.example"]));
    assert_eq!(header(first, "to"), "排水公司 老王 <wang@pumps.example>");
    assert_eq!(header(first, "from"), "示例区安全中心 <warn@city.example>");
    assert_eq!(header(first, "auto-submitted"), "auto-generated");
    assert_eq!(header(first, "references"), "");
    the_body_is_whole(first, service);
}

fn the_body_is_whole(first: &Value, service: &Service) {
    let (plain, html) = (
        first["plain"].as_str().unwrap(),
        first["html"].as_str().unwrap(),
    );
    for text in [
        "级别：橙色预警（严重）",
        "处置：封闭通道 <立即>",
        "What to do: Close the underpass",
        "发布单位：示例区安全中心",
    ] {
        assert!(plain.contains(text), "{text}: {plain}");
    }
    assert!(
        html.contains("封闭通道 &lt;立即&gt;") && !html.contains("<立即>"),
        "{html}"
    );
    let link = plain
        .lines()
        .find(|line| line.starts_with("http://"))
        .unwrap();
    assert!(html.contains(&format!("href=\"{link}\"")), "{html}");
    let path = &link[link.find("/a/").unwrap()..];
    assert_eq!(support::get(service.http, path, None).unwrap().0, 200);
    let cap = &first["attached"][0];
    assert_eq!(cap[0], "application/cap+xml");
    assert!(
        cap[2]
            .as_str()
            .unwrap()
            .contains("<severity>Severe</severity>"),
        "{cap}"
    );
}

/// A service whose mails go to `server`, and the paths under which its alert and its warning are handled.
fn warned(server: &MailServer) -> (Service, String, Value) {
    let ca = format!("ca_file = \"{}\"", server.ca_file());
    let mut service = service(&server.section(PASSWORD, &ca));
    service.start();
    service.send(
        &json!([{ "sensor": "u-1", "measurement": "water_depth", "value": 22.5, "unit": "cm" }]),
    );
    let alert = service.alerts("").pop().unwrap()["id"].clone();
    let click = format!("/api/v1/alerts/{alert}/warnings");
    let warning = post(&service, &click, &json!({}));
    (service, click, warning)
}

#[test]
fn mails_are_read_in_chinese_and_stay_in_one_thread() {
    let server = MailServer::start(&[]);
    let (service, click, warning) = warned(&server);
    let first = nth_mail(&server, 0);
    the_first_is_whole(&first, &service);
    let delivery = wait_for("accepted", || {
        let list = service.get("/api/v1/deliveries?channel=mail");
        Some(list["items"][0].clone()).filter(|row| row["state"] == "accepted")
    });
    let message_id = |delivery: &Value| {
        format!(
            "<{}@city.example>",
            delivery["message_id"].as_str().unwrap()
        )
    };
    assert_eq!(header(&first, "message-id"), message_id(&delivery));
    assert!(
        delivery["detail"]
            .as_str()
            .unwrap()
            .ends_with("answered 250: queued as 7"),
        "{delivery}"
    );
    let update = post(
        &service,
        &format!("/api/v1/warnings/{}/update", warning["id"]),
        &json!({ "level": "red" }),
    );
    let second = nth_mail(&server, 1);
    assert!(header(&second, "subject").contains("更新"), "{second}");
    assert_eq!(header(&second, "references"), message_id(&delivery));
    post(
        &service,
        &format!("/api/v1/warnings/{}/withdraw", update["id"]),
        &json!({ "note": "探头故障" }),
    );
    let third = nth_mail(&server, 2);
    assert!(header(&third, "subject").contains("撤销"), "{third}");
    assert!(
        third["plain"].as_str().unwrap().contains("说明：探头故障"),
        "{third}"
    );
    let ids = [&first, &second].map(|mail| header(mail, "message-id"));
    assert_eq!(header(&third, "references"), ids.join(" "));
    assert_eq!(header(&third, "in-reply-to"), ids[1]);
    post(&service, &click, &json!({ "status": "exercise" }));
    let drill = nth_mail(&server, 3);
    assert!(header(&drill, "subject").starts_with("【演练】"), "{drill}");
    assert!(!service.log().contains(PASSWORD));
}

/// `test-channel` with the configuration of this section.
fn test_channel(section: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let service = service(section);
    let config = service.config().display().to_string();
    let Output {
        status,
        stdout,
        stderr,
    } = run(&[&["test-channel", "--config", &config], arguments].concat());
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(!text.contains(PASSWORD), "{text}");
    (status.code(), text)
}

#[test]
fn a_test_send_says_what_the_server_answered() {
    let server = MailServer::start(&[]);
    let ca = format!("ca_file = \"{}\"", server.ca_file());
    let trusted = server.section(PASSWORD, &ca);
    let to = |address: &'static str| ["mail", "--to", address];
    let (code, text) = test_channel(&trusted, &to("duty@city.example"));
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("mail: accepted") && text.contains("queued as 7"),
        "{text}"
    );
    let mail = nth_mail(&server, 0);
    let subject = mail["header"]["subject"].as_str().unwrap();
    assert!(
        subject.starts_with("【测试】") && subject.contains("[TEST]"),
        "{subject}"
    );
    let (code, text) = test_channel(&trusted, &["pumps"]);
    assert_eq!((code, server.mails().len()), (Some(0), 2), "{text}");
}

#[test]
fn a_test_send_that_fails_says_what_to_do() {
    let server = MailServer::start(&[]);
    let ca = format!("ca_file = \"{}\"", server.ca_file());
    let trusted = server.section(PASSWORD, &ca);
    let to = |address: &'static str| ["mail", "--to", address];
    let duty = to("duty@city.example");
    let untrusted = server.section(PASSWORD, "");
    let wrong = server.section("another-password", &ca);
    let plain = MailServer::start(&["plain"]);
    let bare = plain.section(PASSWORD, &format!("ca_file = \"{}\"", plain.ca_file()));
    let nowhere = trusted.replace(
        &format!("port = {}", server.port),
        &format!("port = {}", free_port()),
    );
    let missing = server.section(PASSWORD, "ca_file = \"nowhere.pem\"");
    for (case, section, arguments, code, said) in [
        ("trust", &untrusted, &duty[..], 1, "`ca_file` under [mail]"),
        (
            "password",
            &wrong,
            &duty,
            1,
            "check username and password under [mail]",
        ),
        ("no mailbox", &trusted, &to("nobody@city.example"), 1, "550"),
        ("busy", &trusted, &to("busy@city.example"), 1, "451"),
        ("no TLS", &bare, &duty, 1, "STARTTLS"),
        ("nobody there", &nowhere, &duty, 1, "mail: failed"),
        ("no such file", &missing, &duty, 1, "nowhere.pem"),
        (
            "no address",
            &trusted,
            &to("duty"),
            2,
            "is not a mail address",
        ),
        ("no target", &trusted, &["mail"], 2, "--to ADDRESS"),
        (
            "no name",
            &trusted,
            &["pump"],
            2,
            "a department of the plans (pumps)",
        ),
        (
            "no gateway",
            &trusted,
            &["sms", "--to", "110"],
            1,
            "add [sms]",
        ),
    ] {
        let (got, text) = test_channel(section, arguments);
        assert_eq!(got, Some(code), "{case}: {text}");
        assert!(text.contains(said), "{case}: {text}");
    }
}

#[test]
fn check_tells_what_is_missing_for_mail_and_text_messages() {
    let service = service("");
    let plans = PLANS
        .replace("kind: mail", "kind: mail }, { kind: sms, phone: 12a")
        .replace("wang@pumps.example", "wang");
    std::fs::write(service.folder.path().join("plans.yaml"), plans).unwrap();
    let config = service.config().display().to_string();
    let check = || {
        let output = run(&["check", "--config", &config]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = check();
    for said in [
        "plans.yaml:5:",
        "`wang` is not a mail address",
        "`12a` is not a telephone number: `a` is no digit",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    std::fs::write(service.folder.path().join("plans.yaml"), PLANS).unwrap();
    let text = check();
    assert!(text.contains("plans.yaml:5: department `pumps` is to be told by mail, and citywatch.toml has no [mail]"), "{text}");
    let config_text = std::fs::read_to_string(service.config()).unwrap();
    let without = config_text
        .lines()
        .filter(|line| !line.starts_with("public_url"));
    let without = without.collect::<Vec<_>>().join("\n")
        + "\n[mail]\nhost = \"localhost\"\nfrom = \"a@b.example\"\n";
    std::fs::write(service.config(), without).unwrap();
    let text = check();
    assert!(
        text.contains("[mail] needs `public_url` under [service]"),
        "{text}"
    );
}
