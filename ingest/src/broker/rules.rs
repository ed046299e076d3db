//! Who may do what at the broker, and the way of a publish to the intake. Refusals are logged and counted
//! here, once each; nothing here keeps state of its own.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rmqtt::context::ServerContext;
use rmqtt::types::{AuthResult, ConnectInfo, From, FromType, Id, LastWill, Publish, Reason};

use super::{Access, BrokerConfig, User, Users};
use crate::intake::{Door, Form, Intake, IntakeError, Message};
use crate::metrics::BrokerMetrics;

/// What the handlers reach; emptied when the broker stops, so that idle sessions do not hold the journal.
pub(super) type Road = Arc<RwLock<Option<Ends>>>;

/// Both ends of the road from a client to the journal.
#[derive(Clone)]
pub(super) struct Ends {
    pub(super) context: ServerContext,
    pub(super) intake: Intake,
}

/// Everything that the handlers know.
pub(super) struct Rules {
    road: Road,
    users: HashMap<String, User>,
    more_users: Users,
    allow_anonymous: bool,
    own_topics: Vec<String>,
    own_user: String,
    max_packet: u32,
    metrics: BrokerMetrics,
}

impl Rules {
    pub(super) fn new(config: BrokerConfig, road: Road, metrics: BrokerMetrics) -> Rules {
        let named = |user: User| (user.name.clone(), user);
        Rules {
            road,
            users: config.users.into_iter().map(named).collect(),
            more_users: config.more_users,
            allow_anonymous: config.allow_anonymous,
            own_topics: config.own_topics,
            own_user: config.own_user,
            max_packet: config.max_packet,
            metrics,
        }
    }

    /// Lets a client in, or says with which answer it is turned away.
    pub(super) async fn authenticate(&self, connect: &ConnectInfo) -> Result<(), AuthResult> {
        let refused = match self.login(connect) {
            Err(refused) => Some(refused),
            Ok(()) if self.is_of_another(connect).await => Some((
                AuthResult::NotAuthorized,
                "another account has a session under this client id: give each client an id of its own",
            )),
            Ok(()) => None,
        };
        let Some((answer, reason)) = refused else {
            return Ok(());
        };
        let (client, peer) = (connect.client_id(), connect.ipaddress());
        let user = connect.username().map(|name| &**name).unwrap_or_default();
        tracing::warn!(%client, ?peer, %user, "mqtt login refused: {reason}");
        self.metrics.refuse("login");
        Err(answer)
    }

    fn login(&self, connect: &ConnectInfo) -> Result<(), (AuthResult, &'static str)> {
        let name = connect.username().map(|name| &**name);
        match name.filter(|_| !self.everybody_is_anonymous()) {
            None if !self.allow_anonymous => {
                let reason = "no user name, and anonymous clients are not allowed";
                return Err((AuthResult::NotAuthorized, reason));
            }
            None => {}
            Some(name) => {
                let password = connect
                    .password()
                    .map(|password| &password[..])
                    .unwrap_or_default();
                let user = self.user(name);
                if !user.is_some_and(|user| (user.verify)(password)) {
                    let reason = "wrong user name or password";
                    return Err((AuthResult::BadUsernameOrPassword, reason));
                }
            }
        }
        if let Some(will) = connect.last_will()
            && let Err(reason) = self.judge_publish(connect.id(), topic_of(&will))
        {
            return Err((AuthResult::NotAuthorized, reason));
        }
        Ok(())
    }

    /// A session belongs to the account that opened it: who takes it over inherits its subscriptions.
    async fn is_of_another(&self, connect: &ConnectInfo) -> bool {
        let Some(Ends { context, .. }) = self.road.read().clone() else {
            return true;
        };
        let shared = context.extends.shared().await;
        let session = shared.entry(connect.id().clone()).session();
        session.is_some_and(|session| session.id.username != connect.id().username)
    }

    /// Without any users a name means nothing.
    fn everybody_is_anonymous(&self) -> bool {
        self.users.is_empty()
    }

