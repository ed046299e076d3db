//! A broker that does what a script says, packet by packet, in MQTT 3.1.1: for everything that a real one does only
//! now and then.

use std::net::SocketAddr;

use citywatch_ingest::link::LinkConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::within;

pub struct ScriptedBroker {
    listener: TcpListener,
}

/// One connection of the link, as the broker sees it.
pub struct Peer {
    stream: TcpStream,
}

/// What the link sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent {
    Connect {
        client_id: String,
        clean: bool,
    },
    Subscribe {
        packet_id: u16,
        filters: Vec<String>,
    },
    Acknowledgement(u16),
    Ping,
    Goodbye,
}

impl ScriptedBroker {
    pub async fn new() -> ScriptedBroker {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        ScriptedBroker { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub fn config(&self) -> LinkConfig {
        super::config(&format!("mqtt://{}", self.address()))
    }

    /// The next connection; its CONNECT is not yet read.
    pub async fn accept(&self) -> Peer {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream }
    }

    /// The next connection, let in, with its subscription granted if it asks for one.
    pub async fn welcome(&self, session_present: bool, subscribes: bool) -> Peer {
        let mut peer = self.accept().await;
        let connect = peer.read().await.unwrap();
        let expected = Sent::Connect {
            client_id: "citywatch-test".to_owned(),
            clean: false,
        };
        assert_eq!(connect, expected);
        peer.answer_connect(session_present, 0).await;
        if subscribes {
            let packet_id = peer.read_subscribe().await;
            peer.write(&[0x90, 3, (packet_id >> 8) as u8, packet_id as u8, 1])
                .await;
        }
        peer
    }
}

impl Peer {
    pub async fn answer_connect(&mut self, session_present: bool, code: u8) {
        self.write(&[0x20, 2, u8::from(session_present), code])
            .await;
    }

    pub async fn read_subscribe(&mut self) -> u16 {
        match self.read().await {
            Some(Sent::Subscribe { packet_id, filters }) => {
                assert_eq!(filters, ["citywatch/readings/#"]);
                packet_id
            }
            other => panic!("{other:?} instead of a subscription"),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Sends a message with QoS 1.
    pub async fn publish(&mut self, packet_id: u16, payload: &str, again: bool) {
        let packet = publish(packet_id, payload, again);
        self.write(&packet).await;
    }

    /// What comes next; `None` if the link hung up.
    pub async fn read(&mut self) -> Option<Sent> {
        within(self.packet()).await
    }

    /// What comes next but probes.
    pub async fn acknowledgement(&mut self) -> Option<u16> {
        loop {
            match self.read().await? {
                Sent::Acknowledgement(packet_id) => return Some(packet_id),
                Sent::Ping => self.write(&[0xD0, 0]).await,
                other => panic!("{other:?} instead of an acknowledgement"),
            }
        }
    }

    async fn packet(&mut self) -> Option<Sent> {
        let first = self.stream.read_u8().await.ok()?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = self.stream.read_u8().await.ok()?;
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.ok()?;
        let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let text = |at: usize| {
            let end = at + 2 + usize::from(number(at));
            String::from_utf8(body[at + 2..end].to_vec()).unwrap()
        };
        Some(match first >> 4 {
            1 => Sent::Connect {
                client_id: text(10),
                clean: body[7] & 2 != 0,
            },
            4 => Sent::Acknowledgement(number(0)),
            8 => {
                let (mut at, mut filters) = (2, Vec::new());
                while at < body.len() {
                    let filter = text(at);
                    at += 2 + filter.len() + 1;
                    filters.push(filter);
                }
                Sent::Subscribe {
                    packet_id: number(0),
                    filters,
                }
            }
            12 => Sent::Ping,
            14 => Sent::Goodbye,
            other => panic!("packet {other} is in no script"),
        })
    }
}

pub fn publish(packet_id: u16, payload: &str, again: bool) -> Vec<u8> {
    let topic = b"citywatch/readings/x";
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic);
    body.extend(packet_id.to_be_bytes());
    body.extend_from_slice(payload.as_bytes());
    let mut packet = vec![if again { 0x3A } else { 0x32 }];
    let mut rest = body.len();
    loop {
        let more = if rest > 127 { 0x80 } else { 0 };
        packet.push((rest & 0x7F) as u8 | more);
        rest >>= 7;
        if rest == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}
