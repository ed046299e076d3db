//! A real mosquitto with the configuration that this repository ships, on a free port, stopped by process id.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::{free_port, wait_for};

/// Accounts of the broker: the service reads, sensors write.
const ACL: &str = "user citywatch\ntopic read citywatch/readings/#\ntopic readwrite citywatch/check/#\n\n\
                   user sensors\ntopic write citywatch/readings/#\n";
/// Password of both.
pub const PASSWORD: &str = "secret-of-both";

/// A broker with its data in a folder of its own.
pub struct Mosquitto {
    folder: tempfile::TempDir,
    pub port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// The shipped configuration, with places and port of this test; not yet running.
    pub fn new() -> Mosquitto {
        let shipped = include_str!("../../deploy/mosquitto.conf");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = free_port();
        let place = |name: &str| folder.path().join(name).display().to_string();
        let mut config = shipped.to_owned();
        for (from, to) in [
            ("/var/lib/mosquitto/", place("")),
            ("/etc/mosquitto/passwords", place("passwords")),
            ("/etc/mosquitto/acl", place("acl")),
            (
                "listener 1883 127.0.0.1",
                format!("listener {port} 127.0.0.1"),
            ),
        ] {
            assert!(config.contains(from), "deploy/mosquitto.conf names {from}");
            config = config.replace(from, &to);
        }
        // whoever runs the test owns its folder
        config.push_str("\nuser root\n");
        std::fs::write(place("mosquitto.conf"), config).expect("a file can be written");
        std::fs::write(place("acl"), ACL).expect("a file can be written");
        for (user, make) in [("citywatch", "-c"), ("sensors", "-b")] {
            let mut command = Command::new("mosquitto_passwd");
            let flags: &[&str] = if make == "-c" { &["-c", "-b"] } else { &["-b"] };
            let done = command
                .args(flags)
                .args([&place("passwords"), user, PASSWORD])
                .output();
            assert!(
                done.expect("mosquitto_passwd is installed")
                    .status
                    .success()
            );
        }
        Mosquitto {
            folder,
            port,
            child: None,
        }
    }

    /// Its URL for `user`.
    pub fn url(&self, user: &str) -> String {
        format!("mqtt://{user}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Starts it and waits until it listens.
    pub fn start(&mut self) {
        self.child = Some(start(&self.folder.path().join("mosquitto.conf")));
        wait_until_it_listens(self.port);
    }

    /// SIGTERM; answers how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let sent = Command::new("kill").arg(child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
        wait_for("the end of mosquitto", || {
            child.try_wait().expect("it can be asked")
        })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }
}

/// A mosquitto as it comes from the package, that lets everybody in; stopped when dropped.
pub struct Untuned {
    pub port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Untuned {
    pub fn start() -> Untuned {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = free_port();
        let path = folder.path().join("mosquitto.conf");
        let config = format!("allow_anonymous true\nuser root\nlistener {port} 127.0.0.1\n");
        std::fs::write(&path, config).expect("a file can be written");
        let child = start(&path);
        wait_until_it_listens(port);
        Untuned {
            port,
            child,
            _folder: folder,
        }
    }
}

impl Drop for Untuned {
    fn drop(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

fn start(config: &Path) -> Child {
    let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
    let program = places.iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(program.unwrap_or(&"mosquitto"));
    command
        .arg("-c")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .spawn()
        .expect("mosquitto is installed: .ci/servers does it")
}

fn wait_until_it_listens(port: u16) {
    wait_for("mosquitto", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
}
