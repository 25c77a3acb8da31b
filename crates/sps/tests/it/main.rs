//! The client against a scripted appliance over real TLS, on loopback only.

mod conformance;
mod credentials;
mod endpoints;
mod failures;
mod login;
mod secrets;
mod sessions;
mod support;
mod trust;
mod upload;