    fn user(&self, name: &str) -> Option<User> {
        let known = self.users.get(name).cloned();
        known.or_else(|| (self.more_users)(name))
    }

    fn access(&self, id: &Id) -> Access {
        match id.username.as_deref().map(|name| self.user(name)) {
            Some(Some(user)) => user.access,
            Some(None) if !self.everybody_is_anonymous() => Access::default(),
            Some(None) | None => Access::DEVICE,
        }
    }

    pub(super) fn may_subscribe(&self, id: &Id, filter: &str) -> bool {
        let reason = if !self.access(id).subscribe {
            "the account may not hear anything"
        } else if !self.is_own(filter) {
            "only warnings can be subscribed to"
        } else {
            return true;
        };
        tracing::warn!(client = %id.client_id, %filter, "subscription refused: {reason}");
        self.metrics.refuse("subscribe");
        false
    }

    /// Hands a message to the intake and waits for the journal. An error means: no acknowledgement.
    pub(super) async fn take(&self, id: &Id, publish: &Publish) -> Result<(), String> {
        if let Err(reason) = self.judge_publish(id, &publish.topic) {
            tracing::warn!(client = %id.client_id, topic = %publish.topic, "publish refused: {reason}");
            self.metrics.refuse("publish");
            return Err(reason.to_owned());
        }
        if self.is_own(&publish.topic) {
            return Ok(());
        }
        let ends = self.road.read().clone();
        let Ends { intake, .. } = ends.ok_or("the broker is stopping")?;
        let message = Message {
            door: Door::Broker,
            source: &id.client_id,
            topic: Some(&publish.topic),
            payload: &publish.payload,
            form: Form::Usual,
            retained: false,
        };
        match intake.accept(message).await {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal(id, &error)),
        }
    }

    /// Nobody but the service itself may publish where its warnings go out: a forged one could start a siren.
    /// Somebody who could log in under its name knows its password.
    fn judge_publish(&self, id: &Id, topic: &str) -> Result<(), &'static str> {
        if !self.access(id).publish {
            return Err("the account may not publish");
        }
        let name = id.username.as_deref().unwrap_or_default();
        let is_service = name == self.own_user && self.users.contains_key(name);
        if self.is_own(topic) && !is_service {
            return Err("only the service itself publishes warnings");
        }
        Ok(())
    }

    /// A message that is too large ends its connection unread: it is counted and kept as a rejection all the same.
    pub(super) async fn disconnected(&self, id: &Id, reason: &Reason) {
        // rmqtt gives nothing but the words of its codec here
        if !reason.to_string().contains("Max size exceeded") {
            return;
        }
        let limit = self.max_packet;
        tracing::warn!(client = %id.client_id, limit, "a message was too large, and its connection was closed");
        let detail = format!(
            "the MQTT packet is larger than {limit} bytes: send fewer readings in one, or raise [broker] max_packet"
        );
        let ends = self.road.read().clone();
        if let Some(Ends { intake, .. }) = ends {
            intake
                .refuse_unread(Door::Broker, &id.client_id, detail)
                .await;
        }
    }

    /// Takes the readings of a last will; whether it may be published was judged at the login.
    pub(super) async fn take_last_will(&self, from: &From, publish: &Publish) {
        if matches!(from.typ(), FromType::LastWill)
            && let Err(reason) = self.take(&from.id, publish).await
        {
            tracing::error!(client = %from.id.client_id, topic = %publish.topic, "last will lost: {reason}");
        }
    }

    /// Whether a topic, or all that a filter matches, lies under our own prefixes.
    fn is_own(&self, topic: &str) -> bool {
        let under = |prefix: &String| {
            topic
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.own_topics.iter().any(under)
    }
}

fn topic_of<'will>(will: &LastWill<'will>) -> &'will str {
    match will {
        LastWill::V3(will) => &will.topic,
        LastWill::V5(will) => &will.topic,
    }
}

/// The journal has already logged why it refuses; here only who was turned away.
fn refusal(id: &Id, error: &IntakeError) -> String {
    tracing::debug!(client = %id.client_id, "publish not acknowledged: {error}");
    error.to_string()
}
