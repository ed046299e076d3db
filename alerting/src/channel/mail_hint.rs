//! What a person can do about a mail server that did not take a mail, from what it, or TLS, has said. Words only.

/// Whether the server does not know us: it wants a login, a better one, or TLS before it (RFC 4954).
pub(super) fn about_account(status: Option<u16>) -> bool {
    matches!(status, Some(530 | 534 | 535 | 538))
}

/// The way out, in brackets behind the error; empty if there is nothing to say. `host` is the server's name in the
/// configuration, `why` what the library says.
pub(super) fn hint(status: Option<u16>, why: &str, host: &str) -> String {
    if about_account(status) {
        return " (check username and password under [mail])".to_owned();
    }
    let why = why.to_lowercase();
    if status.is_some() {
        String::new()
    } else if why.contains("unknownissuer") || why.contains("unknown issuer") {
        format!(
            " (the certificate of {host} is signed by nobody whom this machine trusts: name its authority's PEM file as `ca_file` under [mail], or install it in the system)"
        )
    } else if why.contains("certificate") {
        format!(
            " (check that `host` under [mail], here {host}, is the name in the server's certificate, and `ca_file` its authority)"
        )
    } else if why.contains("starttls") {
        " (the server offers no STARTTLS: use its port for it, or set `security` under [mail] to \"tls\")".to_owned()
    } else {
        String::new()
    }
}
