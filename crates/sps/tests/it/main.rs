//! The client against a scripted appliance over real TLS, on loopback only.

#![expect(clippy::result_large_err, reason = "ApplianceError is the port's")]

mod credentials;
mod endpoints;
mod failures;
mod login;
mod secrets;
mod sessions;
mod support;
mod trust;
mod upload;
