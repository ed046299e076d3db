//! Trust for webhooks over https: the roots of the operating system, where a city's own authority is installed too,
//! or of SSL_CERT_FILE. A machine without any still starts: its webhooks over plain http must work.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// A client's TLS settings, independent of whatever crypto provider the process has installed.
pub(super) fn config() -> Result<ClientConfig, rustls::Error> {
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
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}
