//! Trust and identity for `mqtts://`, from PEM files. Only this file reads certificates and keys; neither ever
//! appears in a message.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, RootCertStore};

use super::{LinkError, TlsFiles};

/// Everything that a TLS connection of link `link` needs.
pub(super) fn client_config(link: &str, files: &TlsFiles) -> Result<Arc<ClientConfig>, LinkError> {
    let broken = |error: rustls::Error| LinkError::Tls {
        link: link.to_owned(),
        problem: error.to_string(),
    };
    let roots = match &files.ca {
        Some(path) => authorities(link, path)?,
        None => system_authorities(link)?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &files.client else {
        return Ok(Arc::new(builder.with_no_client_auth()));
    };
    let chain = certificates(link, "client_certificate_file", certificate)?;
    let unusable = |problem: String| LinkError::File {
        link: link.to_owned(),
        what: "client_key_file",
        path: key.clone(),
        problem,
    };
    let pem = read(link, "client_key_file", key)?;
    let secret = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        unusable("holds no private key in PEM, or one behind a pass phrase".to_owned())
    })?;
    builder
        .with_client_auth_cert(chain, secret)
        .map(Arc::new)
        .map_err(|error| unusable(format!("does not fit the certificate: {error}")))
}

/// What is wrong with certificates, if that is why a connection failed.
pub(super) fn certificate_problem(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inside = error
            .downcast_ref::<std::io::Error>()
            .and_then(|io| io.get_ref())
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(error) = inside.or_else(|| error.downcast_ref::<rustls::Error>()) {
            return Some(in_words(error));
        }
        next = error.source();
    }
    None
}

fn in_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(_) => format!(
            "the broker's certificate is not accepted: {error}: check ca_file, the host name in url, and the dates"
        ),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure,
        ) => format!(
            "the broker does not accept our certificate: {error}: check client_certificate_file and client_key_file"
        ),
        other => format!("{other}: check that the port speaks TLS"),
    }
}

fn authorities(link: &str, path: &Path) -> Result<RootCertStore, LinkError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(link, "ca_file", path)? {
        roots.add(certificate).map_err(|error| LinkError::File {
            link: link.to_owned(),
            what: "ca_file",
            path: path.to_owned(),
            problem: format!("holds a certificate that cannot be used: {error}"),
        })?;
    }
    Ok(roots)
}

fn system_authorities(link: &str) -> Result<RootCertStore, LinkError> {
    let mut roots = RootCertStore::empty();
    let (added, _) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(LinkError::Tls {
            link: link.to_owned(),
            problem: "this machine has no root certificates: install the package ca-certificates, or set ca_file"
                .to_owned(),
        });
    }
    Ok(roots)
}

fn certificates(
    link: &str,
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let pem = read(link, what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(LinkError::File {
            link: link.to_owned(),
            what,
            path: path.to_owned(),
            problem: "holds no certificate in PEM".to_owned(),
        }),
    }
}

fn read(link: &str, what: &'static str, path: &Path) -> Result<Vec<u8>, LinkError> {
    std::fs::read(path).map_err(|error| LinkError::File {
        link: link.to_owned(),
        what,
        path: path.to_owned(),
        problem: format!("cannot be read: {error}"),
    })
}
