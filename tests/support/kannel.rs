//! A real SMS gateway: bearerbox and smsbox with the shipped settings on free ports, and the simulated carrier behind
//! them, which takes every message and reports it as delivered. Stopped by process id.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{free_port, get, wait_for};

/// The gateway's own account in `deploy/kannel.conf`.
pub const USER: &str = "citywatch";
/// Stands in place of the one that the shipped file asks for.
pub const PASSWORD: &str = "sms-password-0123456789";

/// A gateway; not running until it is started.
pub struct Kannel {
    folder: tempfile::TempDir,
    pub sendsms: u16,
    admin: u16,
    carrier: u16,
    /// Ended in this order.
    running: Vec<Child>,
}

impl Kannel {
    /// The shipped settings with free ports, and a simulated carrier instead of a real one.
    pub fn new() -> Kannel {
        let folder = tempfile::tempdir().unwrap();
        let [sendsms, admin, boxes, carrier] = [(); 4].map(|()| free_port());
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kannel.conf");
        let shipped = std::fs::read_to_string(shipped).unwrap();
        let here = folder.path().display().to_string();
        let mut settings = String::new();
        let mut in_carrier = false;
        for group in shipped.split("\n\n") {
            if group.contains("group = smsc\n") {
                in_carrier = true;
                settings.push_str(&format!(
                    "group = smsc\nsmsc = fake\nsmsc-id = carrier\nhost = 127.0.0.1\nport = {carrier}\nconnect-allow-ip = 127.0.0.1\n\n"
                ));
            } else {
                settings.push_str(&format!("{group}\n\n"));
            }
        }
        assert!(in_carrier, "deploy/kannel.conf names a carrier");
        let settings = settings
            .replace("13000", &admin.to_string())
            .replace("13001", &boxes.to_string())
            .replace("13013", &sendsms.to_string())
            .replace("/var/log/kannel", &here)
            .replace("/var/spool/kannel", &here)
            .replace("REPLACE-THIS-PASSWORD", PASSWORD)
            .replace("log-level = 1", "log-level = 0");
        std::fs::write(folder.path().join("kannel.conf"), settings).unwrap();
        Kannel {
            folder,
            sendsms,
            admin,
            carrier,
            running: Vec::new(),
        }
    }

    /// Starts all three and waits until a message would go all the way.
    pub fn start(&mut self) {
        let settings = self.folder.path().join("kannel.conf");
        let settings = settings.to_str().unwrap().to_owned();
        self.run("/usr/sbin/bearerbox", &[&settings], "bearerbox.out");
        wait_for("bearerbox", || self.status());
        self.run("/usr/sbin/smsbox", &[&settings], "smsbox.out");
        wait_for("smsbox", || get(self.sendsms, "/", None));
        let carrier = self.carrier.to_string();
        let arguments = ["-H", "127.0.0.1", "-r", &carrier, "-i", "0.01", "-m", "0"];
        let nothing = ["106 107 text nothing"];
        self.run(
            "/usr/lib/kannel/test/fakesmsc",
            &[&arguments[..], &nothing].concat(),
            "carrier.out",
        );
        wait_for("the carrier", || {
            self.status().filter(|status| status.contains("(online "))
        });
    }

    fn run(&mut self, program: &str, arguments: &[&str], log: &str) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join(log))
            .unwrap();
        // the carrier ends with its standard input: the pipe stays open as long as the child is held
        let child = Command::new(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.running.push(child.expect("the gateway is installed"));
    }

    fn status(&self) -> Option<String> {
        let (status, text) = get(self.admin, "/status.txt", None)?;
        (status == 200).then_some(text)
    }

    /// The messages that the carrier took, parts put together.
    pub fn messages(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("carrier.out"));
        let log = log.unwrap_or_default();
        let mut messages: Vec<Vec<u16>> = Vec::new();
        for line in log.lines().filter(|line| line.contains("Got message ")) {
            let (_, message) = line.split_once(": <").unwrap();
            let (head, data) = message.trim_end_matches('>').rsplit_once(" data ").unwrap();
            let bytes = decoded(data);
            let units = bytes
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            // udh 05 00 03 REFERENCE COUNT NUMBER
            let follows = head
                .rsplit_once("udh ")
                .is_some_and(|(_, udh)| decoded(udh).last() != Some(&1));
            if follows {
                messages.last_mut().unwrap().extend(units);
            } else {
                messages.push(units.collect());
            }
        }
        let text = |units: Vec<u16>| String::from_utf16(&units).unwrap();
        messages.into_iter().map(text).collect()
    }

    /// The addresses that the gateway has called with its reports, in order.
    pub fn reports(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("smsbox.log"));
        let log = log.unwrap_or_default();
        let urls = log
            .lines()
            .filter_map(|line| line.split_once("Parsing URL `"));
        urls.filter_map(|(_, url)| url.strip_suffix("':"))
            .filter(|url| url.contains("/receipts/"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Kannel {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // it may have ended by itself
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// `%XX` and `+` undone.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            b'+' => b' ',
            other => other,
        });
    }
    bytes
}
