//! Where rmqtt asks: at each login, publish, subscription and last will. It awaits the answers before it
//! answers the client, which is what makes an acknowledged reading a journalled one.
//!
//! The intake sits in the last handler of the access check and not in `message_publish`, which runs before
//! that check and cannot refuse. A refusal must disconnect: a client of MQTT 3.1.1 would otherwise get a
//! positive acknowledgement. Superusers skip the checks, so nobody is one. Last wills are never checked, so
//! they are judged at the login and taken in `message_publish`.

use std::sync::Arc;

use async_trait::async_trait;
use rmqtt::codec::v5::SubscribeAckReason;
use rmqtt::context::ServerContext;
use rmqtt::hook::{Handler, HookResult, Parameter, Register, ReturnType, Type};
use rmqtt::types::{AuthResult, PublishAclResult, SubscribeAclResult};

use super::rules::Rules;

/// rmqtt calls handlers from the highest priority down: this is the last.
const LAST: u32 = 0;

/// Puts the handlers in place; they work as long as the register lives.
pub(super) async fn install(context: &ServerContext, rules: Rules) -> Box<dyn Register> {
    let register = context.extends.hook_mgr().register();
    let rules = Arc::new(rules);
    for point in [
        Type::ClientAuthenticate,
        Type::ClientSubscribeCheckAcl,
        Type::MessagePublishCheckAcl,
        Type::MessagePublish,
        Type::ClientDisconnected,
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
            Parameter::ClientAuthenticate(connect) => {
                let result = match self.rules.authenticate(connect).await {
                    Ok(()) => AuthResult::Allow(false, None),
                    Err(refused) => refused,
                };
                (false, Some(HookResult::AuthResult(result)))
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                let filter = &subscribe.topic_filter;
                let result = if self.rules.may_subscribe(&session.id, filter) {
                    SubscribeAclResult::new_success(subscribe.opts.qos(), None)
                } else {
                    SubscribeAclResult::new_failure(SubscribeAckReason::NotAuthorized)
                };
                (false, Some(HookResult::SubscribeAclResult(result)))
            }
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
            Parameter::ClientDisconnected(session, reason) => {
                self.rules.disconnected(&session.id, reason).await;
                (true, before)
            }
            _ => (true, before),
        }
    }
}
