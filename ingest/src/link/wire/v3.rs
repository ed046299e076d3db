//! A connection in MQTT 3.1.1.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::{
    AsyncClient, ClientError, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions,
    NetworkOptions, Outgoing, Packet, Publish, QoS, SubscribeFilter, SubscribeReasonCode,
    TlsConfiguration, Transport,
};

use super::{Incoming, MAX_PACKET, REQUESTS, Receipt, Received, Target, lost};
use crate::link::error::Failure;
use crate::link::plan::Filter;

pub(super) type Client = AsyncClient;
pub(super) type Events = EventLoop;

pub(super) fn open(target: &Target) -> (Client, Events) {
    let broker = &target.broker;
    let mut options = MqttOptions::new(&target.client_id, &broker.host, broker.port);
    options.set_keep_alive(target.keep_alive);
    options.set_clean_session(target.clean);
    options.set_manual_acks(true);
    options.set_max_packet_size(MAX_PACKET as usize, MAX_PACKET as usize);
    options.set_pending_throttle(Duration::ZERO);
    if let Some(login) = &target.login {
        options.set_credentials(&login.user, &login.password);
    }
    if let Some(tls) = &target.tls {
        let tls = TlsConfiguration::Rustls(tls.clone());
        options.set_transport(Transport::tls_with_config(tls));
    }
    let (client, mut events) = AsyncClient::new(options, REQUESTS);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(target.timeout.as_secs().max(1));
    events.set_network_options(network);
    (client, events)
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
            topic: message.topic,
            payload: message.payload,
        }),
        Event::Incoming(Packet::SubAck(ack)) => {
            Incoming::Subscribed(ack.return_codes.iter().map(granted).collect())
        }
        Event::Incoming(Packet::PubAck(_)) => Incoming::Acknowledged { taken: true },
        Event::Outgoing(Outgoing::Disconnect) => Incoming::Left,
        Event::Incoming(_) | Event::Outgoing(_) => Incoming::Other,
    })
}

fn granted(code: &SubscribeReasonCode) -> Option<u8> {
    match code {
        SubscribeReasonCode::Success(qos) => Some(*qos as u8),
        SubscribeReasonCode::Failure => None,
    }
}

pub(super) fn acknowledge(client: &Client, receipt: Receipt) -> Result<(), ClientError> {
    let qos = qos(receipt.qos);
    let mut named = Publish::new("", qos, Vec::new());
    named.pkid = receipt.packet_id;
    client.try_ack(&named)
}

pub(super) fn subscribe(client: &Client, filters: &[Filter]) -> Result<(), ClientError> {
    let filters = filters
        .iter()
        .map(|(filter, level)| SubscribeFilter::new(filter.clone(), qos(*level)));
    client.try_subscribe_many(filters)
}

pub(super) fn publish(client: &Client, topic: &str, payload: Bytes) -> Result<(), ClientError> {
    client.try_publish(topic, QoS::AtLeastOnce, false, payload)
}

pub(super) fn leave(client: &Client) -> Result<(), ClientError> {
    client.try_disconnect()
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
    match code {
        ConnectReturnCode::BadUserNamePassword => {
            Failure::Refused("bad user name or password".to_owned())
        }
        ConnectReturnCode::NotAuthorized => Failure::Refused("not authorised".to_owned()),
        ConnectReturnCode::BadClientId => {
            Failure::Refused("it does not like the client id".to_owned())
        }
        ConnectReturnCode::RefusedProtocolVersion => {
            Failure::Refused("it does not speak MQTT 3.1.1; try version = \"5\"".to_owned())
        }
        ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => {
            Failure::Lost("it says that it is not available".to_owned())
        }
    }
}
