//! Accounts, sessions and tokens in the ledger, over restarts and at chosen moments.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use citywatch_alerting::accounts::{AccountRole, Bounds, Scope, Secret};
use citywatch_alerting::ledger::{
    AccountChange, AlertFilter, LoginError, NewAccount, NewToken, TokenRefusal,
};
use citywatch_alerting::{Ledger, wall_clock};
use citywatch_model::{Duration, Level::Orange, Time};

use super::support::{Place, apply, call, raise};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NO_PLANS: &str = "departments: []\nplans: []\n";

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn later(hours: i64) -> Time {
    wall_clock() + Duration::from_secs(hours * 3_600)
}

async fn operator(ledger: &Ledger, name: &str) -> String {
    let new = NewAccount {
        name: name.to_owned(),
        display_name: "王雷".to_owned(),
        role: AccountRole::Operator,
        hazards: BTreeSet::new(),
        zones: BTreeSet::from(["east".to_owned()]),
    };
    ledger.create_account(&new, &call()).await.unwrap().1
}

#[tokio::test]
async fn sessions_and_tokens_outlive_the_process_and_end_in_time() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let password = operator(&ledger, "lin").await;
    let entered = ledger
        .log_in("LIN", &secret(&password), HERE, wall_clock())
        .await
        .unwrap();
    let new = NewToken {
        name: "siren".to_owned(),
        scopes: BTreeSet::from([Scope::FeedRead]),
        hazards: BTreeSet::new(),
        zones: BTreeSet::new(),
        expires: later(48),
    };
    let (token, letters) = ledger.create_token(&new, &call()).await.unwrap();
    ledger.shutdown().await.unwrap();

    let ledger = place.open(NO_PLANS).await;
    let session = |at| ledger.session(entered.cookie.reveal(), at);
    assert_eq!(session(wall_clock()).unwrap().account.name, "lin");
    assert_eq!(session(later(9)), None, "eight hours without use");
    assert!(
        session(later(7)).is_some() && session(later(14)).is_some(),
        "use keeps it"
    );
    assert!(
        session(later(21)).is_some() && session(later(25)).is_none(),
        "a day at most"
    );
    assert_eq!(ledger.token(&letters, later(47)).unwrap().id, token.id);
    assert!(matches!(
        ledger.token(&letters, later(49)),
        Err(TokenRefusal::Expired { .. })
    ));
    assert!(matches!(
        ledger.token("cwt_nobody", later(1)),
        Err(TokenRefusal::Unknown)
    ));
    assert!(ledger.tokens()[0].used_at.is_some());
    ledger.revoke_token(token.id, &call()).await.unwrap();
    assert!(matches!(
        ledger.token(&letters, later(1)),
        Err(TokenRefusal::Revoked { .. })
    ));
    assert!(ledger.token_named("siren", later(1)).is_none());
    ledger.settle_people().await.unwrap();
}

#[tokio::test]
async fn the_first_account_is_made_once_and_a_change_ends_sessions() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let (first, password) = ledger.first_account().await.unwrap().unwrap();
    assert_eq!(
        (first.role, first.must_change_password),
        (AccountRole::Admin, true)
    );
    assert_eq!(ledger.first_account().await.unwrap(), None);
    let entered = ledger
        .log_in("admin", &secret(&password), HERE, wall_clock())
        .await
        .unwrap();
    let mut changed = ledger.people_changed();
    let change = AccountChange {
        display_name: Some("主任".to_owned()),
        ..AccountChange::default()
    };
    ledger
        .change_account("admin", change, &call())
        .await
        .unwrap();
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    assert_eq!(ledger.session(entered.cookie.reveal(), wall_clock()), None);
    let wrong = ledger
        .log_in("admin", &secret("guess guess"), HERE, wall_clock())
        .await;
    assert!(matches!(wrong, Err(LoginError::Wrong { .. })), "{wrong:?}");
    assert!(!format!("{entered:?}").contains(entered.cookie.reveal()));
}

#[tokio::test]
async fn the_audit_tells_who_was_given_what_and_no_secret() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let password = operator(&ledger, "lin").await;
    let again = ledger.reset_password("lin", &call()).await.unwrap().1;
    let acts = ledger.audit(10, None).await.unwrap();
    let told: Vec<&str> = acts.iter().map(|act| act.act.as_str()).collect();
    assert_eq!(told, ["reset password", "create account"]);
    let text = serde_json::to_string(&acts).unwrap();
    assert!(text.contains("east") && !text.contains("argon2"), "{text}");
    assert!(!text.contains(&password) && !text.contains(&again));
}

#[tokio::test]
async fn what_lies_outside_is_not_there() {
    let place = Place::new();
    let ledger = place.open(NO_PLANS).await;
    let id = apply(&ledger, vec![raise(1, "u-1", Orange)]).await.alerts[0].id;
    for (hazard, zone, sees) in [
        ("", "east", true),
        ("flood", "renmin", true),
        ("gas", "renmin", false),
        ("flood", "west", false),
    ] {
        let set = |text: &str| {
            Some(text.to_owned())
                .filter(|text| !text.is_empty())
                .into_iter()
                .collect()
        };
        let view = ledger.view(&Bounds {
            hazards: set(hazard),
            zones: set(zone),
        });
        let seen = ledger.seen(&view);
        let listed = seen
            .alerts(&AlertFilter::default())
            .await
            .unwrap()
            .items
            .len();
        assert_eq!(
            (listed == 1, seen.alert(id).await.is_ok()),
            (sees, sees),
            "{hazard} {zone}"
        );
        let events = seen.event_rows(0, 10).await.unwrap();
        assert!(!events.is_empty() && events.iter().all(|row| row.event.is_some() == sees));
        let mut there = call();
        there.view = view;
        let acknowledged = ledger.acknowledge(id, "", &there).await;
        let unknown = ledger
            .acknowledge(999, "", &there)
            .await
            .unwrap_err()
            .to_string();
        match acknowledged {
            Ok(_) => assert!(sees),
            Err(error) => {
                assert_eq!(error.to_string(), unknown.replace("999", &id.to_string()));
                assert!(!sees, "{hazard} {zone}: {error}");
            }
        }
    }
}
