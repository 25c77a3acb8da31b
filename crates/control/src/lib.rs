//! The local socket: how commands reach a running program.
//!
//! HTTP/1.1 and JSON under `/v1/` over a Unix socket, so that `curl --unix-socket` works too.
//! [`wire`] is what goes over it, [`Socket`] and [`Service`] are the program's side, [`Client`]
//! is the command's.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`wire::StatusView`] of all rollouts that have not ended |
//! | `GET /v1/rollouts/NAME` | [`wire::StatusView`] of one, by name or id |
//! | `POST /v1/rollouts/NAME/decisions` | [`wire::DecisionRequest`] → [`wire::DecisionReply`] |
//!
//! Only the program's own user and root may call. The file's mode says so, and the caller's
//! credentials are looked at again with each connection.

mod accounts;
mod client;
mod decisions;
mod peer;
mod server;
mod service;
mod socket;
pub mod wire;

pub use client::{Client, ClientError};
pub use service::{Decided, Refusal, Service};
pub use socket::{BindError, Socket};
