//! A disk that fills up under a rollout, and a lock whose process is killed.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use crate::support::World;

/// A small file system of its own, gone after the test.
struct Disk(PathBuf);

impl Disk {
    /// `None`, with a loud note past the test harness, where mounting is not permitted.
    fn small(world: &World, kibibytes: u32) -> Option<Self> {
        let at = world.path("disk");
        fs::create_dir(&at).expect("made");
        let size = CString::new(format!("size={kibibytes}k")).expect("text");
        match mount("spsfleet-test", &at, "tmpfs", MountFlags::empty(), size.as_c_str()) {
            Ok(()) => Some(Self(at)),
            Err(error) => {
                let note =
                    format!("\n!!!! SKIPPED: mounting is not permitted here ({error}) !!!!\n");
                std::io::stderr().write_all(note.as_bytes()).expect("said");
                None
            }
        }
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.0.join("ballast")).expect("made");
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).expect("unmounted");
    }
}

/// What the appliances saw: lines of the ledger that hold all these words.
fn seen(world: &World, words: &[&str]) -> usize {
    let ledger = world.read("sim/ledger.jsonl");
    ledger.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

const UPGRADE: [&str; 2] = ["\"/api/firmware/upgrade\"", "\"changed\":true"];
const BACK: [&str; 1] = ["\"up\":{"];

#[test]
fn a_disk_that_fills_up_stops_new_disruption_and_loses_nothing() {
    let world = World::new();
    let Some(disk) = Disk::small(&world, 8 * 1024) else { return };
    let _sim = world.simulate("faults: []");
    let rollout = world.read("sim/rollout.yaml");
    world.write("sim/rollout.yaml", &rollout.replace("unavailable: 3", "unavailable: 1"));
    let run = "run --yes --fleet sim/fleet.yaml --state disk/fleet.db sim/rollout.yaml";
    let running = world.start(run);
    world.wait_for("the first restart", || world.read("started.log").contains("restarts"));
    disk.fill();
    world.wait_for("a word on it", || {
        world.read("started.log").contains("the journal cannot be written")
    });
    world.wait_for("the one that is down", || seen(&world, &BACK) == 1);
    let said = world.read("started.log");
    let line = said.lines().find(|line| line.contains("the journal cannot be written"));
    assert!(line.is_some_and(|line| line.starts_with("error: ")), "said as talk: {said}");
    // A decision would be lost, so it is not taken.
    let pause = world.run("pause sim-7.5.1 --state disk/fleet.db");
    assert_ne!(pause.code, 0, "{}", pause.err);
    // It is back and watched; as long as nothing can be written, nobody else goes down.
    let looks = std::cell::Cell::new(0);
    world.wait_for("some seconds", || {
        assert_eq!(seen(&world, &UPGRADE), 1);
        looks.set(looks.get() + 1);
        looks.get() > 200
    });

    disk.free();
    assert_eq!(running.wait().code(), Some(0), "{}", world.read("started.log"));
    assert_eq!(seen(&world, &UPGRADE), 3);
    let check = world.run("db check --state disk/fleet.db");
    assert_eq!(check.code, 0, "{}", check.out);
    let status = world.status("disk/fleet.db");
    for appliance in status["rollouts"][0]["appliances"].as_array().expect("appliances") {
        assert_eq!(appliance["state"], "succeeded", "{appliance}");
    }
    drop(disk);
}

#[test]
fn a_lock_names_its_process_and_ends_with_it() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let run = "run --yes --fleet sim/fleet.yaml --state fleet.db sim/rollout.yaml";
    for _ in 0..3 {
        let running = world.start(run);
        world.wait_for("the rollout", || world.path("fleet.db.sock").exists());
        let second = world.run(run);
        assert_eq!((second.code, second.out.as_str()), (1, ""));
        let named = format!("in use by `run`, process {} on ", running.id());
        assert!(second.err.contains(&named), "{} in {}", named, second.err);
        assert!(second.err.contains(", since 20"), "{}", second.err);
        running.signal(Signal::KILL);
        drop(running);
        // Free at once: a decision is written down without asking anybody.
        for decision in ["pause", "resume"] {
            let done = world.run(&format!("{decision} sim-7.5.1 --state fleet.db"));
            assert_eq!(done.code, 0, "{}", done.err);
            assert!(done.err.contains("written down"), "{}", done.err);
        }
        drop(fs::remove_file(world.path("fleet.db.sock")));
    }
    let done = world.run(run);
    assert!([0, 3].contains(&done.code), "{}", done.err);
}
