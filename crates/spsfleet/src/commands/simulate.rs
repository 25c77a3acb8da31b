//! `simulate`: the appliances of an inventory, simulated on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use model::exit::Exit;
use model::ports::Clock;
use model::{FirmwareVersion, Sha256Hex};
use planner::yaml;
use serde_json::{Map, Value, json};
use sim::{FaultPlan, ImageServer, ImageShelf, SimFleet, SimImage, SimServer, Timings};

use crate::context::Context;
use crate::folder::Folder;
use crate::inputs::Files;
use crate::printer::Style;
use crate::signals::Signals;
use crate::simulation::spec;
use crate::view::words;
use crate::{coded, system};

/// Serves the appliances of an inventory as simulated ones until stopped, over HTTPS on loopback
/// addresses. It leaves an inventory of them and a rollout to try.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  spsfleet simulate --fleet fleet.yaml --dir ./sim\n\n\
                        then, in another terminal:\n  \
                        spsfleet run --fleet sim/fleet.yaml --state sim/fleet.db sim/rollout.yaml\n\n\
                        A file DIR/reboot/NAME reboots that appliance, as a person would;\n\
                        DIR/secondary-off/NAME and DIR/secondary-on/NAME switch its second node.")]
pub(crate) struct Args {
    #[command(flatten)]
    files: Files,
    /// Where files are left: ca.pem, fleet.yaml, rollout.yaml, the image and ledger.jsonl; absent,
    /// a new folder among the temporary ones.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// What the appliances run.
    #[arg(long, value_name = "VERSION", default_value = "7.5.0", value_parser = FirmwareVersion::parse)]
    from: FirmwareVersion,
    /// The version of the image that is served, and of any other image that they are given.
    #[arg(long, value_name = "VERSION", default_value = "7.5.1", value_parser = FirmwareVersion::parse)]
    image: FirmwareVersion,
    /// What goes wrong: YAML or JSON.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// All that is left to chance.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Everything takes so many times less than on a real appliance (a reboot takes 6 minutes
    /// there).
    #[arg(long, value_name = "X", default_value_t = 10.0)]
    speed: f64,
}

/// Some megabytes, so that a transfer can be seen.
const IMAGE_BYTES: usize = 8_000_000;
/// Between two looks for what a person does at the machines.
const LOOK: Duration = Duration::from_millis(250);

/// How long central management takes to see a member in agreement after its restart.
const CLUSTER_SYNC: Duration = Duration::from_secs(30);

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    if !args.speed.is_finite() || args.speed <= 0.0 {
        return Err(coded::usage("--speed must be more than 0"));
    }
    let inventory = match args.files.appliances()? {
        Ok(inventory) => inventory,
        Err(faulty) => {
            faulty.say(context.printer);
            return Ok(Exit::Usage);
        }
    };
    let faults = args.faults.as_deref().map(faults).transpose()?.unwrap_or_default();
    let folder = Folder::make(args.dir.as_deref(), "sim", &system::random()?)?;
    let mut signals = Signals::take()?;

    let image = SimImage::bytes(&args.image.to_string(), IMAGE_BYTES);
    let image_name = format!("sps-{}.iso", args.image);
    let shelf = ImageShelf::default().bytes(&image_name, image.clone());
    let images = ImageServer::start(shelf).await?;
    let timings = Timings::default().scaled(args.speed);
    let specs = inventory.appliances.iter().map(|appliance| {
        let mut spec = spec(appliance, &args.from, &timings);
        spec.pair = spec.pair.scaled(args.speed);
        spec.cluster_sync = Some(CLUSTER_SYNC.div_f64(args.speed));
        spec
    });
    let builder = SimFleet::builder().appliances(specs).faults(faults).seed(args.seed);
    let server = SimServer::start(builder).await?;
    server.fleet().images().name_any(&args.image.to_string());
    server.fleet().ledger().write_to(&folder.file("ledger.jsonl")).context("writing the ledger")?;

    folder.write("ca.pem", server.ca_pem().as_bytes())?;
    folder.write(&image_name, &image)?;
    if let Some(first) = server.fleet().appliances().next() {
        folder.write_secret("password", first.spec().password.as_bytes())?;
    }
    folder.write(
        "fleet.yaml",
        rewritten(&inventory.text, &server, &fs::canonicalize(folder.path())?)?.as_bytes(),
    )?;
    let rollout =
        rollout(&args.image, &image_name, &Sha256Hex::of(&image), &images.url(&image_name));
    folder.write("rollout.yaml", rollout.as_bytes())?;
    let hands = Hand::ALL.map(|hand| (hand, folder.file(hand.word())));
    for (_, folder) in &hands {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }

    introduce(context, &folder, inventory.appliances.len());
    loop {
        tokio::select! {
            () = signals.next() => break,
            () = context.clock.sleep(LOOK) => {
                hands.iter().for_each(|(hand, folder)| hand.act(folder, &server));
            }
        }
    }
    if let Some(error) = server.fleet().ledger().file_error() {
        context.printer.warn(&format!("the ledger could not be written to its end: {error}"));
    }
    server.stop().await;
    Ok(Exit::Done)
}

