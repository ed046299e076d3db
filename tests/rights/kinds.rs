//! How each address answers to somebody who is bound.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::district::World;

/// How an address answers to somebody who is bound.
pub enum Kind {
    /// It belongs to the whole: 403.
    Whole,
    /// It is about the caller.
    Own,
    /// A list: 200 with what lies inside.
    List,
    /// One thing: as good as not there if it lies outside. Paths inside, outside, and of what there is not.
    One(Vec<String>, Vec<String>, String),
    /// A writing call on one thing, with a body that would be right.
    Write(Vec<String>, String, Value),
    /// It never ends; it has a test of its own.
    Stream,
}

impl World {
    fn numbered(&self, which: usize, path: &str) -> (Vec<String>, Vec<String>, String) {
        let fill = |numbers: &BTreeSet<i64>| -> Vec<String> {
            let fill = |id: &i64| path.replace("{id}", &id.to_string());
            numbers.iter().map(fill).collect()
        };
        (
            fill(&self.inside[which]),
            fill(&self.outside[which]),
            path.replace("{id}", "999999"),
        )
    }

    pub fn kind(&self, method: &str, path: &str) -> Kind {
        let one = |(inside, outside, nothing)| Kind::One(inside, outside, nothing);
        let write = |which, body: Value| {
            let (_, outside, nothing) = self.numbered(which, path);
            Kind::Write(outside, nothing, body)
        };
        let paths = |inside: &[&str], outside: &[&str], nothing: &str| {
            let all = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
            Kind::One(all(inside), all(outside), nothing.to_owned())
        };
        match (method, path) {
            (_, "/api/v1/session" | "/api/v1/session/password") => Kind::Own,
            (
                "get",
                "/api/v1/alerts" | "/api/v1/warnings" | "/api/v1/deliveries" | "/api/v1/sensors"
                | "/api/v1/zones" | "/api/v1/plans" | "/api/v1/status" | "/feeds/cap.atom",
            ) => Kind::List,
            ("get", "/api/v1/events") => Kind::Stream,
            ("get", "/api/v1/alerts/{id}") => one(self.numbered(0, path)),
            ("get", "/api/v1/warnings/{id}") => {
                let (mut inside, mut outside, nothing) = self.numbered(1, path);
                inside.push(path.replace("{id}", &self.identifiers.0));
                outside.push(path.replace("{id}", &self.identifiers.1));
                Kind::One(inside, outside, nothing)
            }
            ("get", "/api/v1/deliveries/{id}") => one(self.numbered(2, path)),
            ("get", "/api/v1/sensors/{id}") => paths(
                &["/api/v1/sensors/g-1", "/api/v1/sensors/g-2"],
                &[
                    "/api/v1/sensors/foreign-g",
                    "/api/v1/sensors/foreign-w",
                    "/api/v1/sensors/foreign-nowhere",
                ],
                "/api/v1/sensors/nothing-of-that-name",
            ),
            ("get", "/api/v1/readings") => paths(
                &["/api/v1/readings?sensor=g-1&measurement=methane"],
                &[
                    "/api/v1/readings?sensor=foreign-g&measurement=methane",
                    "/api/v1/readings?sensor=foreign-w&measurement=foreign_depth",
                ],
                "/api/v1/readings?sensor=nothing-of-that-name&measurement=methane",
            ),
            ("get", "/cap/{file}") => paths(
                &[&format!("/cap/{}.xml", self.identifiers.0)],
                &[&format!("/cap/{}.xml", self.identifiers.1)],
                "/cap/nothing-of-that-name.xml",
            ),
            ("post", "/api/v1/alerts/{id}/acknowledge") => write(0, json!({ "note": "seen" })),
            ("post", "/api/v1/alerts/{id}/verify") => write(0, json!({ "verdict": "true" })),
            ("post", "/api/v1/alerts/{id}/assign") => write(0, json!({ "to": "somebody" })),
            ("post", "/api/v1/alerts/{id}/close") => {
                write(0, json!({ "note": "done", "force": true }))
            }
            ("post", "/api/v1/alerts/{id}/warnings") => write(0, json!({})),
            ("post", "/api/v1/warnings/{id}/update" | "/api/v1/warnings/{id}/lift") => {
                write(1, json!({}))
            }
            ("post", "/api/v1/warnings/{id}/correct" | "/api/v1/warnings/{id}/withdraw") => {
                write(1, json!({ "note": "wrong" }))
            }
            ("post", "/api/v1/deliveries/{id}/retry") => write(2, Value::Null),
            ("post", "/api/v1/deliveries/{id}/answer") => {
                write(2, json!({ "word": "received", "by": "王" }))
            }
            (
                _,
                "/api/v1/accounts"
                | "/api/v1/accounts/{name}"
                | "/api/v1/accounts/{name}/password"
                | "/api/v1/tokens"
                | "/api/v1/tokens/{id}",
            )
            | ("post", "/api/v1/readings")
            | (
                "get",
                "/api/v1/readings/rejected"
                | "/api/v1/sensors/unknown"
                | "/api/v1/audit"
                | "/api/v1/channels"
                | "/api/v1/archive/refused",
            )
            | (_, "/api/v1/bundle" | "/api/v1/versions" | "/api/v1/versions/{id}")
            | (_, "/api/v1/backtests" | "/api/v1/backtests/{id}")
            | (
                _,
                "/api/v1/rules"
                | "/api/v1/rules/check"
                | "/api/v1/rules/{id}"
                | "/api/v1/rules/{id}/versions"
                | "/api/v1/rules/{id}/mode"
                | "/api/v1/rules/{id}/rollback",
            ) => Kind::Whole,
            _ => panic!(
                "say in tests/rights/kinds.rs how {method} {path} answers to somebody who is bound"
            ),
        }
    }
}
