//! Tests of the simulator: what docs/appliance.md lists, over HTTPS and in-process.

mod support;

mod authentication;
mod behaviours;
mod firmware;
mod life;
mod observer;
mod pairs;
mod port;
mod redfish;
mod wire;
