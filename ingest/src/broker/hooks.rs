//! What the broker does at each login, publish and last will. rmqtt awaits these before it answers the
//! client, which is what makes an acknowledged reading a journalled one.
//!
//! The intake sits in the last handler of the access check and not in `message_publish`, which runs before
//! that check and cannot refuse. A refusal must disconnect: a client of MQTT 3.1.1 would otherwise get a
//! positive acknowledgement. Superusers skip the check, so nobody is one. Last wills are never checked, so
//! they are taken in `message_publish`.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use rmqtt::context::ServerContext;
use rmqtt::hook::{Handler, HookResult, Parameter, Register, ReturnType, Type};
use rmqtt::types::{AuthResult, ConnectInfo, From, FromType, Id, Publish, PublishAclResult};

use super::User;
use crate::intake::{Door, Intake, IntakeError, Message};

/// rmqtt calls handlers from the highest priority down: this is the last.
const LAST: u32 = 0;

/// The way to the intake; emptied when the broker stops, so that idle sessions do not hold the journal.
pub(super) type Road = Arc<RwLock<Option<Intake>>>;

/// Everything that the handlers know.
pub(super) struct Rules {
    pub(super) road: Road,
    pub(super) users: Vec<User>,
    pub(super) allow_anonymous: bool,
    pub(super) own_topics: Vec<String>,
    pub(super) own_user: String,
}

/// Puts the handlers in place; they work as long as the register lives.
pub(super) async fn install(context: &ServerContext, rules: Rules) -> Box<dyn Register> {
    let register = context.extends.hook_mgr().register();
    let rules = Arc::new(rules);
    for point in [
        Type::ClientAuthenticate,
        Type::MessagePublishCheckAcl,
        Type::MessagePublish,
    ] {
        register
            .add_priority(
                point,
                LAST,
                Box::new(Hooks {
                    rules: Arc::clone(&rules),
                }),
            )
            .await;
    }
    register.start().await;
    register
}

struct Hooks {
    rules: Arc<Rules>,
}

#[async_trait]
impl Handler for Hooks {
    async fn hook(&self, param: &Parameter, before: Option<HookResult>) -> ReturnType {
        match param {
            Parameter::ClientAuthenticate(connect) => (
                false,
                Some(HookResult::AuthResult(self.rules.authenticate(connect))),
            ),
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let refused = matches!(&before, Some(HookResult::PublishAclResult(earlier)) if earlier.is_rejected());
                if refused {
                    return (false, before);
                }
                let result = match self.rules.take(&session.id, publish).await {
                    Ok(()) => PublishAclResult::allow(),
                    Err(reason) => PublishAclResult::rejected(true, Some(reason.into())),
                };
                (true, Some(HookResult::PublishAclResult(result)))
            }
            Parameter::MessagePublish(_, from, publish) => {
                self.rules.take_last_will(from, publish).await;
                (true, before)
            }
            _ => (true, before),
        }
    }
}

impl Rules {
    fn authenticate(&self, connect: &ConnectInfo) -> AuthResult {
        let client = connect.client_id();
        let peer = connect.ipaddress();
        let Some(name) = connect.username() else {
            tracing::warn!(%client, ?peer, "mqtt login refused: no user name, and anonymous clients are not allowed");
            return AuthResult::NotAuthorized;
        };
        // without any users a name means nothing, and everybody is anonymous
        if self.users.is_empty() && self.allow_anonymous {
            return AuthResult::Allow(false, None);
        }
        let password = connect
            .password()
            .map(|password| &password[..])
            .unwrap_or_default();
        match self.users.iter().find(|user| user.name == **name) {
            Some(user) if (user.verify)(password) => AuthResult::Allow(false, None),
            Some(_) | None => {
                tracing::warn!(%client, ?peer, user = %name, "mqtt login refused: wrong user name or password");
                AuthResult::BadUsernameOrPassword
            }
        }
    }

    /// Hands a message to the intake and waits for the journal. An error means: no acknowledgement.
    async fn take(&self, id: &Id, publish: &Publish) -> Result<(), String> {
        if self.is_own(&publish.topic) {
            return self.check_own(id, &publish.topic);
        }
        let intake = self.road.read().clone();
        let intake = intake.ok_or("the broker is stopping")?;
        let message = Message {
            door: Door::Broker,
            source: &id.client_id,
            topic: Some(&publish.topic),
            payload: &publish.payload,
        };
        match intake.accept(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal(id, &error)),
        }
    }

    /// Nobody but the service itself may publish where its warnings go out. Somebody who could log in under
    /// its name knows its password.
    fn check_own(&self, id: &Id, topic: &str) -> Result<(), String> {
        let known = self.users.iter().any(|user| user.name == self.own_user);
        if known && id.username_ref() == self.own_user {
            return Ok(());
        }
        tracing::warn!(client = %id.client_id, %topic, "publish refused: only the service itself publishes warnings");
        Err(format!("only `{}` may publish to {topic}", self.own_user))
    }

    async fn take_last_will(&self, from: &From, publish: &Publish) {
        if matches!(from.typ(), FromType::LastWill)
            && let Err(reason) = self.take(&from.id, publish).await
        {
            tracing::error!(client = %from.id.client_id, topic = %publish.topic, "last will lost: {reason}");
        }
    }

    fn is_own(&self, topic: &str) -> bool {
        let under = |prefix: &String| {
            topic
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.own_topics.iter().any(under)
    }
}

/// The journal has already logged why it refuses; here only who was turned away.
fn refusal(id: &Id, error: &IntakeError) -> String {
    tracing::debug!(client = %id.client_id, "publish not acknowledged: {error}");
    error.to_string()
}
