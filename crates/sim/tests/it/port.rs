//! The in-process port against the suite that the real client must pass too.

use sim::conformance::power::{InProcessPower, power_switch};
use sim::conformance::{InProcessStage, appliance_port};

#[tokio::test(start_paused = true)]
async fn the_in_process_port_is_a_port() {
    let dir = tempfile::tempdir().expect("a folder");
    appliance_port(&InProcessStage::new(dir.path())).await;
}

#[tokio::test(start_paused = true)]
async fn the_in_process_power_switch_is_one() {
    power_switch(&InProcessPower).await;
}
