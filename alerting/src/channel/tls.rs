//! Trust for channels over TLS: the roots of the operating system, where a city's own authority is installed too, or of
//! SSL_CERT_FILE, and a file that a channel names. A machine without any still starts: plain connections must work.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Why authorities cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file that names them is of no use.
    #[error("`ca_file` {}: {why}; name a PEM file with certificates", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS library refuses its own settings.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client's TLS settings, independent of whatever crypto provider the process has installed.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let problems: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        tracing::warn!(
            problems = problems.join("; "),
            "no root certificates found, so no webhook over https can be trusted: install the package ca-certificates or set SSL_CERT_FILE"
        );
    }
    if let Some(path) = ca_file {
        roots.add_parsable_certificates(authorities(path)?);
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

/// Looks at the file that a channel names, if it names one.
///
/// # Errors
/// If it cannot be read or holds no certificate.
pub fn authorities_are_readable(ca_file: Option<&Path>) -> Result<(), TrustError> {
    ca_file.map_or(Ok(()), |path| authorities(path).map(drop))
}

/// The certificates of a PEM file, at least one of which must be of use.
pub(super) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let failed = |why: String| TrustError::File {
        path: path.to_owned(),
        why,
    };
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(error.to_string()))?;
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates.clone());
    if usable == 0 {
        return Err(failed("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}
