//! People and programs at a service under test: logging in, calling in a session, making accounts and tokens.

#![allow(dead_code, reason = "each test file uses its own part")]

use serde_json::{Value, json};

use super::{Service, TOKEN, exchange};

/// Somebody who calls: by a session or by a token.
#[derive(Clone)]
pub struct Person {
    headers: Vec<(&'static str, String)>,
}

/// An answer.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| Value::String(self.body.clone()))
    }
}

/// The JSON after it was seen that it is well.
pub fn good(answer: &Answer) -> Value {
    assert!((200..300).contains(&answer.status), "{answer:?}");
    answer.json()
}

impl Person {
    pub fn with_token(token: &str) -> Person {
        Person {
            headers: vec![("Authorization", format!("Bearer {token}"))],
        }
    }

    pub fn admin() -> Person {
        Person::with_token(TOKEN)
    }

    pub fn nobody() -> Person {
        Person {
            headers: Vec::new(),
        }
    }

    /// The same with another header.
    pub fn and(&self, name: &'static str, value: &str) -> Person {
        let mut other = self.clone();
        other.headers.retain(|(kept, _)| *kept != name);
        other.headers.push((name, value.to_owned()));
        other
    }

    /// The same without a header.
    pub fn without(&self, name: &str) -> Person {
        let mut other = self.clone();
        other.headers.retain(|(kept, _)| *kept != name);
        other
    }

    pub fn call(&self, service: &Service, method: &str, path: &str, body: &Value) -> Answer {
        let body = (!body.is_null()).then(|| body.to_string());
        let body = body.as_deref().map(str::as_bytes);
        let body = body.map(|body| ("application/json", body));
        let (status, head, body) = exchange(service.http, (method, path), &self.headers, body)
            .unwrap_or_else(|| panic!("no answer from {method} {path}"));
        Answer { status, head, body }
    }

    pub fn get(&self, service: &Service, path: &str) -> Answer {
        self.call(service, "GET", path, &Value::Null)
    }

    pub fn post(&self, service: &Service, path: &str, body: &Value) -> Answer {
        self.call(service, "POST", path, body)
    }
}

/// Tries to log in.
pub fn try_login(service: &Service, name: &str, password: &str) -> Answer {
    let body = json!({ "name": name, "password": password });
    Person::nobody().post(service, "/api/v1/session", &body)
}

/// The person in the session that an answer began.
pub fn entered(answer: &Answer) -> Person {
    let view = good(answer);
    let cookie = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.and_then(|line| line.split(';').next());
    Person {
        headers: vec![
            ("Cookie", cookie.expect("a cookie").to_owned()),
            ("X-CSRF-Token", text(&view["csrf_token"])),
        ],
    }
}

/// Logs in.
pub fn login(service: &Service, name: &str, password: &str) -> Person {
    entered(&try_login(service, name, password))
}

/// Makes an account, logs in with its one-time password and changes it to `password`.
pub fn account(service: &Service, wish: &Value, password: &str) -> Person {
    let given = good(&Person::admin().post(service, "/api/v1/accounts", wish));
    let once = text(&given["password"]);
    let person = login(service, &text(&wish["name"]), &once);
    let change = json!({ "present": once, "new": password });
    entered(&person.post(service, "/api/v1/session/password", &change))
}

/// Makes a token.
pub fn token(service: &Service, wish: &Value) -> String {
    let mut wish = wish.clone();
    wish["expires"] = json!("2027-12-01T00:00:00Z");
    let made = good(&Person::admin().post(service, "/api/v1/tokens", &wish));
    text(&made["token"])
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}
