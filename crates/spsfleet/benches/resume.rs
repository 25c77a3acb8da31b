//! How long a restart takes with 10,000 appliances in flight: from opening the database to the
//! first look at an appliance, and what memory that costs.
//!
//! `cargo bench -p spsfleet --bench resume` makes the database in one process and takes it up in
//! another, since the most memory that a process had is known for its whole life only. It fails
//! when the first look comes later than two seconds or the memory reaches 300 MB.

#[path = "../../state/tests/it/sample.rs"]
#[expect(dead_code, reason = "shared with the journal's tests, which use all of it")]
mod sample;

use std::path::Path;
use std::process::{Command as Program, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use executor::{Executor, Options, Ports};
use futures::future::BoxFuture;
use model::RolloutId;
use model::digest::Sha256Hex;
use model::event::{ApplianceChange, Change, Draft};
use model::fleet::{self, Redfish};
use model::names::{ApplianceName, FetchKey, SlotKey};
use model::observed::{
    ClusterNode, FetchJob, Health, Info, Offered, SetupStatus, Slot, TestReport, Uploaded,
};
use model::ports::{
    Answer, Appliance, Clock, Command, CommandError, CommandOutput, CommandRunner, Connector,
    Journal, LoginGate, PowerConnector, PowerSwitch, ProcessId, Throttle,
};
use model::random::Random;
use model::rollout::Image;
use sample::{accepted, at, holder, journey, plan};
use sim::TokioClock;
use state::{OpenOptions, SqliteJournal};
use tokio::sync::Notify;

const APPLIANCES: usize = 10_000;
const LOOK_WITHIN: Duration = Duration::from_secs(2);
const MEMORY_BELOW: u64 = 300_000_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "make", path] => runtime().block_on(make(Path::new(path))),
        [_, "resume", path] => runtime().block_on(resume(Path::new(path))),
        _ => both(),
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As the program's own.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

#[expect(clippy::disallowed_methods, reason = "each half is measured in a process of its own")]
fn both() -> bool {
    // Beside the sources, so that it is on a real disk.
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
    let path = dir.path().join("fleet.db");
    let own = std::env::current_exe().expect("this program");
    ["make", "resume", "resume", "resume"].iter().all(|half| {
        let mut program = Program::new(&own);
        program.arg(half).arg(&path).stdin(Stdio::null());
        program.status().expect("started").success()
    })
}

#[expect(clippy::print_stdout, reason = "figures are for people")]
fn say(text: &str) {
    println!("{text}");
}

fn id() -> RolloutId {
    RolloutId::new("018f2a10-0000-7000-8000-00000000be9c")
}

fn names() -> Vec<String> {
    (0..APPLIANCES).map(|number| format!("sps-{number:05}")).collect()
}

/// A rollout in which every appliance was told to upgrade and has not come back.
async fn make(path: &Path) -> bool {
    let journal = SqliteJournal::open(path, OpenOptions::or_create(holder())).await.expect("made");
    let names = names();
    let mut plan = plan("bench", &names.iter().map(String::as_str).collect::<Vec<_>>());
    let limits = &mut Arc::make_mut(&mut plan).limits;
    limits.unavailable = u32::try_from(APPLIANCES).expect("small");
    limits.requests_per_second = 1_000_000;
    journal.append(&[accepted(&id(), &plan, at(0))]).await.expect("begun");
    let mut events = 1;
    for hundred in names.chunks(100) {
        let batch: Vec<Draft> = hundred.iter().flat_map(|name| in_flight(name)).collect();
        events += batch.len();
        journal.append(&batch).await.expect("written");
    }
    journal.close().await;
    let size = std::fs::metadata(path).expect("there").len();
    say(&format!(
        "{APPLIANCES} appliances in flight: {events} events, {} MB on disk",
        size / 1_000_000
    ));
    true
}

/// The way of one appliance up to the answer to its upgrade call.
fn in_flight(name: &str) -> Vec<Draft> {
    let back = |draft: &Draft| {
        matches!(draft.change, Change::Appliance(_, ApplianceChange::RestartSeen { .. }))
    };
    journey(&id(), name, 10).into_iter().take_while(|draft| !back(draft)).collect()
}

async fn resume(path: &Path) -> bool {
    let clock = Arc::new(TokioClock::real());
    let began = clock.monotonic();
    let opening = SqliteJournal::open(path, OpenOptions::existing(holder())).await;
    let journal = Arc::new(opening.expect("opened"));
    let opened = clock.monotonic();
    let looks = Arc::new(Looks::default());
    let ports = Ports {
        journal: Arc::clone(&journal) as Arc<dyn Journal>,
        connector: Arc::new(Silence(Arc::clone(&looks))),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        commands: Arc::new(NoPrograms),
        power: Arc::new(NoPower),
        bundles: None,
        random: Arc::new(Random::seeded(1)),
    };
    let executor = Executor::load(ports, &id(), Options::default()).await.expect("folded");
    let folded = clock.monotonic();
    let mut running = tokio::task::JoinSet::new();
    running.spawn(executor.run());
    looks.first.notified().await;
    let first = clock.monotonic();
    looks.last.notified().await;
    let last = clock.monotonic();
    running.abort_all();
    let memory = memory_high();
    let seconds = |to: Duration, from: Duration| format!("{:.2} s", (to - from).as_secs_f64());
    say(&format!(
        "opened in {}, folded in {}, first look after {}, all {APPLIANCES} after {}, {} MB",
        seconds(opened, began),
        seconds(folded, opened),
        seconds(first, began),
        seconds(last, began),
        memory / 1_000_000
    ));
    let good = first - began < LOOK_WITHIN && memory < MEMORY_BELOW;
    if !good {
        say(&format!(
            "TOO MUCH: the first look within {LOOK_WITHIN:?}, less than {} MB",
            MEMORY_BELOW / 1_000_000
        ));
    }
    good
}

