//! `run` against the simulator: ends, continuing, changed files, signals.

use rustix::process::Signal;

use crate::support::{World, settings, steady};

const RUN: &str = "run --yes --fleet sim/fleet.yaml --state fleet.db sim/rollout.yaml";

#[test]
fn a_rollout_runs_to_its_end_and_is_repeated_without_acting() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let done = world.run(RUN);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.ends_with('\n'));
    let verdict = done.out.lines().last().expect("a verdict");
    assert!(
        verdict.starts_with("sim-7.5.1 succeeded: 3 of 3 appliances on 7.5.1 in "),
        "{verdict}"
    );

    let status = world.status("fleet.db");
    assert_eq!(status["schema"], 1);
    let rollout = &status["rollouts"][0];
    assert_eq!((&rollout["name"], &rollout["state"]), (&"sim-7.5.1".into(), &"succeeded".into()));
    for appliance in rollout["appliances"].as_array().expect("a list") {
        assert_eq!(appliance["version"], "7.5.1");
        assert_eq!(appliance["state"], "succeeded");
        assert_eq!(appliance["reason"], serde_json::Value::Null);
    }

    let before = world.run("events --state fleet.db --output json").out;
    let again = world.run(RUN);
    assert_eq!((again.code, &again.out), (0, &done.out));
    assert_eq!(world.run("events --state fleet.db --output json").out, before, "nothing was done");
    for line in before.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(event["schema"], 1);
    }

    let rollout = world.read("sim/rollout.yaml");
    world.write("sim/rollout.yaml", &rollout.replace("unavailable: 3", "unavailable: 2"));
    let changed = world.run(RUN);
    assert_eq!((changed.code, changed.out.as_str()), (2, ""));
    assert!(changed.err.contains("limits.unavailable: 3 -> 2"), "{}", changed.err);

    let leaks = [world.read("started.log"), done.err, done.out, before];
    let password = world.read("sim/password");
    assert!(leaks.iter().all(|text| !text.contains(&password)), "no password is told");
    let database = std::fs::read(world.path("fleet.db")).expect("read");
    let found = database.windows(password.len()).any(|bytes| bytes == password.as_bytes());
    assert!(!found, "no password is kept");
    assert!(!world.path("fleet.db.sock").exists(), "the socket is gone");
}

#[test]
fn a_failure_pauses_and_a_person_decides() {
    let world = World::new();
    let faults = "behaviours: [{ appliance: ams-2, does: { test_fails: { summary: 'no room', times: 1 } } }]";
    let _sim = world.simulate(faults);
    one_at_a_time(&world);
    let done = world.run(RUN);
    assert_eq!(done.code, 3, "{}", done.err);
    assert!(done.err.contains("failure budget of 1 failure reached"), "{}", done.err);
    assert!(done.err.contains("spsfleet resume sim-7.5.1 --state fleet.db"), "{}", done.err);
    let text = world.run("status --state fleet.db").out;
    assert!(text.starts_with("sim-7.5.1 to 7.5.1: paused\n"), "{text}");
    assert!(text.contains("ams-2 (test-failed)"), "{text}");

    assert_eq!(world.run(RUN).code, 3, "running again does not lift a pause");
    let resumed = world.run_words(&[
        "resume",
        "sim-7.5.1",
        "--state",
        "fleet.db",
        "--reason",
        "looked into it",
    ]);
    assert_eq!((resumed.code, resumed.out.as_str()), (0, ""), "{}", resumed.err);
    let done = world.run(RUN);
    assert_eq!(done.code, 4, "one has failed: {}", done.err);
    let events = world.run("events sim-7.5.1 --state fleet.db").out;
    assert!(events.contains("(looked into it)"), "{events}");

    let retried = world.run("retry sim-7.5.1 --failed --state fleet.db");
    assert_eq!(retried.code, 0, "{}", retried.err);
    let done = world.run(RUN);
    assert_eq!(done.code, 0, "the test passes the second time: {}", done.err);
}

