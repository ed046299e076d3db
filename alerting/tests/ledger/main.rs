//! The ledger and its outbox through their public interface, on a real file and against real endpoints.

#![allow(clippy::unwrap_used)]

mod agreement;
mod book;
#[path = "../support/http.rs"]
mod http;
mod outbox;
mod people;
mod plans;
mod receipts;
mod state_machine;
mod support;
mod versions;
mod warnings;
