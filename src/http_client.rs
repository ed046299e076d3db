//! A small client of our own API, for the command line and the demo's click. Plain HTTP to a near address.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Where the API is and who asks.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
    token: Option<String>,
}

impl Client {
    /// `address` is `http://host:port`.
    pub fn new(address: &str, token: Option<&str>) -> Result<Client, String> {
        let host = address
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        let host = host.filter(|host| host.contains(':') && !host.contains('/'));
        let host = host.ok_or_else(|| {
            format!("`{address}` is not an address of the API: write http://host:port")
        })?;
        Ok(Client {
            host: host.to_owned(),
            token: token.map(str::to_owned),
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, String> {
        let failed = |error: &dyn std::fmt::Display| {
            format!("no answer from http://{}{path}: {error}", self.host)
        };
        let stream = TcpStream::connect(&self.host)
            .await
            .map_err(|error| failed(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())));
        let request = request.body(body).map_err(|error| failed(&error))?;
        sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))
    }

    /// Any call with its status and JSON; a body that is no JSON is a text.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), String> {
        let (status, bytes) = self.answer(method, path, body).await?;
        let json = serde_json::from_slice(&bytes);
        let text = |_| Value::String(String::from_utf8_lossy(&bytes).into_owned());
        Ok((status, json.unwrap_or_else(text)))
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), String> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok((status, bytes))
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let (status, bytes) = self.answer(method, path, body).await?;
        if !status.is_success() {
            return Err(format!(
                "{path} answered {status}: {}",
                String::from_utf8_lossy(&bytes)
            ));
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{path} answered no JSON: {error}"))
    }

    /// GET, answered by JSON.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        self.call(Method::GET, path, None).await
    }

    /// POST of JSON, answered by JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// GET of a stream of lines.
    pub async fn lines(&self, path: &str) -> Result<Lines, String> {
        let response = self.send(Method::GET, path, None).await?;
        if !response.status().is_success() {
            return Err(format!("{path} answered {}", response.status()));
        }
        Ok(Lines {
            body: response.into_body(),
            rest: Vec::new(),
        })
    }
}

/// A body read line by line as it comes.
pub struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next line without its end; `None` when the stream ends.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(
                    String::from_utf8_lossy(&line[..end])
                        .trim_end_matches('\r')
                        .to_owned(),
                );
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.rest.extend_from_slice(&data);
            }
        }
    }
}
