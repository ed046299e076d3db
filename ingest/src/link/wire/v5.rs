//! A connection in MQTT 5. No topic aliases are allowed to the broker: rumqttc hands over a message with an alias
//! without its topic.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectProperties, ConnectReturnCode, Filter as Subscription, Packet, PubAckReason, Publish,
    RetainForwardRule, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};

use super::{Incoming, MAX_PACKET, REQUESTS, Receipt, Received, Target, lost};
use crate::link::error::Failure;
use crate::link::plan::Filter;

pub(super) type Client = AsyncClient;
pub(super) type Events = EventLoop;

pub(super) fn open(target: &Target) -> (Client, Events) {
    let broker = &target.broker;
    let mut options = MqttOptions::new(&target.client_id, &broker.host, broker.port);
    options.set_keep_alive(target.keep_alive);
    options.set_clean_start(target.clean);
    options.set_manual_acks(true);
    options.set_pending_throttle(Duration::ZERO);
    options.set_connection_timeout(target.timeout.as_secs().max(1));
    let kept = if target.clean {
        0
    } else {
        target.session_expiry.as_secs()
    };
    options.set_connect_properties(ConnectProperties {
        session_expiry_interval: Some(u32::try_from(kept).unwrap_or(u32::MAX)),
        receive_maximum: Some(target.inflight),
        max_packet_size: Some(MAX_PACKET),
        ..ConnectProperties::new()
    });
    if let Some(login) = &target.login {
        options.set_credentials(&login.user, &login.password);
    }
    if let Some(tls) = &target.tls {
        let tls = TlsConfiguration::Rustls(tls.clone());
        options.set_transport(Transport::tls_with_config(tls));
    }
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    AsyncClient::new(options, REQUESTS)
}

pub(super) async fn next(events: &mut Events) -> Result<Incoming, Failure> {
    let event = events.poll().await.map_err(|error| failure(&error))?;
    Ok(match event {
        Event::Incoming(Packet::ConnAck(ack)) => Incoming::Connected {
            session_present: ack.session_present,
        },
        Event::Incoming(Packet::Publish(message)) => Incoming::Message(Received {
            receipt: Receipt {
                packet_id: message.pkid,
                qos: message.qos as u8,
            },
            retained: message.retain,
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload,
        }),
        Event::Incoming(Packet::SubAck(ack)) => {
            Incoming::Subscribed(ack.return_codes.iter().map(granted).collect())
        }
        Event::Incoming(Packet::PubAck(ack)) => Incoming::Acknowledged {
            taken: ack.reason == PubAckReason::Success
                || ack.reason == PubAckReason::NoMatchingSubscribers,
        },
        Event::Outgoing(Outgoing::Disconnect) => Incoming::Left,
        Event::Incoming(_) | Event::Outgoing(_) => Incoming::Other,
    })
}

fn granted(code: &SubscribeReasonCode) -> Option<u8> {
    match code {
        SubscribeReasonCode::Success(qos) => Some(*qos as u8),
        _ => None,
    }
}

pub(super) fn acknowledge(client: &Client, receipt: Receipt) -> Result<(), Box<ClientError>> {
    let mut named = Publish::new("", qos(receipt.qos), Vec::new(), None);
    named.pkid = receipt.packet_id;
    Ok(client.try_ack(&named)?)
}

pub(super) fn subscribe(client: &Client, filters: &[Filter]) -> Result<(), Box<ClientError>> {
    let filters = filters.iter().map(|(filter, level)| Subscription {
        // what a broker kept from some earlier time is no news
        retain_forward_rule: RetainForwardRule::Never,
        ..Subscription::new(filter.clone(), qos(*level))
    });
    Ok(client.try_subscribe_many(filters)?)
}

pub(super) fn publish(
    client: &Client,
    topic: &str,
    payload: Bytes,
) -> Result<(), Box<ClientError>> {
    Ok(client.try_publish(topic, QoS::AtLeastOnce, false, payload)?)
}

pub(super) fn leave(client: &Client) -> Result<(), Box<ClientError>> {
    Ok(client.try_disconnect()?)
}

fn qos(level: u8) -> QoS {
    match level {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

fn failure(error: &ConnectionError) -> Failure {
    let ConnectionError::ConnectionRefused(code) = error else {
        return lost(error);
    };
    let reason = match code {
        ConnectReturnCode::BadUserNamePassword => "bad user name or password",
        ConnectReturnCode::NotAuthorized => "not authorised",
        ConnectReturnCode::Banned => "banned",
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => {
            "it does not like the client id"
        }
        ConnectReturnCode::RefusedProtocolVersion
        | ConnectReturnCode::UnsupportedProtocolVersion => {
            "it does not speak MQTT 5; try version = \"3.1.1\""
        }
        other => return Failure::Lost(format!("it turns us away: {other:?}")),
    };
    Failure::Refused(reason.to_owned())
}
