//! Tests of the simulator: what docs/appliance.md lists, over HTTPS and in-process.

mod support;

mod authentication;
mod behaviours;
mod clusters;
mod firmware;
mod life;
mod observer;
mod order;
mod pairs;
mod port;
mod redfish;
mod wire;
