//! The client against a scripted appliance over real TLS, on loopback only.

mod bundles;
mod conformance;
mod credentials;
mod endpoints;
mod failures;
mod login;
mod redfish;
mod secrets;
mod sessions;
mod support;
mod trust;
mod upload;
