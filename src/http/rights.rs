//! What each address takes, and who has it: the one place that decides. An address that is described but not listed
//! here is refused to everybody, so that a new one cannot be forgotten. How far somebody sees who may come in is his
//! view, which the ledger's queries are held to.

use std::collections::BTreeSet;

use axum::http::Method;
use citywatch_alerting::accounts::Scope;

use crate::config::Role;

/// What an address takes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Nothing: it looks after itself.
    Public,
    /// To be known.
    Own,
    /// To be logged in by name and password.
    Session,
    /// To bring readings.
    Readings,
    /// To read what lies inside one's bounds.
    Read,
    /// To read the CAP feed inside one's bounds.
    Feed,
    /// To follow the events inside one's bounds.
    Events,
    /// To handle alerts, issue and follow warnings, enter answers, inside one's bounds.
    Handle,
    /// To read what belongs to the whole: rules, versions, audit.
    Whole,
    /// To try rules on the history.
    Try,
    /// To change what is in force, accounts and tokens.
    Administer,
}

use Right::{Administer, Events, Feed, Handle, Own, Public, Read, Readings, Session, Try, Whole};

/// Every described address with what it takes.
const TABLE: &[(&str, &str, Right)] = &[
    ("POST", "/api/v1/session", Public),
    ("GET", "/api/v1/session", Own),
    ("DELETE", "/api/v1/session", Session),
    ("POST", "/api/v1/session/password", Session),
    ("GET", "/api/v1/accounts", Administer),
    ("POST", "/api/v1/accounts", Administer),
    ("PATCH", "/api/v1/accounts/{name}", Administer),
    ("POST", "/api/v1/accounts/{name}/password", Administer),
    ("GET", "/api/v1/tokens", Administer),
    ("POST", "/api/v1/tokens", Administer),
    ("DELETE", "/api/v1/tokens/{id}", Administer),
    ("GET", "/api/v1/alerts", Read),
    ("GET", "/api/v1/alerts/{id}", Read),
    ("POST", "/api/v1/alerts/{id}/acknowledge", Handle),
    ("POST", "/api/v1/alerts/{id}/verify", Handle),
    ("POST", "/api/v1/alerts/{id}/assign", Handle),
    ("POST", "/api/v1/alerts/{id}/close", Handle),
    ("POST", "/api/v1/alerts/{id}/warnings", Handle),
    ("GET", "/api/v1/warnings", Read),
    ("GET", "/api/v1/warnings/{id}", Read),
    ("POST", "/api/v1/warnings/{id}/update", Handle),
    ("POST", "/api/v1/warnings/{id}/lift", Handle),
    ("POST", "/api/v1/warnings/{id}/correct", Handle),
    ("POST", "/api/v1/warnings/{id}/withdraw", Handle),
    ("GET", "/api/v1/deliveries", Read),
    ("GET", "/api/v1/deliveries/{id}", Read),
    ("POST", "/api/v1/deliveries/{id}/retry", Handle),
    ("POST", "/api/v1/deliveries/{id}/answer", Handle),
    ("POST", "/api/v1/readings", Readings),
    ("GET", "/api/v1/readings", Read),
    ("GET", "/api/v1/readings/rejected", Whole),
    ("GET", "/api/v1/sensors", Read),
    ("GET", "/api/v1/sensors/unknown", Whole),
    ("GET", "/api/v1/sensors/{id}", Read),
    ("GET", "/api/v1/zones", Read),
    ("GET", "/api/v1/plans", Read),
    ("GET", "/api/v1/events", Events),
    ("GET", "/feeds/cap.atom", Feed),
    ("GET", "/cap/{file}", Feed),
    ("GET", "/api/v1/rules", Whole),
    ("POST", "/api/v1/rules/check", Whole),
    ("GET", "/api/v1/rules/{id}", Whole),
    ("PUT", "/api/v1/rules/{id}", Administer),
    ("DELETE", "/api/v1/rules/{id}", Administer),
    ("GET", "/api/v1/rules/{id}/versions", Whole),
    ("POST", "/api/v1/rules/{id}/mode", Administer),
    ("POST", "/api/v1/rules/{id}/rollback", Administer),
    ("GET", "/api/v1/backtests", Whole),
    ("POST", "/api/v1/backtests", Try),
    ("GET", "/api/v1/backtests/{id}", Whole),
    ("DELETE", "/api/v1/backtests/{id}", Try),
    ("GET", "/api/v1/bundle", Administer),
    ("POST", "/api/v1/bundle", Administer),
    ("GET", "/api/v1/versions", Whole),
    ("GET", "/api/v1/versions/{id}", Whole),
    ("GET", "/api/v1/channels", Whole),
    ("GET", "/api/v1/archive/refused", Whole),
    ("GET", "/api/v1/status", Read),
    ("GET", "/api/v1/audit", Whole),
];

/// What that address takes; `None` if nobody has decided. What answers GET answers HEAD too.
pub fn needed(method: &Method, path: &str) -> Option<Right> {
    let method = if method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let mut rows = TABLE.iter();
    let found = rows.find(|(by, address, _)| *by == method && *address == path);
    found.map(|(_, _, right)| *right)
}

