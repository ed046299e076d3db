//! The embedded broker, and who may log in there.

use std::sync::Arc;

use citywatch_alerting::{Ledger, wall_clock};
use citywatch_ingest::Intake;
use citywatch_ingest::broker::{Access, BrokerConfig, EmbeddedBroker, User, Users};

use super::{StartError, failed};
use crate::config::{Config, OWN_NAME};
use crate::http::{Right, Standing, TokenBearer, Tokens, decide};

pub async fn open_broker(
    config: &Config,
    (tokens, ledger): (&Tokens, &Ledger),
    intake: &Intake,
    metrics: &prometheus::Registry,
) -> Result<Option<EmbeddedBroker>, StartError> {
    if !config.broker.enabled {
        return Ok(None);
    }
    let broker = BrokerConfig {
        max_packet: config.broker.max_packet,
        allow_anonymous: config.broker.anonymous(),
        users: tokens
            .bearers()
            .values()
            .map(|bearer| user(tokens, bearer))
            .collect(),
        more_users: more_users(ledger.clone()),
        own_user: OWN_NAME.to_owned(),
        ..BrokerConfig::new(config.broker.listen)
    };
    EmbeddedBroker::start(broker, intake.clone(), metrics)
        .await
        .map(Some)
        .map_err(failed)
}

/// A bearer as the broker knows it: the user name is the token's name, the password the token.
fn user(tokens: &Tokens, bearer: &TokenBearer) -> User {
    let (tokens, name) = (tokens.clone(), bearer.name.clone());
    let verify = move |password: &[u8]| {
        let bearer = std::str::from_utf8(password)
            .ok()
            .and_then(|password| tokens.bearer(password));
        bearer.is_some_and(|bearer| bearer.name == name && bearer.is_good(wall_clock()))
    };
    User {
        name: bearer.name.clone(),
        verify: Arc::new(verify),
        access: Access {
            publish: bearer.may(Right::Readings),
            // topics carry warnings of every zone
            subscribe: bearer.may(Right::Feed) && bearer.bounds.is_whole(),
        },
    }
}

/// Tokens that were made through the API, as the broker knows them: looked up at each login and each publish, so that
/// one which is revoked or too old brings nothing more.
fn more_users(ledger: Ledger) -> Users {
    Arc::new(move |name: &str| {
        let token = ledger.token_named(name, wall_clock())?;
        let may = |right| {
            decide(
                &Standing::Scopes(token.scopes.clone()),
                !token.bounds.is_whole(),
                right,
            )
            .is_ok()
        };
        let access = Access {
            publish: may(Right::Readings),
            subscribe: may(Right::Feed) && token.bounds.is_whole(),
        };
        let ledger = ledger.clone();
        let verify = move |password: &[u8]| {
            let sent = std::str::from_utf8(password).ok();
            let sent = sent.and_then(|sent| ledger.token(sent, wall_clock()).ok());
            sent.is_some_and(|sent| sent.id == token.id)
        };
        Some(User {
            name: name.to_owned(),
            verify: Arc::new(verify),
            access,
        })
    })
}
