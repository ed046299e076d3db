//! Broker URLs: `mqtt://[user:password@]host[:port]`, or `mqtts://` for TLS. A password never appears in a message.

use super::ClientError;

/// Where a broker is and how to log in.
#[derive(Clone)]
pub(crate) struct Broker {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Option<(String, String)>,
}

impl Broker {
    /// What is wrong with a URL, which is shown without its password.
    pub(crate) fn wrong(url: &str, problem: &'static str) -> ClientError {
        let url = match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, address))) => format!("{scheme}://…@{address}"),
            _ => url.to_owned(),
        };
        ClientError::Url { url, problem }
    }

    pub(crate) fn parse(url: &str) -> Result<Broker, ClientError> {
        let wrong = |problem| Broker::wrong(url, problem);
        let (tls, rest) = match url.split_once("://") {
            Some(("mqtt" | "tcp", rest)) => (false, rest),
            Some(("mqtts" | "ssl", rest)) => (true, rest),
            Some(_) | None => return Err(wrong("does not start with mqtt://")),
        };
        let (credentials, address) = match rest.rsplit_once('@') {
            Some((login, address)) => (Some(login.split_once(':').unwrap_or((login, ""))), address),
            None => (None, rest),
        };
        let address = address.trim_end_matches('/');
        let bracketed = address.ends_with(']');
        let (host, port) = match address.rsplit_once(':').filter(|_| !bracketed) {
            Some((host, port)) => (
                host,
                port.parse()
                    .map_err(|_| wrong("has a port that is no number up to 65535"))?,
            ),
            None => (address, if tls { 8883 } else { 1883 }),
        };
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        let decode = |text: &str| {
            percent_decoded(text).ok_or_else(|| wrong("has a broken %-escape in user or password"))
        };
        let credentials = match credentials {
            Some((user, password)) => Some((decode(user)?, decode(password)?)),
            None => None,
        };
        Ok(Broker {
            tls,
            host: host.to_owned(),
            port,
            credentials,
        })
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> String {
        match Broker::parse(url) {
            Ok(broker) => format!("{} {:?}", broker.address(), broker.credentials),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn urls_name_host_port_and_login() {
        let urls = [
            "mqtt://broker",
            "mqtt://127.0.0.1:1884/",
            "mqtt://user:p%40ss@[::1]:1883",
            "mqtt://[::1]",
            "mqtts://user:secret@broker",
            "http://broker",
            "mqtt://broker:port",
            "mqtt://:1883",
            "broker:1883",
        ];
        insta::assert_snapshot!(urls.map(parsed).join("\n"), @r#"
        broker:1883 None
        127.0.0.1:1884 None
        [::1]:1883 Some(("user", "p@ss"))
        [::1]:1883 None
        broker:8883 Some(("user", "secret"))
        broker url `http://broker` does not start with mqtt://: write mqtt://[user:password@]host[:port]
        broker url `mqtt://broker:port` has a port that is no number up to 65535: write mqtt://[user:password@]host[:port]
        broker url `mqtt://:1883` names no host: write mqtt://[user:password@]host[:port]
        broker url `broker:1883` does not start with mqtt://: write mqtt://[user:password@]host[:port]
        "#);
    }
}