/// The most memory that this process has had resident, in bytes.
fn memory_high() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

/// What the appliances saw.
#[derive(Default)]
struct Looks {
    count: AtomicUsize,
    first: Notify,
    last: Notify,
}

/// Makes appliances that are looked at and say nothing.
struct Silence(Arc<Looks>);

impl Connector for Silence {
    fn connect(
        &self,
        _: &fleet::Appliance,
        throttle: Arc<dyn Throttle>,
        _: Arc<dyn LoginGate>,
    ) -> Arc<dyn Appliance> {
        Arc::new(Silent { looks: Arc::clone(&self.0), throttle })
    }
}

struct Silent {
    looks: Arc<Looks>,
    throttle: Arc<dyn Throttle>,
}

impl Silent {
    fn asked<T: Send + 'static>(&self) -> Answer<'_, T> {
        Box::pin(async {
            self.throttle.pass().await;
            match self.looks.count.fetch_add(1, Ordering::Relaxed) + 1 {
                1 => self.looks.first.notify_one(),
                APPLIANCES => self.looks.last.notify_one(),
                _ => {}
            }
            std::future::pending().await
        })
    }
}

impl Appliance for Silent {
    fn setup(&self) -> Answer<'_, SetupStatus> {
        self.asked()
    }
    fn info(&self) -> Answer<'_, Info> {
        self.asked()
    }
    fn offered(&self) -> Answer<'_, Offered> {
        self.asked()
    }
    fn slots(&self) -> Answer<'_, Vec<Slot>> {
        self.asked()
    }
    fn slot<'a>(&'a self, _: &'a SlotKey) -> Answer<'a, Slot> {
        self.asked()
    }
    fn delete_slot<'a>(&'a self, _: &'a SlotKey) -> Answer<'a, ()> {
        self.asked()
    }
    fn start_fetch<'a>(&'a self, _: &'a str, _: &'a Sha256Hex) -> Answer<'a, FetchKey> {
        self.asked()
    }
    fn fetch_jobs(&self) -> Answer<'_, Vec<FetchJob>> {
        self.asked()
    }
    fn fetch_job<'a>(&'a self, _: &'a FetchKey) -> Answer<'a, Option<FetchJob>> {
        self.asked()
    }
    fn delete_fetch<'a>(&'a self, _: &'a FetchKey) -> Answer<'a, ()> {
        self.asked()
    }
    fn upload<'a>(
        &'a self,
        _: &'a Image,
        _: Duration,
        _: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Answer<'a, Uploaded> {
        self.asked()
    }
    fn test<'a>(&'a self, _: &'a SlotKey, _: Duration) -> Answer<'a, TestReport> {
        self.asked()
    }
    fn upgrade<'a>(&'a self, _: &'a SlotKey, _: &'a str, _: Duration) -> Answer<'a, TestReport> {
        self.asked()
    }
    fn health(&self) -> Answer<'_, Health> {
        self.asked()
    }
    fn cluster_status(&self) -> Answer<'_, Vec<ClusterNode>> {
        self.asked()
    }
    fn start_bundle(&self) -> Answer<'_, String> {
        self.asked()
    }
    fn bundle_is_ready<'a>(&'a self, _: &'a str) -> Answer<'a, bool> {
        self.asked()
    }
    fn download_bundle<'a>(&'a self, _: &'a str, _: &'a Path, _: u64) -> Answer<'a, u64> {
        self.asked()
    }
    fn delete_bundle<'a>(&'a self, _: &'a str) -> Answer<'a, ()> {
        self.asked()
    }
    fn leaf(&self) -> Option<Sha256Hex> {
        None
    }
}

/// No appliance of the bench is a pair or reboots through its hardware.
struct NoPower;

impl PowerConnector for NoPower {
    fn connect(&self, _: &Redfish, appliance: &ApplianceName) -> Arc<dyn PowerSwitch> {
        panic!("nobody asked for the power of {appliance}")
    }
}

/// Nothing is run here.
struct NoPrograms;

impl CommandRunner for NoPrograms {
    fn run<'a>(
        &'a self,
        _: &'a Command,
        _: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        Box::pin(std::future::pending())
    }

    fn await_leftover(&self, _: ProcessId, _: Duration) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(false))
    }
}
