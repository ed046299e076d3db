//! Who bears a request: an account in a session, a token of the configuration, or one that was made through the API.
//! Tokens are compared by their SHA-256, never logged.

use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use citywatch_alerting::Ledger;
use citywatch_alerting::accounts::{Account, AccountRole, ApiToken, Bounds, View};
use citywatch_alerting::ledger::SessionInfo;
use citywatch_model::Time;
use sha2::{Digest, Sha256};

use super::rights::{Lacking, Right, Standing, decide};
use crate::config::{Role, Token};

/// Somebody who is let in.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// As the audit names him.
    pub name: String,
    /// What he stands on.
    pub standing: Standing,
    /// What he is bound to.
    pub bounds: Bounds,
    /// What he sees with the zones in force.
    pub view: View,
    /// By what he came in.
    pub by: By,
}

/// By what somebody came in.
#[derive(Debug, Clone)]
pub enum By {
    /// A token of the configuration, and when it ends.
    Config(Option<Time>),
    /// A token that was made through the API, by its number.
    Token(i64),
    /// Name and password.
    Session(Box<SessionInfo>),
}

impl Bearer {
    /// Whether he has a right.
    ///
    /// # Errors
    /// What he lacks.
    pub fn has(&self, right: Right) -> Result<(), Lacking> {
        if right == Right::Session && !matches!(self.by, By::Session(_)) {
            return Err(Lacking::Role);
        }
        decide(&self.standing, !self.bounds.is_whole(), right)
    }

    /// What he is, in a word, for the audit.
    pub fn role(&self) -> String {
        match &self.standing {
            Standing::Role(role) => format!("{role:?}").to_lowercase(),
            Standing::Scopes(_) => "token".to_owned(),
        }
    }

    /// The account, if he logged in.
    pub fn session(&self) -> Option<&SessionInfo> {
        match &self.by {
            By::Session(session) => Some(session),
            By::Config(_) | By::Token(_) => None,
        }
    }

    /// Whether he would be let in again now, and see the same.
    pub fn still_holds(&self, ledger: &Ledger, now: Time) -> bool {
        let holds = match &self.by {
            By::Config(expires) => expires.is_none_or(|expires| now < expires),
            By::Token(id) => ledger
                .token_named(&self.name, now)
                .is_some_and(|token| token.id == *id),
            By::Session(session) => ledger
                .session_of(&session.id, now)
                .is_some_and(|present| present.account.version == session.account.version),
        };
        holds && ledger.view(&self.bounds) == self.view
    }

    /// The bearer of a session.
    pub fn of_session(session: SessionInfo, ledger: &Ledger) -> Bearer {
        let Account {
            name, bounds, role, ..
        } = session.account.clone();
        Bearer {
            name,
            standing: Standing::Role(role_of(role)),
            view: ledger.view(&bounds),
            bounds,
            by: By::Session(Box::new(session)),
        }
    }

    /// The bearer of a token that was made through the API.
    pub fn of_token(token: ApiToken, ledger: &Ledger) -> Bearer {
        Bearer {
            name: token.name,
            standing: Standing::Scopes(token.scopes),
            view: ledger.view(&token.bounds),
            bounds: token.bounds,
            by: By::Token(token.id),
        }
    }
}

/// The role of an account among those of tokens.
pub fn role_of(role: AccountRole) -> Role {
    match role {
        AccountRole::Viewer => Role::Viewer,
        AccountRole::Operator => Role::Operator,
        AccountRole::Admin => Role::Admin,
    }
}

/// All tokens of the configuration by their SHA-256.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    by_hash: Arc<HashMap<[u8; 32], TokenBearer>>,
}

/// Whom a token of the configuration stands for.
#[derive(Debug, Clone)]
pub struct TokenBearer {
    pub name: String,
    pub role: Role,
    pub bounds: Bounds,
    pub expires: Option<Time>,
}

impl TokenBearer {
    fn everything(name: &str, role: Role) -> TokenBearer {
        TokenBearer {
            name: name.to_owned(),
            role,
            bounds: Bounds::default(),
            expires: None,
        }
    }

    /// Whether its time is not over.
    pub fn is_good(&self, now: Time) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether it has a right.
    pub fn may(&self, right: Right) -> bool {
        decide(&Standing::Role(self.role), !self.bounds.is_whole(), right).is_ok()
    }

    /// As the bearer of a request.
    pub fn bearer(&self, ledger: &Ledger) -> Bearer {
        Bearer {
            name: self.name.clone(),
            standing: Standing::Role(self.role),
            bounds: self.bounds.clone(),
            view: ledger.view(&self.bounds),
            by: By::Config(self.expires),
        }
    }
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
            let bearer = TokenBearer {
                bounds: Bounds {
                    hazards: token.hazards.iter().cloned().collect(),
                    zones: token.zones.iter().cloned().collect(),
                },
                expires: token.expires,
                ..TokenBearer::everything(&token.name, token.role)
            };
            Some((hash, bearer))
        });
        Tokens {
            by_hash: Arc::new(entries.collect()),
        }
    }

    /// Adds one more that is bound to nothing.
    pub fn with(&self, name: &str, role: Role, token: &str) -> Tokens {
        let mut by_hash = (*self.by_hash).clone();
        by_hash.insert(hash(token), TokenBearer::everything(name, role));
        Tokens {
            by_hash: Arc::new(by_hash),
        }
    }

    /// Everybody who bears a token, by name; all tokens of one name have one role.
    pub fn bearers(&self) -> BTreeMap<String, TokenBearer> {
        let bearers = self.by_hash.values();
        bearers
            .map(|bearer| (bearer.name.clone(), bearer.clone()))
            .collect()
    }

    /// Whom `token` stands for.
    pub fn bearer(&self, token: &str) -> Option<&TokenBearer> {
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

/// The admin token of a service whose configuration names none, for programs on this machine: kept in
/// `folder/admin.token`, made at the first start, readable by the owner only.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
            hazards: Vec::new(),
            zones: vec!["street-1".to_owned()],
            expires: None,
        }]);
        let duty = tokens.bearer("0123456789abcdef").unwrap();
        assert_eq!(duty.name, "duty");
        assert!(duty.may(Right::Handle) && !duty.may(Right::Whole));
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
