//! A department's endpoint: a real HTTP/1.1 server on a free port of 127.0.0.1 that answers as a test tells it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// Such as `POST /hook HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Request {
    /// The value of a header; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }
}

/// What goes out.
pub enum Reply {
    /// These bytes; then the connection waits for the next request.
    Bytes(Vec<u8>),
    /// These bytes; then nothing more, with the connection open.
    Stall(Vec<u8>),
}

impl Reply {
    /// A whole answer: status line and headers (each ended by `\r\n`), and a text.
    pub fn answer(status: &str, headers: &str, text: &str) -> Reply {
        let length = text.len();
        Reply::Bytes(
            format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{text}")
                .into_bytes(),
        )
    }
}

/// The running server; it ends with its runtime.
pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Server {
    /// Answers every request with `reply`.
    pub async fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, requests) = mpsc::unbounded_channel();
        let reply = Arc::new(reply);
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, connection, Arc::clone(&reply), seen.clone()));
            }
        });
        Server { url, requests }
    }

    /// The next request; fails after 10 s without one.
    pub async fn next(&mut self) -> Request {
        tokio::time::timeout(Duration::from_secs(10), self.requests.recv())
            .await
            .expect("no request within 10 s")
            .expect("the server has ended")
    }

    /// How many requests have come in that nobody has taken yet.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    reply: Arc<impl Fn(&Request) -> Reply>,
    seen: mpsc::UnboundedSender<Request>,
) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer, connection).await {
        let reply = reply(&request);
        seen.send(request).ok();
        match reply {
            Reply::Bytes(bytes) if stream.write_all(&bytes).await.is_ok() => {}
            Reply::Bytes(_) => return,
            Reply::Stall(bytes) => {
                stream.write_all(&bytes).await.ok();
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Request> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(key, _)| key == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    let end = head_end + 4 + length;
    while buffer.len() < end {
        more(stream, buffer).await?;
    }
    let body = buffer[head_end + 4..end].to_vec();
    buffer.drain(..end);
    Some(Request {
        line,
        headers,
        body,
        connection,
    })
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 * 1024];
    match stream.read(&mut chunk).await {
        Ok(0) | Err(_) => None,
        Ok(length) => {
            buffer.extend_from_slice(&chunk[..length]);
            Some(())
        }
    }
}
