//! A folder, the binary, and a simulator that answers for as long as a test lasts.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a program did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder to work in. Commands run there, so that messages name short paths.
pub(crate) struct World {
    dir: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("read")
    }

    fn command(&self) -> Command {
        let mut command = assert_cmd::cargo::cargo_bin_cmd!("spsfleet");
        command.current_dir(self.dir.path()).env_clear().envs(ENVIRONMENT);
        command.timeout(Duration::from_secs(120));
        command
    }

    /// Runs a command line, split at spaces.
    pub(crate) fn run(&self, line: &str) -> Done {
        self.run_words(&line.split(' ').collect::<Vec<_>>())
    }

    pub(crate) fn run_words(&self, words: &[&str]) -> Done {
        let output = self.command().args(words).output().expect("it runs");
        Done {
            code: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs a command line whose output nobody reads.
    #[expect(clippy::disallowed_methods, reason = "its output is closed before it is written")]
    pub(crate) fn run_unread(&self, line: &str) -> Option<i32> {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("spsfleet"))
            .args(line.split(' '))
            .current_dir(self.dir.path())
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        child.wait().expect("it ends").code()
    }

    /// Starts a command line that goes on by itself.
    #[expect(clippy::disallowed_methods, reason = "a process that is signalled while it runs")]
    pub(crate) fn start(&self, line: &str) -> Running {
        let log = std::fs::File::create(self.path("started.log")).expect("a file");
        let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("spsfleet"))
            .args(line.split(' '))
            .current_dir(self.dir.path())
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("it starts");
        Running(child)
    }

    /// Serves an inventory of three appliances; `faults` as YAML.
    pub(crate) fn simulate(&self, faults: &str) -> Running {
        self.write("inventory.yaml", INVENTORY);
        self.write("faults.yaml", faults);
        let running = self
            .start("simulate --fleet inventory.yaml --dir sim --faults faults.yaml --speed 100");
        self.wait_for("the simulator", || self.path("sim/rollout.yaml").exists());
        running
    }

    /// Waits for a condition, for half a minute at most.
    pub(crate) fn wait_for(&self, what: &str, ready: impl Fn() -> bool) {
        for _ in 0..1_500 {
            if ready() {
                return;
            }
            pause();
        }
        panic!("waited in vain for {what}: {}", self.read("started.log"));
    }

    /// What `status` says, as JSON.
    pub(crate) fn status(&self, database: &str) -> serde_json::Value {
        let done = self.run(&format!("status --state {database} --output json"));
        assert_eq!(done.code, 0, "{}", done.err);
        serde_json::from_str(&done.out).expect("JSON")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// A moment between two looks at a process.
#[expect(clippy::disallowed_methods, reason = "another process is looked at in real time")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/bin:/bin"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];

const INVENTORY: &str = "\
version: 1
defaults: { login: { username: u, password: { env: NONE } } }
sites: { ams: {}, nyc: {} }
appliances:
  - { name: ams-1, address: 192.0.2.1, site: ams, labels: { ring: canary } }
  - { name: ams-2, address: 192.0.2.2, site: ams }
  - { name: nyc-1, address: 192.0.2.3, site: nyc }
";

/// A process that is ended with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        kill_process(Pid::from_raw(pid).expect("a pid"), signal).expect("signalled");
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its end, which must come within two minutes.
    pub(crate) fn wait(mut self) -> ExitStatus {
        for _ in 0..6_000 {
            if let Some(status) = self.0.try_wait().expect("it is ours") {
                return status;
            }
            pause();
        }
        panic!("it does not end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Replaces what differs from run to run.
pub(crate) fn steady(world: &World, text: &str) -> String {
    let dir = world.dir().display().to_string();
    text.replace(&dir, "[DIR]")
}

/// Filters for snapshots: times, durations, sums, ports.
pub(crate) fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[TIME]");
    settings.add_filter(r"(?m)^\d\d:\d\d:\d\d  ", "[CLOCK]  ");
    settings.add_filter(r"[A-Z][a-z]{2} [ \d]\d [A-Z][a-z]{2} \d\d:\d\d", "[WHEN]");
    settings.add_filter(r"[0-9a-f]{64}", "[SUM]");
    settings.add_filter(r"127\.\d+\.\d+\.\d+:\d+", "[ADDRESS]");
    settings
}
