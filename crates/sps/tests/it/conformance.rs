//! The suite that every implementation of the port passes, against simulated appliances over HTTPS.

use std::sync::Arc;

use sps::{Options, SpsConnector};

use crate::support::Runner;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_behaves_as_agreed() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(sim::TokioClock::real());
    let connector = SpsConnector::new(clock, Runner::printing(""), Options::default());
    let stage = sim::conformance::OverHttps::new(dir.path(), Arc::new(connector));
    sim::conformance::appliance_port(&stage).await;
}