#[test]
fn ctrl_c_stops_safely_and_the_next_run_goes_on() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let sim_log = world.read("started.log");
    let running = world.start(RUN);
    world.wait_for("the first appliance to go down", || {
        world.read("started.log").contains("goes down")
    });
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(130), "{}", world.read("started.log"));
    assert!(world.read("started.log").contains("stopping"), "{sim_log}");
    let done = world.run(RUN);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.err.contains("going on"), "{}", done.err);
    assert_eq!(upgrade_calls(&world), [("ams-1", 1), ("ams-2", 1), ("nyc-1", 1)]);
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    one_at_a_time(&world);
    let running = world.start(RUN);
    // Between the intent and the call, nobody could tell for a quarter of an hour what came of it.
    world.wait_for("the first restart", || world.read("started.log").contains("restarts"));
    running.signal(Signal::KILL);
    drop(running);
    let done = world.run(RUN);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(upgrade_calls(&world), [("ams-1", 1), ("ams-2", 1), ("nyc-1", 1)]);
}

#[test]
fn only_one_process_writes_a_database() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let first = world.start(RUN);
    world.wait_for("the rollout", || world.path("fleet.db.sock").exists());
    let second = world.run(RUN);
    assert_eq!((second.code, second.out.as_str()), (1, ""));
    assert!(second.err.contains("in use by `run`"), "{}", second.err);
    assert_eq!(world.status("fleet.db")["rollouts"][0]["name"], "sim-7.5.1", "reading goes on");
    assert_eq!(first.wait().code(), Some(0), "{}", world.read("started.log"));
}

#[test]
fn an_appliance_is_in_one_unfinished_rollout_only() {
    let world = World::new();
    let faults = "behaviours: [{ appliance: ams-2, does: { test_fails: { summary: 'no room' } } }]";
    let _sim = world.simulate(faults);
    one_at_a_time(&world);
    assert_eq!(world.run(RUN).code, 3);
    let rollout = world.read("sim/rollout.yaml");
    world.write("sim/other.yaml", &rollout.replace("name: sim-7.5.1", "name: other"));
    let refused = world.run("run --yes --fleet sim/fleet.yaml --state fleet.db sim/other.yaml");
    assert_eq!((refused.code, refused.out.as_str()), (2, ""));
    assert!(
        refused.err.contains("rollout sim-7.5.1 is not finished and has ams-1"),
        "{}",
        refused.err
    );
}

#[test]
fn a_replanned_rollout_takes_the_change_over() {
    let world = World::new();
    let faults = "behaviours: [{ appliance: ams-2, does: { test_fails: { summary: 'no room' } } }]";
    let _sim = world.simulate(faults);
    one_at_a_time(&world);
    assert_eq!(world.run(RUN).code, 3);
    let rollout = world.read("sim/rollout.yaml");
    let patient = format!("{rollout}failure_budget: {{ count: 5 }}\n");
    world.write("sim/rollout.yaml", &patient);
    assert_eq!(world.run(RUN).code, 2);
    let done = world.run(&format!("{RUN} --replan"));
    assert_eq!(done.code, 3, "the reached budget is a person's to lift: {}", done.err);
    assert_eq!(world.run("resume sim-7.5.1 --state fleet.db").code, 0);
    assert_eq!(world.run(RUN).code, 4);
}

#[test]
fn the_report_reads_well() {
    let world = World::new();
    let faults = "behaviours: [{ appliance: nyc-1, does: { revert: {} } }]";
    let _sim = world.simulate(faults);
    let done = world.run(RUN);
    assert_eq!(done.code, 3, "{}", done.err);
    let mut settings = settings();
    settings.add_filter(r"\b\d+(\.\d)?s *", "[T] ");
    settings.add_filter(r"decided: [\s\S]*?\nhealth", "decided: [WHO]\nhealth");
    settings.bind(|| insta::assert_snapshot!(steady(&world, &done.out)));
}

/// So that some are still waiting when the first has failed.
fn one_at_a_time(world: &World) {
    let rollout = world.read("sim/rollout.yaml");
    world.write("sim/rollout.yaml", &rollout.replace("unavailable: 3", "unavailable: 1"));
}

/// How many upgrade calls each appliance has seen.
fn upgrade_calls(world: &World) -> Vec<(&'static str, usize)> {
    let ledger = world.read("sim/ledger.jsonl");
    let calls = |name: &'static str| {
        let of = format!("\"appliance\":\"{name}\"");
        let seen = ledger.lines().filter(|line| line.contains(&of));
        (name, seen.filter(|line| line.contains("\"path\":\"/api/firmware/upgrade\"")).count())
    };
    ["ams-1", "ams-2", "nyc-1"].map(calls).to_vec()
}
