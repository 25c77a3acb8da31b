//! `demo`: a rollout across a simulated fleet, live. Needs no file and no network.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use executor::{Executor, Options};
use model::exit::Exit;
use model::random::Random;
use model::{ApplianceName, Sha256Hex};
use sim::{
    ApplianceSpec, Behaviour, FaultPlan, ImageServer, ImageShelf, SimFleet, SimImage, SimServer,
    Timings,
};

use crate::context::Context;
use crate::folder::Folder;
use crate::inputs::Files;
use crate::printer::Style;
use crate::rolling::{Rolling, roll};
use crate::view::words;
use crate::{coded, database, system, wiring};

/// Rolls firmware across a simulated fleet on this machine, live: appliances that answer over
/// HTTPS on loopback, in three sites, and two of them cannot be upgraded. Needs nothing else.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet demo\n  spsfleet demo --appliances 40 --dir ./demo\n\n\
                        It ends with exit code 4, since two appliances cannot be upgraded."
)]
pub(crate) struct Args {
    /// How many appliances.
    #[arg(long, value_name = "N", default_value_t = 12,
          value_parser = clap::value_parser!(u16).range(1..=2000))]
    appliances: u16,
    /// Which appliances fail, and all that is left to chance.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Where the files are left; absent, a new folder among the temporary ones.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Everything that the appliances do takes so many times less.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    speed: f64,
}

const OLD: &str = "7.5.0";
const NEW: &str = "7.5.1";
const IMAGE: &str = "sps-7.5.1.iso";
/// Some megabytes, so that a transfer can be seen.
const IMAGE_BYTES: usize = 6_000_000;
const SITES: [&str; 3] = ["ams", "nyc", "sgp"];

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if !args.speed.is_finite() || args.speed <= 0.0 {
        return Err(coded::usage("--speed must be more than 0"));
    }
    let random = system::random()?;
    let folder = Folder::make(args.dir.as_deref(), "demo", &random)?;
    if !folder.is_empty()? {
        return Err(coded::usage(format!(
            "{} is not empty; name another folder with --dir",
            folder.path().display()
        )));
    }
    let names = names(args.appliances);
    let (fails_test, reverts) = victims(&names, args.seed);
    let image = SimImage::bytes(NEW, IMAGE_BYTES);
    let images = ImageServer::start(ImageShelf::default().bytes(IMAGE, image.clone())).await?;
    let server = simulate(&args, &names, fails_test, reverts).await?;
    server.fleet().ledger().write_to(&folder.file("ledger.jsonl")).context("writing the ledger")?;
    let files = write_files(&folder, &server, &names, &image, &images.url(IMAGE))?;

    introduce(context, &folder, &names, fails_test, reverts);
    let exit = roll_out(context, &folder, &files, &random).await?;
    server.stop().await;
    what_next(context, &folder);
    Ok(exit)
}

/// `ams-1`, `nyc-1`, `sgp-1`, `ams-2` and so on.
fn names(count: u16) -> Vec<(ApplianceName, &'static str)> {
    let count = usize::from(count);
    let name = |number: usize| {
        let site = SITES.get(number % SITES.len()).copied()?;
        let name = ApplianceName::new(&format!("{site}-{}", number / SITES.len() + 1)).ok()?;
        Some((name, site))
    };
    (0..count).filter_map(name).collect()
}

/// Who fails the test and who reverts: never one of the canaries, when there are enough others.
fn victims<'a>(
    names: &'a [(ApplianceName, &'static str)],
    seed: u64,
) -> (Option<&'a ApplianceName>, Option<&'a ApplianceName>) {
    let random = Random::seeded(seed);
    let mut others: Vec<&ApplianceName> = names.iter().map(|(name, _)| name).collect();
    if others.len() > SITES.len() + 1 {
        others.drain(..SITES.len());
    }
    let mut draw = || {
        let count = others.len();
        if count == 0 {
            return None;
        }
        let index = usize::try_from(random.below(count as u64)).unwrap_or_default();
        Some(others.swap_remove(index.min(count - 1)))
    };
    let reverts = draw();
    (draw(), reverts)
}

