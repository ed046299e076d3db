//! Where a request comes from: the client's address, seen through trusted proxies only, and whether a browser sent it
//! from a page of another site. Reads headers and decides nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// For the audit: with the port where we know it.
    pub shown: String,
}

impl Client {
    /// The client of a request: who connected, or whom a proxy names that we trust.
    pub fn of(parts: &Parts, trusted: &[IpAddr]) -> Client {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            |ConnectInfo(peer)| *peer,
        );
        let address = seen_through(peer.ip().to_canonical(), &parts.headers, trusted);
        let shown = if address == peer.ip().to_canonical() {
            peer.to_string()
        } else {
            address.to_string()
        };
        Client { address, shown }
    }
}

/// Each proxy adds at the end whom it saw: from there back to the first that is none of ours.
fn seen_through(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let named = headers.get_all(FORWARDED_FOR);
    let named: Vec<&str> = named
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut address = peer;
    for before in named.iter().rev() {
        if !trusted.contains(&address) {
            break;
        }
        let Ok(before) = before.trim().parse::<IpAddr>() else {
            break;
        };
        address = before.to_canonical();
    }
    address
}

/// Whether a browser says that a page of another site sent this. What says nothing is no browser of these years.
pub fn is_foreign(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(&FETCH_SITE).is_some_and(|site| !["same-origin", "none"].contains(&site)) {
        return true;
    }
    let Some(origin) = text(&header::ORIGIN) else {
        return false;
    };
    let host = text(&header::HOST).unwrap_or_default();
    let own = origin == public_url
        || public_url
            .strip_prefix(origin)
            .is_some_and(|rest| rest.starts_with('/'));
    let same_host = origin.split_once("://").is_some_and(|(_, of)| of == host);
    !(own || same_host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn a_proxy_is_believed_only_if_it_is_trusted() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let through = headers(&[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.2")]);
        let trusted = [ip("10.0.0.1"), ip("10.0.0.2")];
        assert_eq!(
            seen_through(ip("10.0.0.1"), &through, &trusted),
            ip("198.51.100.7")
        );
        assert_eq!(seen_through(ip("10.0.0.1"), &through, &[]), ip("10.0.0.1"));
        assert_eq!(
            seen_through(ip("203.0.113.5"), &through, &trusted),
            ip("203.0.113.5")
        );
        let odd = headers(&[("x-forwarded-for", "unknown")]);
        assert_eq!(seen_through(ip("10.0.0.1"), &odd, &trusted), ip("10.0.0.1"));
    }

    #[test]
    fn another_site_is_told_by_what_the_browser_says() {
        let foreign = |pairs: &[(&'static str, &str)]| {
            is_foreign(&headers(pairs), "https://warn.example/city")
        };
        assert!(!foreign(&[]));
        assert!(!foreign(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://warn.example")
        ]));
        assert!(!foreign(&[
            ("origin", "http://127.0.0.1:8080"),
            ("host", "127.0.0.1:8080")
        ]));
        assert!(foreign(&[("sec-fetch-site", "same-site")]));
        assert!(foreign(&[("sec-fetch-site", "cross-site")]));
        assert!(foreign(&[("origin", "null"), ("host", "warn.example")]));
        assert!(foreign(&[
            ("origin", "https://warn.example.evil"),
            ("host", "warn.example")
        ]));
        assert!(foreign(&[
            ("origin", "https://evil.example"),
            ("host", "warn.example")
        ]));
    }
}
