//! The gate before every described address: finds out who calls, asks `rights` whether he may, and hands him to the
//! handler. What is refused is refused here, before anything was read of the body.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use citywatch_alerting::Ledger;
use citywatch_alerting::accounts::fingerprint;
use citywatch_alerting::ledger::TokenRefusal;
use citywatch_model::Time;

use super::bearer::{Bearer, Tokens};
use super::origin::{Client, is_foreign};
use super::refusal::{Refusal, Refusals, Refused};
use super::rights::{Right, needed};

/// Name of the session cookie.
pub const COOKIE: &str = "citywatch_session";
/// Header that a writing call in a session carries.
pub const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");

/// What the gate knows; clones share it.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    tokens: Tokens,
    refusals: Refusals,
    trusted_proxies: Vec<IpAddr>,
    public_url: String,
    /// Method and address of everything that the API describes.
    described: HashSet<(Method, String)>,
}

/// What a gate stands on.
pub struct Posts {
    pub ledger: Ledger,
    pub tokens: Tokens,
    pub trusted_proxies: Vec<IpAddr>,
    pub public_url: String,
    pub metrics: prometheus::Registry,
}

impl Gate {
    /// A gate before what `description` describes.
    ///
    /// # Errors
    /// If its counter is registered already.
    pub fn new(
        posts: Posts,
        description: &utoipa::openapi::OpenApi,
    ) -> Result<Gate, prometheus::Error> {
        Ok(Gate(Arc::new(Inner {
            ledger: posts.ledger,
            tokens: posts.tokens,
            refusals: Refusals::register(&posts.metrics)?,
            trusted_proxies: posts.trusted_proxies,
            public_url: posts.public_url,
            described: described(description),
        })))
    }

    /// The attributes of the session cookie.
    pub fn cookie(&self, value: &str, max_age_seconds: i64) -> String {
        let secure = if self.0.public_url.starts_with("https://") {
            "; Secure"
        } else {
            ""
        };
        format!(
            "{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_seconds}{secure}"
        )
    }

    /// The names that tokens of the configuration bear.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.tokens.bearers().into_keys()
    }

    /// Counts and logs a refusal, and answers it.
    pub fn refuse(&self, refusal: &Refusal, refused: &Refused<'_>) -> Response {
        self.0.refusals.refuse(refusal, refused)
    }

    /// Who calls, if he may; `Err` also tells who it was, if that is known.
    fn judge(&self, parts: &Parts, now: Time) -> Result<Option<Bearer>, (Refusal, Option<String>)> {
        let path = parts
            .extensions
            .get::<MatchedPath>()
            .map_or("", MatchedPath::as_str);
        let right = needed(&parts.method, path);
        let unknown = |refusal| (refusal, None);
        if right == Some(Right::Public) {
            if is_foreign(&parts.headers, &self.0.public_url) {
                return Err(unknown(Refusal::ForeignSite));
            }
            return Ok(None);
        }
        let bearer = self.bearer(parts, right, now).map_err(unknown)?;
        let refused = |refusal| (refusal, Some(bearer.name.clone()));
        if bearer.session().is_some() {
            self.judge_session(parts, &bearer, right).map_err(refused)?;
        }
        match right {
            Some(right) => {
                let lacks = |lacking| refused(Refusal::Lacks(right, lacking));
                bearer.has(right).map_err(lacks)?;
            }
            None if self
                .0
                .described
                .contains(&(described_as(&parts.method), path.to_owned())) =>
            {
                tracing::error!(method = %parts.method, path, "nobody has decided who may call this address: list it in rights.rs");
                return Err(refused(Refusal::Undecided));
            }
            // another method than the address takes, which it says itself
            None => {}
        }
        Ok(Some(bearer))
    }

    fn bearer(&self, parts: &Parts, right: Option<Right>, now: Time) -> Result<Bearer, Refusal> {
        let ledger = &self.0.ledger;
        if let Some(sent) = parts.headers.get(header::AUTHORIZATION) {
            let basic_too = right == Some(Right::Feed);
            let token = token(sent, basic_too).ok_or(Refusal::NoCredentials)?;
            return self.token(&token, now);
        }
        let cookie = cookie(&parts.headers).ok_or(Refusal::NoCredentials)?;
        let session = ledger.session(cookie, now).ok_or(Refusal::NoSession)?;
        Ok(Bearer::of_session(session, ledger))
    }

    fn token(&self, token: &str, now: Time) -> Result<Bearer, Refusal> {
        let ledger = &self.0.ledger;
        if let Some(bearer) = self.0.tokens.bearer(token) {
            if !bearer.is_good(now) {
                let said = "the token has expired: set another `expires` in [[tokens]]";
                return Err(Refusal::DeadToken(said.to_owned()));
            }
            return Ok(bearer.bearer(ledger));
        }
        match ledger.token(token, now) {
            Ok(token) => Ok(Bearer::of_token(token, ledger)),
            Err(TokenRefusal::Unknown) => Err(Refusal::UnknownToken),
            Err(dead) => Err(Refusal::DeadToken(dead.to_string())),
        }
    }

    /// What is asked of a session beyond its cookie, which browsers send by themselves.
    fn judge_session(
        &self,
        parts: &Parts,
        bearer: &Bearer,
        right: Option<Right>,
    ) -> Result<(), Refusal> {
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method) {
            if is_foreign(&parts.headers, &self.0.public_url) {
                return Err(Refusal::ForeignSite);
            }
            let expected = cookie(&parts.headers).map(csrf_token);
            let given = parts
                .headers
                .get(CSRF)
                .and_then(|value| value.to_str().ok());
            // fingerprints are compared, so that the time which that takes tells nothing
            if given.map(fingerprint) != expected.as_deref().map(fingerprint) {
                return Err(Refusal::NoCsrfToken);
            }
        }
        let must_change = bearer
            .session()
            .is_some_and(|session| session.account.must_change_password);
        if must_change && !matches!(right, Some(Right::Own | Right::Session)) {
            return Err(Refusal::PasswordChange);
        }
        Ok(())
    }
}