/// Reads a fault plan.
pub(crate) fn faults(path: &Path) -> anyhow::Result<FaultPlan> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| coded::usage(format!("{shown}: {}", crate::facts::plainly(&error))))?;
    let value = yaml::read(&text).map_err(|error| coded::usage(format!("{shown}: {error}")))?;
    serde_json::from_value(value)
        .map_err(|error| coded::usage(format!("{shown}: this is no fault plan: {error}")))
}

/// The inventory with address, port, trust and login of the simulated appliances, and all else as
/// it was.
fn rewritten(text: &str, server: &SimServer, folder: &Path) -> anyhow::Result<String> {
    let mut fleet = yaml::read(text)?;
    let root = fleet.as_object_mut().context("the inventory is no mapping")?;
    let defaults = root.entry("defaults").or_insert_with(|| Value::Object(Map::new()));
    if defaults.is_null() {
        *defaults = Value::Object(Map::new());
    }
    let defaults = defaults.as_object_mut().context("`defaults` is no mapping")?;
    defaults.remove("port");
    defaults.insert("tls".to_owned(), json!({ "ca": "ca.pem" }));
    let login = json!({ "username": "fleet-upgrader", "password": { "file": "password" } });
    defaults.insert("login".to_owned(), login);
    // Real hardware is no part of a simulation: everybody gets a simulated reboot of his own.
    let reboot = defaults.remove("reboot");
    let appliances = root.get_mut("appliances").and_then(Value::as_array_mut);
    for appliance in appliances.into_iter().flatten() {
        let Some(fields) = appliance.as_object_mut() else { continue };
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let address = server.address(&name);
        let address = address.context("an appliance of the inventory is not simulated")?;
        fields.remove("login");
        fields.remove("tls");
        fields.insert("address".to_owned(), json!(address.ip().to_string()));
        fields.insert("port".to_owned(), json!(address.port()));
        let wanted = fields.remove("reboot").or_else(|| reboot.clone());
        if let Some(wanted) = wanted {
            let hand = folder.join(Hand::Reboot.word()).join(&name);
            let simulated = match wanted.as_object() {
                Some(how) if how.contains_key("redfish") => {
                    json!({ "redfish": redfish(server, &name, "a") })
                }
                Some(_) => json!({ "command": ["touch", hand.display().to_string()] }),
                None => wanted,
            };
            fields.insert("reboot".to_owned(), simulated);
        }
        if let Some(ha) = fields.get_mut("ha").and_then(Value::as_object_mut) {
            if let Some(power) = ha.get_mut("secondary_power") {
                *power = json!({ "redfish": redfish(server, &name, "b") });
            }
            if let Some(check) = ha.get_mut("secondary_check") {
                *check = json!({ "command": ["true"] });
            }
        }
    }
    Ok(format!("# Written by `spsfleet simulate`.\n{}", yaml::write(&fleet)?))
}

/// The simulated Redfish target of a node: `a` is the primary, `b` the secondary.
fn redfish(server: &SimServer, name: &str, node: &str) -> Value {
    json!({
        "url": server.redfish_url(),
        "system": format!("{name}-{node}"),
        "username": "fleet-upgrader",
        "password": { "file": "password" },
        "tls": { "ca": "ca.pem" },
    })
}

fn rollout(version: &FirmwareVersion, image: &str, sha256: &Sha256Hex, url: &str) -> String {
    format!(
        "# Written by `spsfleet simulate`.\n\
         version: 1\n\
         name: sim-{version}\n\
         firmware:\n  version: {version}\n  sha256: \"{sha256}\"\n  fetch: {url}\n  upload: {image}\n\
         message: \"spsfleet simulate\"\n\
         select: {{ all: true }}\n\
         limits: {{ transfers: 10, unavailable: 3 }}\n"
    )
}

fn introduce(context: &Context, folder: &Folder, count: usize) {
    let (printer, dir) = (context.printer, folder.path().display());
    let run =
        format!("spsfleet run --fleet {dir}/fleet.yaml --state {dir}/fleet.db {dir}/rollout.yaml");
    printer.say(&format!(
        "{} answer over HTTPS on this machine until Ctrl-C; the files are in {dir}\n\
         Try, in another terminal:\n  {}",
        words::count(count, "simulated appliance"),
        printer.talk.on(Style::Bold, &run)
    ));
}

/// What a person does at the machines: a file of an appliance's name in the folder of this word.
#[derive(Debug, Clone, Copy)]
enum Hand {
    Reboot,
    SecondaryOff,
    SecondaryOn,
}

impl Hand {
    const ALL: [Self; 3] = [Self::Reboot, Self::SecondaryOff, Self::SecondaryOn];

    fn word(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::SecondaryOff => "secondary-off",
            Self::SecondaryOn => "secondary-on",
        }
    }

    /// Does it to the appliances that have a file of their name here.
    fn act(self, folder: &Path, server: &SimServer) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let appliance = name.to_str().and_then(|name| server.fleet().appliance(name));
            let Some(appliance) = appliance else { continue };
            if fs::remove_file(entry.path()).is_ok() {
                match self {
                    Self::Reboot => appliance.reboot(),
                    Self::SecondaryOff => appliance.secondary_off(),
                    Self::SecondaryOn => appliance.secondary_on(),
                }
            }
        }
    }
}
