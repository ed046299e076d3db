//! TLS and mutual TLS with a real mosquitto and certificates of our own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use citywatch_ingest::link::{LinkConfig, LinkPhase, Links, TlsFiles, Version};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::support::{House, until};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        Authority(issuer.unwrap())
    }

    /// Writes a certificate for `name` and its key.
    fn issue(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let paths = (
            folder.join(format!("{name}.pem")),
            folder.join(format!("{name}.key")),
        );
        fs::write(&paths.0, certificate.pem()).unwrap();
        fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    fn write(&self, path: PathBuf) -> PathBuf {
        fs::write(&path, self.0.pem()).unwrap();
        path
    }
}

/// A mosquitto that asks for certificates, on a port of its own.
struct Mosquitto {
    child: Child,
    port: u16,
}

impl Mosquitto {
    fn start(folder: &Path, ca: &Path, own: &(PathBuf, PathBuf)) -> Mosquitto {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
            ca.display(),
            own.0.display(),
            own.1.display()
        );
        let path = folder.join("mosquitto.conf");
        fs::write(&path, config).unwrap();
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
        let program = program
            .iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or(&"mosquitto");
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(path)
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        Mosquitto {
            child: command.spawn().expect("mosquitto is installed"),
            port,
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn with_files(port: u16, ca: &Path, client: Option<&(PathBuf, PathBuf)>) -> LinkConfig {
    LinkConfig {
        tls: TlsFiles {
            ca: Some(ca.to_owned()),
            client: client.cloned(),
        },
        ..crate::config(&format!("mqtts://127.0.0.1:{port}"))
    }
}

async fn says(links: &Links, words: &str) {
    let board = links.board();
    until(|| {
        board.statuses()[0]
            .last_error
            .as_ref()
            .is_some_and(|error| error.contains(words))
    })
    .await;
    assert_eq!(board.statuses()[0].phase, LinkPhase::Down);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_both_sides_are_checked() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let (authority, stranger) = (Authority::new("city"), Authority::new("stranger"));
    let ca = authority.write(path.join("ca.pem"));
    let other = stranger.write(path.join("other.pem"));
    let broker = authority.issue(path, "127.0.0.1");
    let own = authority.issue(path, "citywatch");
    let foreign = stranger.issue(path, "foreign");
    let mosquitto = Mosquitto::start(path, &ca, &broker);
    let house = House::new();
    for version in [Version::V3, Version::V5] {
        let config = LinkConfig {
            version,
            ..with_files(mosquitto.port, &ca, Some(&own))
        };
        let links = house.links(&[config]).unwrap();
        let board = links.board();
        until(|| board.statuses()[0].phase == LinkPhase::Up).await;
        links.stop().await;
    }
    let links = house
        .links(&[with_files(mosquitto.port, &other, Some(&own))])
        .unwrap();
    says(&links, "the broker's certificate is not accepted").await;
    let links = house
        .links(&[with_files(mosquitto.port, &ca, Some(&foreign))])
        .unwrap();
    says(&links, "the broker does not accept our certificate").await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let authority = Authority::new("city");
    let ca = authority.write(path.join("ca.pem"));
    let own = authority.issue(path, "citywatch");
    let other = authority.issue(path, "other");
    let empty = path.join("empty.pem");
    fs::write(&empty, "").unwrap();
    let missing = path.join("missing.pem");
    let problem = |ca: &Path, certificate: &Path, key: &Path| {
        let client = (certificate.to_owned(), key.to_owned());
        let error = with_files(1, ca, Some(&client))
            .check()
            .unwrap_err()
            .to_string();
        error.replace(&path.display().to_string(), "")
    };
    let problems = [
        problem(&missing, &own.0, &own.1),
        problem(&empty, &own.0, &own.1),
        problem(&ca, &missing, &own.1),
        problem(&ca, &own.0, &own.0),
        problem(&ca, &own.0, &other.1),
    ];
    insta::assert_snapshot!(problems.join("\n"), @r"
    link `city`: ca_file /missing.pem: cannot be read: No such file or directory (os error 2)
    link `city`: ca_file /empty.pem: holds no certificate in PEM
    link `city`: client_certificate_file /missing.pem: cannot be read: No such file or directory (os error 2)
    link `city`: client_key_file /citywatch.pem: holds no private key in PEM, or one behind a pass phrase
    link `city`: client_key_file /other.key: does not fit the certificate: keys may not be consistent: KeyMismatch
    ");
}
