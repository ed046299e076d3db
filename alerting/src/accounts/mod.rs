//! Who may use the service: accounts of people with their passwords and sessions, tokens of programs, and to which
//! hazards and zones either is bound. Values and checks only: the ledger keeps them, and what a right allows at which
//! address is the program's affair. No secret is kept as it came, shown or logged.

mod bounds;
mod lockout;
mod password;
mod secret;

use std::collections::BTreeSet;

use citywatch_model::Time;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use bounds::{Bounds, View};
pub use lockout::{Lockout, Wait};
pub use password::{HashingError, Passwords};
pub use secret::{Secret, fingerprint, new_secret};

pub(crate) use password::{check, one_time, same};

/// Longest name of an account or token, in characters.
const LONGEST_NAME: usize = 64;
/// The service's own name in the audit; nobody else may bear it.
const OWN_NAME: &str = "citywatch";

/// What the bearer of an account may do; each includes those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AccountRole {
    /// May read.
    Viewer,
    /// May also handle alerts and issue warnings.
    Operator,
    /// May do everything.
    Admin,
}

impl AccountRole {
    /// The word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AccountRole::Viewer => "viewer",
            AccountRole::Operator => "operator",
            AccountRole::Admin => "admin",
        }
    }
}

/// A person who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// What is typed at the login; NFKC, small letters.
    pub name: String,
    /// For people; may be empty.
    pub display_name: String,
    /// What it may do.
    pub role: AccountRole,
    /// Where.
    #[serde(flatten)]
    #[schema(inline)]
    pub bounds: Bounds,
    /// It cannot log in.
    pub disabled: bool,
    /// The password was given by somebody else and must be changed before anything else.
    pub must_change_password: bool,
    /// Rises with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: Time,
    /// When it, or its password, was changed last.
    pub changed_at: Time,
}

/// What a token may be used for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[schema(as = TokenScope)]
pub enum Scope {
    /// Bring readings, by HTTP and at the embedded broker.
    #[serde(rename = "readings:write")]
    ReadingsWrite,
    /// Read everything that a viewer may, events and feed too.
    #[serde(rename = "read")]
    Read,
    /// Read the CAP feed and its messages.
    #[serde(rename = "feed:read")]
    FeedRead,
    /// Follow the events.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Handle alerts, issue and follow warnings, enter answers.
    #[serde(rename = "alerts:write")]
    AlertsWrite,
    /// Everything.
    #[serde(rename = "admin")]
    Admin,
}

/// A program that may use the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Number.
    pub id: i64,
    /// Whose it is; stands in the audit and is the user name at the embedded broker.
    pub name: String,
    /// How the token begins, to tell it from others.
    pub prefix: String,
    /// What for.
    pub scopes: BTreeSet<Scope>,
    /// Where.
    #[serde(flatten)]
    #[schema(inline)]
    pub bounds: Bounds,
    /// When it was made.
    pub created_at: Time,
    /// By whom.
    pub created_by: String,
    /// From when on it is refused.
    pub expires: Time,
    /// When it was last used, to about a minute.
    pub used_at: Option<Time>,
    /// When somebody revoked it.
    pub revoked_at: Option<Time>,
}

impl ApiToken {
    /// Whether it still opens anything.
    #[must_use]
    pub fn is_good(&self, now: Time) -> bool {
        self.revoked_at.is_none() && now < self.expires
    }
}

/// A name as it is kept: NFKC, so that full-width letters from an input method are the same name, small letters.
///
/// # Errors
/// If it is empty, too long, the service's own, or holds anything but letters, digits and `._-@`.
pub fn account_name(text: &str) -> Result<String, String> {
    let name = password::compatible(text.trim()).to_lowercase();
    let allowed = |letter: char| letter.is_alphanumeric() || "._-@".contains(letter);
    let length = name.chars().count();
    if name == OWN_NAME {
        return Err(format!(
            "`{OWN_NAME}` is the service's own name; take another"
        ));
    }
    if length == 0 || length > LONGEST_NAME || !name.chars().all(allowed) {
        return Err(format!(
            "a name has 1 to {LONGEST_NAME} letters, digits, dots, dashes, underscores or @, in any script"
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_however_it_is_typed() {
        assert_eq!(account_name(" Ｗang.Lei ").as_deref(), Ok("wang.lei"));
        assert_eq!(account_name("王雷").as_deref(), Ok("王雷"));
        for wrong in ["", "a b", "a/b", "Citywatch", "a\u{0}", &"x".repeat(65)] {
            assert!(account_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
