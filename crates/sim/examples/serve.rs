//! Serves simulated appliances over HTTPS until it is ended, to be looked at with curl:
//!
//! ```sh
//! cargo run -p sim --example serve -- 3 /tmp/sim
//! curl --cacert /tmp/sim/ca.pem https://127.77.0.1:PORT/api/setup
//! ```

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use sim::{ApplianceSpec, SimFleet, SimServer, Timings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let count: usize = words.next().unwrap_or_else(|| "3".to_owned()).parse()?;
    let dir = words.next().unwrap_or_else(|| ".".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let specs = (1..=count)
            .map(|n| {
                let name = model::ApplianceName::new(&format!("sim-{n}"))?;
                let mut spec = ApplianceSpec::new(name, "7.5.0");
                spec.timings = Timings {
                    fetch_bytes_per_second: u64::MAX,
                    install: Duration::ZERO,
                    ..Timings::default().scaled(20.0)
                };
                spec.slots = std::iter::once(Some("7.5.0".to_owned()))
                    .chain(std::iter::repeat_n(None, 63))
                    .collect();
                Ok(spec)
            })
            .collect::<Result<Vec<_>, model::names::InvalidName>>()?;
        let server = SimServer::start(SimFleet::builder().appliances(specs)).await?;
        server.fleet().images().name_any("7.5.1");
        server.write_ca(&Path::new(&dir).join("ca.pem"))?;
        let mut out = std::io::stdout().lock();
        for appliance in server.fleet().appliances() {
            if let Some(address) = server.address(appliance.name().as_str()) {
                writeln!(out, "{} https://{address}", appliance.name())?;
            }
        }
        writeln!(
            out,
            "password {}",
            ApplianceSpec::new(model::ApplianceName::new("x")?, "1.0.0").password
        )?;
        out.flush()?;
        std::future::pending::<()>().await;
        Ok(())
    })
}
