//! The REST API of a Safeguard for Privileged Sessions appliance.
//!
//! [`SpsConnector`] implements [`model::ports::Connector`]: one session per appliance, credentials
//! only to a proven identity, and every failure classified by what the caller may do next
//! ([`model::failure::FailureClass`]). Nothing that changes an appliance is ever sent twice.
//!
//! [`redfish::RedfishConnector`] implements [`model::ports::PowerConnector`] by the same means.
//!
//! - `connector`, `client`, `appliance`, `bundle`: clients, calls of a logged-in caller, endpoints.
//! - `line`, `address`, `clients`, `trust`: one exchange, where to, the HTTP clients, who answers.
//! - `session`, `credentials`: one login at a time, passwords read when needed.
//! - `classify`, `transport`: what an answer means, and what no answer means.
//! - `wire`, `upload`, `sink`, `date`, `words`: JSON, files out and in, HTTP dates, other people's words.

mod address;
mod appliance;
mod bundle;
mod classify;
mod client;
mod clients;
mod connector;
mod credentials;
mod date;
mod line;
mod options;
pub mod redfish;
mod session;
mod sink;
mod transport;
mod trust;
mod upload;
mod wire;
mod words;

pub use client::SpsAppliance;
pub use connector::SpsConnector;
pub use credentials::{CredentialError, check_source};
pub use options::{Options, USER_AGENT};
pub use trust::check_ca;
pub use wire::UserInfo;
