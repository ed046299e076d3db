//! A service under test: the real program on free ports, in a folder of its own, stopped by process id.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod mosquitto;
pub mod people;
pub mod swing;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The token of every service under test.
pub const TOKEN: &str = "test-token-0123456789";

/// A command of the program.
pub fn citywatch(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_citywatch"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(arguments: &[&str]) -> Output {
    citywatch(arguments).output().expect("the program starts")
}

/// What a program has printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a file into the folder; answers its path.
pub fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A port that nobody uses at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it has an address").port()
}

/// How long a test waits for anything before it fails: only a failure takes that long, and a machine that others
/// share may stand still for a minute.
const PATIENCE: Duration = Duration::from_secs(300);

/// Waits until `look` answers something.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    found(look).unwrap_or_else(|| panic!("waited {PATIENCE:?} for {what}"))
}

fn found<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// A folder with a configuration, and perhaps a running service.
pub struct Service {
    pub folder: tempfile::TempDir,
    pub http: u16,
    pub mqtt: u16,
    child: Option<Child>,
}

impl Service {
    /// A folder with `rules`, further files, and a configuration that names them; not yet running.
    pub fn new(files: &[(&str, &str)], more_config: &str) -> Service {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let (http, mqtt) = (free_port(), free_port());
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("files stand in a folder"))
                .expect("a folder can be made");
            std::fs::write(path, text).expect("a file can be written");
        }
        let exists = |name: &str| folder.path().join(name).exists();
        let mut bundle = String::from("[bundle]\n");
        for (key, name) in [
            ("sensors", "sensors.csv"),
            ("zones", "zones.yaml"),
            ("plans", "plans.yaml"),
        ] {
            if exists(name) {
                bundle.push_str(&format!("{key} = \"{name}\"\n"));
            }
        }
        if exists("rules") {
            bundle.push_str("rules = [\"rules\"]\n");
        }
        let config = format!(
            "[http]\nlisten = \"127.0.0.1:{http}\"\n\n[broker]\nlisten = \"127.0.0.1:{mqtt}\"\n\n{bundle}\n\
             [[tokens]]\nname = \"test\"\nrole = \"admin\"\ntoken = \"{TOKEN}\"\n\n{more_config}"
        );
        std::fs::write(folder.path().join("citywatch.toml"), config)
            .expect("a file can be written");
        Service {
            folder,
            http,
            mqtt,
            child: None,
        }
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("citywatch.toml")
    }

    /// Starts it and waits until it is ready.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same with further switches.
    pub fn start_with(&mut self, switches: &[&str]) {
        self.begin_with(switches);
        found(|| self.is_ready().then_some(())).unwrap_or_else(|| {
            let (log, answer) = (self.log(), get(self.http, "/readyz", None));
            panic!("waited {PATIENCE:?} for the service; /readyz: {answer:?}; it wrote:\n{log}")
        });
    }

    /// Starts it and waits for nothing.
    pub fn begin(&mut self) {
        self.begin_with(&[]);
    }

    fn begin_with(&mut self, switches: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"));
        let printed = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("printed"));
        let mut command = citywatch(&["run", "--config"]);
        command
            .arg(self.config())
            .args(switches)
            .stdout(printed.expect("a file can be written"))
            .stderr(log.expect("a file can be written"));
        self.child = Some(command.spawn().expect("the program starts"));
    }

    /// Whether it says that it is ready; if it answers anything else, that must say what it waits for.
    pub fn is_ready(&mut self) -> bool {
        let child = self.child.as_mut().expect("it was started");
        if let Ok(Some(status)) = child.try_wait() {
            panic!("the service ended with {status}: {}", self.log());
        }
        match get(self.http, "/readyz", None) {
            None => false,
            Some((200, _)) => true,
            Some((status, answer)) => {
                let not_ready = status == 503 && answer.contains("problem:not-ready");
                assert!(not_ready, "{status}: {answer}");
                false
            }
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// SIGTERM; answers how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let sent = Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .expect("kill runs");
        assert!(sent.success());
        wait_for("the end of the service", || {
            child.try_wait().expect("it can be asked")
        })
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// What it has printed on standard output.
    pub fn printed(&self) -> String {
        read(&self.folder.path().join("printed"))
    }

    /// What each start began with: the positions of the engine's saved state, the ledger and the journal.
    pub fn starts(&self) -> Vec<[u64; 3]> {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains("saved state on"));
        let starts = lines.map(|line| {
            let line: Value = serde_json::from_str(line).expect("the log is JSON");
            ["state", "ledger", "journal"].map(|field| line[field].as_u64().expect("a position"))
        });
        starts.collect()
    }

    /// GET of JSON.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) =
            get(self.http, path, Some(TOKEN)).unwrap_or_else(|| panic!("no answer from {path}"));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Sends readings, and waits until they are judged.
    pub fn send(&self, readings: &Value) {
        let (status, answer) = self.post("/api/v1/readings", readings.to_string().as_bytes());
        assert_eq!(status, 200, "{answer}");
        self.judged();
    }

    /// Waits until everything that was accepted is judged.
    pub fn judged(&self) {
        wait_for("the alert book", || {
            let status = self.get("/api/v1/status");
            (status["booked"] == status["journal"]["last"]).then_some(())
        });
    }

    /// The alerts that a query finds.
    pub fn alerts(&self, query: &str) -> Vec<Value> {
        let list = self.get(&format!("/api/v1/alerts?{query}"));
        let alerts = list["items"].as_array().cloned();
        alerts.expect("a list of alerts")
    }

    /// POST of a body; answers status and JSON.
    pub fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        let (status, body) =
            request(self.http, "POST", path, Some(TOKEN), Some(body)).expect("an answer");
        (
            status,
            serde_json::from_str(&body).unwrap_or(Value::String(body)),
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // it may have ended by itself
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// GET; `None` if nobody answers.
pub fn get(port: u16, path: &str, token: Option<&str>) -> Option<(u16, String)> {
    request(port, "GET", path, token, None)
}

/// One HTTP/1.1 request on a connection of its own; answers status and body.
pub fn request(
    port: u16,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&[u8]>,
) -> Option<(u16, String)> {
    let body = body.map(|body| ("application/json", body));
    request_of(port, method, path, token, body)
}

/// The same with a media type before the body.
pub fn request_of(
    port: u16,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<(&str, &[u8])>,
) -> Option<(u16, String)> {
    let token = token.map(|token| ("Authorization", format!("Bearer {token}")));
    let headers: Vec<(&str, String)> = token.into_iter().collect();
    let (status, _, body) = exchange(port, (method, path), &headers, body)?;
    Some((status, body))
}

/// One HTTP/1.1 request with these headers, and a media type before the body, on a connection of its own; answers
/// status, head and body.
pub fn exchange(
    port: u16,
    (method, path): (&str, &str),
    headers: &[(&str, String)],
    body: Option<(&str, &[u8])>,
) -> Option<(u16, String, String)> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let (media_type, body) = body.unwrap_or(("application/json", &[]));
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    // a server that refuses a large body may close before it has read all of it
    drop(stream.write_all(body));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(body)
    } else {
        body.to_owned()
    };
    Some((status, head.to_owned(), body))
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
