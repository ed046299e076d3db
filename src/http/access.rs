//! Who may do what: bearer tokens with roles. Tokens are compared by their SHA-256, never logged.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::config::{Role, Token};

/// All tokens by their SHA-256.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    by_hash: Arc<HashMap<[u8; 32], Bearer>>,
}

/// Whom a token stands for.
#[derive(Debug, Clone)]
pub struct Bearer {
    pub name: String,
    pub role: Role,
}

impl Tokens {
    /// Tokens of the configuration; their form was checked when it was read.
    pub fn new(tokens: &[Token]) -> Tokens {
        let entries = tokens.iter().filter_map(|token| {
            let hash = match (&token.token, &token.token_sha256) {
                (Some(text), _) => hash(text),
                (None, Some(hex)) => from_hex(hex)?,
                (None, None) => return None,
            };
            Some((
                hash,
                Bearer {
                    name: token.name.clone(),
                    role: token.role,
                },
            ))
        });
        Tokens {
            by_hash: Arc::new(entries.collect()),
        }
    }

    /// Adds one more.
    pub fn with(&self, name: &str, role: Role, token: &str) -> Tokens {
        let mut by_hash = (*self.by_hash).clone();
        by_hash.insert(
            hash(token),
            Bearer {
                name: name.to_owned(),
                role,
            },
        );
        Tokens {
            by_hash: Arc::new(by_hash),
        }
    }

    /// Everybody who bears a token; all tokens of one name have one role.
    pub fn bearers(&self) -> impl Iterator<Item = &Bearer> {
        self.by_hash.values()
    }

    /// The bearer of `token`.
    pub fn bearer(&self, token: &str) -> Option<&Bearer> {
        self.by_hash.get(&hash(token))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// The admin token of a service whose configuration names none: kept in `folder/admin.token`, made at
/// the first start, readable by the owner only.
pub fn admin_token(folder: &Path) -> std::io::Result<String> {
    let path = folder.join("admin.token");
    if let Ok(text) = std::fs::read_to_string(&path)
        && text.trim().len() >= 16
    {
        return Ok(text.trim().to_owned());
    }
    let token = new_token();
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    Ok(token)
}

/// 244 random bits as text.
pub fn new_token() -> String {
    format!(
        "cw_{}{}",
        uuid::Uuid::new_v4().simple(),
        uuid::Uuid::new_v4().simple()
    )
}

/// Middleware: puts the [`Bearer`] into the request, or refuses it.
pub async fn authenticate(
    State(tokens): State<Tokens>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    let Some(bearer) = token.and_then(|token| tokens.bearer(token)) else {
        let why = if token.is_some() {
            "the token is not known"
        } else {
            "no token was sent"
        };
        tracing::warn!(path = request.uri().path(), "refused: {why}");
        let detail = format!(
            "{why}: send the header `Authorization: Bearer TOKEN`, with a token of [[tokens]] or of the file admin.token in the data folder"
        );
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            detail,
        ));
    };
    let bearer = bearer.clone();
    request.extensions_mut().insert(bearer);
    Ok(next.run(request).await)
}

impl Bearer {
    /// Whether the bearer's role includes `role`; only admins stand in for devices.
    pub fn may(&self, role: Role) -> bool {
        match role {
            Role::Device => matches!(self.role, Role::Device | Role::Admin),
            Role::Viewer | Role::Operator | Role::Admin => {
                self.role != Role::Device && self.role >= role
            }
        }
    }

    fn require(self, role: Role) -> Result<Bearer, Problem> {
        if self.may(role) {
            return Ok(self);
        }
        tracing::warn!(bearer = self.name, role = ?self.role, needed = ?role, "refused: the role does not allow it");
        let detail = format!(
            "this needs the role {role:?} and `{}` has {:?}",
            self.name, self.role
        )
        .to_lowercase();
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
    }
}

/// Extractor: the caller may bring readings.
pub struct Device(pub Bearer);
/// Extractor: the caller may read.
pub struct Viewer;
/// Extractor: the caller may handle alerts.
pub struct Operator(pub Bearer);

/// Extractor: the caller may change what is in force.
pub struct Admin(pub Bearer);

fn bearer(parts: &Parts, role: Role) -> Result<Bearer, Problem> {
    let bearer = parts.extensions.get::<Bearer>().cloned();
    bearer
        .ok_or_else(|| Problem::internal(&"a route stands outside authentication"))?
        .require(role)
}

impl<S: Sync> FromRequestParts<S> for Device {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Device, Problem> {
        bearer(parts, Role::Device).map(Device)
    }
}

impl<S: Sync> FromRequestParts<S> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Viewer, Problem> {
        bearer(parts, Role::Viewer).map(|_| Viewer)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Operator, Problem> {
        bearer(parts, Role::Operator).map(Operator)
    }
}

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Admin, Problem> {
        bearer(parts, Role::Admin).map(Admin)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn roles_include_each_other_but_for_devices() {
        let bearer = |role| Bearer {
            name: "x".to_owned(),
            role,
        };
        assert!(bearer(Role::Admin).may(Role::Device) && bearer(Role::Admin).may(Role::Operator));
        assert!(
            bearer(Role::Operator).may(Role::Viewer) && !bearer(Role::Operator).may(Role::Admin)
        );
        assert!(bearer(Role::Device).may(Role::Device) && !bearer(Role::Device).may(Role::Viewer));
        assert!(!bearer(Role::Viewer).may(Role::Device));
    }

    #[test]
    fn a_token_is_found_by_itself_or_by_its_hash() {
        let hex: String = hash("0123456789abcdef")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let tokens = Tokens::new(&[Token {
            name: "duty".to_owned(),
            role: Role::Operator,
            token: None,
            token_sha256: Some(hex),
        }]);
        assert_eq!(tokens.bearer("0123456789abcdef").unwrap().name, "duty");
        assert!(tokens.bearer("0123456789abcdeF").is_none());
    }

    #[test]
    fn the_first_start_makes_a_private_token_that_stays() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let token = admin_token(folder.path()).unwrap();
        assert_eq!(admin_token(folder.path()).unwrap(), token);
        let mode = std::fs::metadata(folder.path().join("admin.token"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