/// What answers GET answers HEAD too.
fn described_as(method: &Method) -> Method {
    if method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    }
}

/// Method and address of each operation.
pub fn described(description: &utoipa::openapi::OpenApi) -> HashSet<(Method, String)> {
    let mut found = HashSet::new();
    for (path, item) in &description.paths.paths {
        let operations = [
            (Method::GET, &item.get),
            (Method::PUT, &item.put),
            (Method::POST, &item.post),
            (Method::DELETE, &item.delete),
            (Method::PATCH, &item.patch),
        ];
        let there = operations
            .into_iter()
            .filter(|(_, operation)| operation.is_some());
        found.extend(there.map(|(method, _)| (method, path.clone())));
    }
    found
}

/// The token in an `Authorization` header: as bearer or, for feed readers that cannot, as password of HTTP Basic.
fn token(sent: &HeaderValue, basic_too: bool) -> Option<String> {
    let (scheme, rest) = sent.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !basic_too || !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

/// The session cookie.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// What a page must read from `GET /api/v1/session` and send with writing calls: other sites cannot.
pub fn csrf_token(cookie: &str) -> String {
    fingerprint(&format!("csrf {cookie}"))
}

/// Middleware: puts [`Bearer`], [`Client`] and [`Gate`] into the request, or refuses it.
pub async fn authenticate(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = Client::of(&parts, &gate.0.trusted_proxies);
    match gate.judge(&parts, citywatch_alerting::wall_clock()) {
        Ok(bearer) => {
            parts.extensions.insert(client);
            parts.extensions.insert(gate);
            if let Some(bearer) = bearer {
                parts.extensions.insert(bearer);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err((refusal, who)) => {
            let refused = Refused {
                who: who.as_deref(),
                client: &client,
                method: &parts.method,
                path: parts.uri.path(),
            };
            let mut response = gate.refuse(&refusal, &refused);
            let path = parts
                .extensions
                .get::<MatchedPath>()
                .map_or("", MatchedPath::as_str);
            if needed(&parts.method, path) == Some(Right::Feed)
                && response.status() == StatusCode::UNAUTHORIZED
            {
                let basic = HeaderValue::from_static("Basic realm=\"citywatch\"");
                response
                    .headers_mut()
                    .append(header::WWW_AUTHENTICATE, basic);
            }
            response
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_token_comes_as_bearer_and_to_feeds_as_password() {
        let sent = |text: &str| text.parse::<HeaderValue>().unwrap();
        assert_eq!(token(&sent("bearer  abc "), false).as_deref(), Some("abc"));
        let basic = sent("Basic cmVhZGVyOmFiYzpk");
        assert_eq!(token(&basic, true).as_deref(), Some("abc:d"));
        assert_eq!(token(&basic, false), None);
        for odd in ["abc", "Basic %%%", "Digest x", "Basic YWJj"] {
            assert_eq!(token(&sent(odd), true), None, "{odd}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            "a=b; citywatch_session=x=y".parse().unwrap(),
        );
        assert_eq!(cookie(&headers), Some("x=y"));
        headers.insert(header::COOKIE, "xcitywatch_session=1".parse().unwrap());
        assert_eq!(cookie(&headers), None);
        assert_ne!(csrf_token("a"), csrf_token("b"));
    }

    /// Whoever adds an address decides who may call it.
    #[test]
    fn every_described_address_is_decided() {
        let (_, description) = super::super::routes();
        let described = described(&description);
        for (method, path) in &described {
            assert!(
                needed(method, path).is_some(),
                "list {method} {path} in rights.rs"
            );
        }
        assert!(described.len() > 50, "{}", described.len());
    }
}