async fn simulate(
    args: &Args,
    names: &[(ApplianceName, &'static str)],
    fails_test: Option<&ApplianceName>,
    reverts: Option<&ApplianceName>,
) -> anyhow::Result<SimServer> {
    let mut plan = FaultPlan { seed: args.seed, ..FaultPlan::default() };
    if let Some(name) = fails_test {
        let summary = "Configuration check started\nConfiguration check failed: \
                       certificate of the web interface has a 1024 bit key";
        let does = Behaviour::TestFails { summary: summary.to_owned(), times: None };
        plan = plan.where_(name.as_str(), does);
    }
    if let Some(name) = reverts {
        plan = plan.where_(name.as_str(), Behaviour::Revert { times: 1 });
    }
    let specs = names.iter().map(|(name, _)| ApplianceSpec {
        timings: timings().scaled(args.speed),
        ..ApplianceSpec::new(name.clone(), OLD)
    });
    let builder = SimFleet::builder().appliances(specs).faults(plan).seed(args.seed);
    Ok(SimServer::start(builder).await?)
}

/// A reboot of some minutes in a few seconds.
fn timings() -> Timings {
    Timings {
        test: Duration::from_millis(800),
        upgrade_test: Duration::from_millis(500),
        shutdown: Duration::from_millis(300),
        down: Duration::from_millis(1_500),
        boot: Duration::from_millis(1_500),
        fetch_bytes_per_second: 4_000_000,
        verify: Duration::from_millis(300),
        install: Duration::from_millis(700),
    }
}

/// Writes everything that a rollout needs; says which file is which.
fn write_files(
    folder: &Folder,
    server: &SimServer,
    names: &[(ApplianceName, &'static str)],
    image: &[u8],
    url: &str,
) -> anyhow::Result<(PathBuf, PathBuf)> {
    folder.write("ca.pem", server.ca_pem().as_bytes())?;
    folder.write(IMAGE, image)?;
    let mut fleet = String::from(FLEET_HEAD);
    for (number, (name, site)) in names.iter().enumerate() {
        let address = server.address(name.as_str()).context("an appliance has no address")?;
        let ring = if number < SITES.len() { "canary" } else { "wide" };
        let spec = server.fleet().appliance(name.as_str()).map(|appliance| appliance.spec());
        if let (0, Some(spec)) = (number, spec) {
            folder.write_secret("password", spec.password.as_bytes())?;
        }
        write!(
            fleet,
            "  - name: {name}\n    address: {}\n    port: {}\n    site: {site}\n    \
             labels: {{ env: demo, ring: {ring} }}\n",
            address.ip(),
            address.port()
        )?;
    }
    let sum = Sha256Hex::of(image);
    let rollout = ROLLOUT
        .replace("{version}", NEW)
        .replace("{sha256}", sum.as_str())
        .replace("{url}", url)
        .replace("{image}", IMAGE);
    Ok((
        folder.write("fleet.yaml", fleet.as_bytes())?,
        folder.write("rollout.yaml", rollout.as_bytes())?,
    ))
}

const FLEET_HEAD: &str = "\
# The inventory of `spsfleet demo`: simulated appliances on this machine.
version: 1
defaults:
  login:
    username: fleet-upgrader
    password: { file: password }
  tls: { ca: ca.pem }
sites:
  ams: { limits: { unavailable: 2, transfers: 4 } }
  nyc: { limits: { unavailable: 2, transfers: 4 } }
  sgp: { limits: { unavailable: 2, transfers: 4 } }
appliances:
";

const ROLLOUT: &str = "\
# The rollout of `spsfleet demo`.
version: 1
name: demo
firmware:
  version: {version}
  sha256: \"{sha256}\"
  fetch: {url}
  upload: {image}
message: \"spsfleet demo\"
select: { labels: { env: demo } }
waves:
  - name: canary
    select: { labels: { ring: canary } }
  - name: rest
limits: { unavailable: 6, transfers: 8, requests_per_second: 200 }
failure_budget: { count: 3 }
";

fn introduce(
    context: &Context,
    folder: &Folder,
    names: &[(ApplianceName, &'static str)],
    fails_test: Option<&ApplianceName>,
    reverts: Option<&ApplianceName>,
) {
    let printer = context.printer;
    let dir = folder.path().display();
    let mut text = format!(
        "{}: {} in {} sites, simulated on this machine and reached over HTTPS, go from {OLD} to {NEW}.\n",
        printer.talk.on(Style::Bold, "spsfleet demo"),
        words::count(names.len(), "appliance"),
        SITES.len().min(names.len())
    );
    if let Some(name) = fails_test {
        text.push_str(&format!("{name} will fail its firmware test, so it is left as it is.\n"));
    }
    if let Some(name) = reverts {
        text.push_str(&format!("{name} will come back on the old version.\n"));
    }
    text.push_str("The rollout takes two failures and goes on.\n");
    text.push_str(&format!("Its files are in {dir}\n"));
    printer.say(&text);
}

async fn roll_out(
    context: &Context,
    folder: &Folder,
    (fleet, rollout): &(PathBuf, PathBuf),
    random: &Random,
) -> anyhow::Result<Exit> {
    let planned = match Files::at(fleet.clone()).plan(rollout, true).await? {
        Ok(planned) => planned,
        Err(faulty) => {
            faulty.say(context.printer);
            anyhow::bail!("the files of the demo are faulty, which is a fault of this program");
        }
    };
    let database = folder.file("demo.db");
    let journal = database::write(&database, "demo", true, context.now()).await;
    let journal = Arc::new(journal.map_err(database::explain)?);
    let id = system::rollout_id(context.now(), random);
    let ports = wiring::ports(Arc::clone(&journal), &planned.plan, context)?;
    Executor::accept(&ports, id.clone(), planned.plan, system::actor()).await?;
    drop(ports);
    let options = Options { no_wait: false, stay_for_person: false };
    roll(Rolling { journal, database, id, options, advise: false }, context).await
}

fn what_next(context: &Context, folder: &Folder) {
    let paint = context.printer.talk;
    let lines = [
        format!("cd {}", folder.path().display()),
        "spsfleet status --state demo.db".to_owned(),
        "spsfleet events --state demo.db".to_owned(),
        "spsfleet plan --fleet fleet.yaml rollout.yaml".to_owned(),
    ];
    let lines = lines.map(|line| format!("  {}\n", paint.on(Style::Bold, &line)));
    context.printer.say(&format!("\nNow try\n{}", lines.concat()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_different_appliances_fail_and_no_canary() {
        for seed in 0..50 {
            let names = names(12);
            let (fails_test, reverts) = victims(&names, seed);
            assert_ne!(fails_test, reverts);
            for canary in names.iter().take(3) {
                assert!(fails_test != Some(&canary.0) && reverts != Some(&canary.0));
            }
        }
        let one = names(1);
        assert_eq!(victims(&one, 0), (None, Some(&one[0].0)));
    }
}
