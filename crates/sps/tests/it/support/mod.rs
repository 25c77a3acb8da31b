//! A scripted appliance and what is needed to call it.

pub(crate) mod client;
pub(crate) mod pki;
pub(crate) mod scene;
pub(crate) mod server;

pub(crate) use client::{Caller, Runner, endpoint_of, pair};
pub(crate) use pki::Pki;
pub(crate) use scene::{Do, api_error, json};
pub(crate) use server::{Front, Server};