/// What somebody stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// An account, or a token of the configuration.
    Role(Role),
    /// A token that was made through the API.
    Scopes(BTreeSet<Scope>),
}

/// Why a right is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// The role does not allow it.
    Role,
    /// No scope allows it.
    Scope,
    /// It belongs to the whole, and the bearer is bound.
    Bound,
}

impl Right {
    /// What can be had for good, for those who ask what they may.
    pub const GRANTED: [Right; 8] = [Readings, Read, Feed, Events, Handle, Whole, Try, Administer];

    /// Whether only somebody has it who is bound to nothing.
    const fn is_of_the_whole(self) -> bool {
        match self {
            Readings | Whole | Try | Administer => true,
            Public | Own | Session | Read | Feed | Events | Handle => false,
        }
    }
}

/// Whether somebody with that standing, bound or not, has the right.
///
/// # Errors
/// What he lacks.
pub fn decide(standing: &Standing, bound: bool, right: Right) -> Result<(), Lacking> {
    let (has, lacking) = match standing {
        Standing::Role(role) => (by_role(*role, right), Lacking::Role),
        Standing::Scopes(scopes) => (by_scope(scopes, right), Lacking::Scope),
    };
    if !has {
        return Err(lacking);
    }
    if bound && right.is_of_the_whole() {
        return Err(Lacking::Bound);
    }
    Ok(())
}

fn by_role(role: Role, right: Right) -> bool {
    match right {
        Public | Own | Session => true,
        Readings => matches!(role, Role::Device | Role::Admin),
        Read | Feed | Events | Whole => role >= Role::Viewer,
        Handle | Try => role >= Role::Operator,
        Administer => role == Role::Admin,
    }
}

fn by_scope(scopes: &BTreeSet<Scope>, right: Right) -> bool {
    let enough: &[Scope] = match right {
        Public | Own => return true,
        Session => return false,
        Readings => &[Scope::ReadingsWrite],
        Read | Whole => &[Scope::Read],
        Feed => &[Scope::FeedRead, Scope::Read],
        Events => &[Scope::EventsRead, Scope::Read],
        Handle => &[Scope::AlertsWrite],
        Try | Administer => &[],
    };
    scopes.contains(&Scope::Admin) || enough.iter().any(|scope| scopes.contains(scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 4] = [Role::Device, Role::Viewer, Role::Operator, Role::Admin];
    const SCOPES: [Scope; 6] = [
        Scope::ReadingsWrite,
        Scope::Read,
        Scope::FeedRead,
        Scope::EventsRead,
        Scope::AlertsWrite,
        Scope::Admin,
    ];

    fn rights(standing: &Standing, bound: bool) -> BTreeSet<Right> {
        let has = |right: &Right| decide(standing, bound, *right).is_ok();
        Right::GRANTED.into_iter().filter(has).collect()
    }

    #[test]
    fn roles_include_each_other_but_for_devices() {
        let [device, viewer, operator, admin] =
            ROLES.map(|role| rights(&Standing::Role(role), false));
        assert_eq!(device, [Readings].into());
        assert_eq!(viewer, [Read, Feed, Events, Whole].into());
        assert!(viewer.is_subset(&operator) && operator.is_subset(&admin));
        assert_eq!(&operator - &viewer, [Handle, Try].into());
        assert_eq!(admin, Right::GRANTED.into());
    }

    #[test]
    fn each_scope_opens_what_it_says() {
        let of = |scope| rights(&Standing::Scopes([scope].into()), false);
        let expected: [&[Right]; 6] = [
            &[Readings],
            &[Read, Feed, Events, Whole],
            &[Feed],
            &[Events],
            &[Handle],
            &Right::GRANTED,
        ];
        for (scope, expected) in SCOPES.into_iter().zip(expected) {
            assert_eq!(of(scope), expected.iter().copied().collect(), "{scope:?}");
        }
    }

    /// Over all standings: bounds only ever take rights away, those of the whole and no others; more scopes only give.
    #[test]
    fn bounds_take_and_scopes_give() {
        let sets = (0_u32..1 << SCOPES.len()).map(|bits| -> BTreeSet<Scope> {
            let chosen = |(index, _): &(usize, Scope)| bits & (1 << index) != 0;
            SCOPES
                .into_iter()
                .enumerate()
                .filter(chosen)
                .map(|(_, scope)| scope)
                .collect()
        });
        let standings = sets.map(Standing::Scopes).chain(ROLES.map(Standing::Role));
        for standing in standings {
            let (free, bound) = (rights(&standing, false), rights(&standing, true));
            let whole: BTreeSet<Right> = [Readings, Whole, Try, Administer].into();
            assert_eq!(bound, &free - &whole, "{standing:?}");
            let Standing::Scopes(scopes) = &standing else {
                continue;
            };
            let apart = scopes
                .iter()
                .flat_map(|scope| rights(&Standing::Scopes([*scope].into()), false));
            assert_eq!(free, apart.collect(), "{standing:?}");
        }
    }

    #[test]
    fn no_address_is_decided_twice() {
        let rows = TABLE.iter();
        let distinct: BTreeSet<_> = rows.map(|(method, path, _)| (method, path)).collect();
        assert_eq!(distinct.len(), TABLE.len());
    }
}
