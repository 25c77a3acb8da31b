//! `plan` with all its tools: forecast, `--simulate`, `--against`, `--observe`.

use serde_json::Value;

use crate::support::World;

const FLEET: &str = "\
version: 1
defaults: { login: { username: u, password: { env: NONE } }, tls: { system: true } }
sites:
  ams: { time_zone: Europe/Amsterdam, windows: [\"daily 22:00 - 05:00\"] }
  nyc: { time_zone: America/New_York }
clusters: { us: { parallel: 1 } }
appliances:
  - { name: ams-1, address: 192.0.2.1, site: ams, labels: { ring: canary } }
  - { name: ams-2, address: 192.0.2.2, site: ams }
  - { name: minion, address: 192.0.2.3, site: nyc, cluster: { name: us, roles: [search-minion, managed-host] } }
  - { name: manager, address: 192.0.2.4, site: nyc, cluster: { name: us, roles: [central-management, search-master] } }
  - { name: pair, address: 192.0.2.5, site: nyc, upgrade_call: arms, ha: { mode: attended } }
";

const ROLLOUT: &str = "\
version: 1
name: sps-7.5.1
firmware: { version: 7.5.1, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://repo.example/sps.iso\" }
message: CHG1
select: { all: true }
waves:
  - { name: canary, select: { labels: { ring: canary } }, soak: 30m, approval: required }
  - { name: rest }
limits: { unavailable: 2 }
";

fn world() -> World {
    let world = World::new();
    world.write("fleet.yaml", FLEET);
    world.write("rollout.yaml", ROLLOUT);
    world
}

fn json(world: &World, line: &str, code: i32) -> Value {
    let done = world.run(&format!("{line} --output json"));
    assert_eq!(done.code, code, "{line}: {}", done.err);
    serde_json::from_str(&done.out).expect("JSON")
}

const PLAN: &str = "plan --fleet fleet.yaml --no-files rollout.yaml";

#[test]
fn a_plan_says_when_and_what_a_person_does() {
    let world = world();
    let text = world.run(PLAN).out;
    for part in [
        "windows   ams: daily 22:00 - 05:00 (Europe/Amsterdam)",
        "windows   nyc: any time",
        "then: it is watched for 30m; a person lets the next wave start",
        "GOES DOWN (UTC)",
        "cluster us (2 appliances, 1 at once, without a pause)",
        "1  minion",
        "2  manager",
        "audit gap: 2h 26m (from the configured durations)",
        "pair pair: a person does the hardware steps; its upgrade call arms",
        "secondary-off      a person: shut down the other node",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:?}");
    let plan = json(&world, PLAN, 0);
    assert_eq!(plan["forecast"]["clusters"]["us"]["audit_gap"]["source"], "configured");
    assert!(plan["forecast"]["appliances"]["ams-1"]["start"].is_string());
}

#[test]
fn a_simulated_rollout_needs_nothing_and_ends_as_the_real_one_would() {
    let world = world();
    let good = json(&world, &format!("{PLAN} --simulate"), 0);
    let story = &good["simulation"];
    assert_eq!(story["ending"], "finished, every appliance is at the target");
    assert_eq!(story["wrong"], serde_json::json!([]));
    assert!(story["clusters"][0]["audit_gap_seconds"].as_i64().expect("a number") > 600);
    let done: Vec<&str> = story["person"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["text"].as_str().expect("text"))
        .collect();
    assert_eq!(
        done,
        [
            "approve: wave canary",
            "confirm: pair peer-has-firmware",
            "confirm: pair secondary-off",
            "confirm: pair reboot",
            "confirm: pair secondary-on",
            "confirm: pair pair-healthy",
        ]
    );
    world.write("faults.yaml", "behaviours: [{ appliance: minion, does: { revert: {} } }]");
    let bad = world.run(&format!("{PLAN} --simulate --faults faults.yaml --seed 7"));
    assert_eq!(bad.code, 3, "{}", bad.err);
    for part in [
        "simulated (seed 7)",
        "still open",
        "minion: failed in return (reverted)",
        "ALARM cluster-half-upgraded: CLUSTER us IS HALF UPGRADED",
        "simulated rollout: waits for a person (exit code 3)",
    ] {
        assert!(bad.out.contains(part), "{part}: {}", bad.out);
    }
    let wrong = world.run(&format!("{PLAN} --simulate --faults none.yaml"));
    assert_eq!(wrong.code, 2, "{}", wrong.err);
}

#[test]
fn the_same_seed_is_the_same_story() {
    let world = world();
    let story = |seed: u32| {
        let story = json(&world, &format!("{PLAN} --simulate --seed {seed}"), 0);
        let down = |of: &Value| of["down_seconds"].as_i64().expect("a number");
        story["simulation"]["appliances"].as_array().expect("a list").iter().map(down).sum::<i64>()
    };
    assert_eq!(story(3), story(3));
}

#[test]
fn what_changed_since_a_plan_was_accepted_is_shown() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let run = "run --yes --fleet sim/fleet.yaml --state fleet.db sim/rollout.yaml";
    assert_eq!(world.run(run).code, 0);
    let plan = "plan --fleet sim/fleet.yaml --state fleet.db --against sim-7.5.1 sim/rollout.yaml";
    let same = world.run(plan);
    assert_eq!(same.code, 0, "{}", same.err);
    assert!(same.out.contains("no difference from the accepted plan of sim-7.5.1"), "{}", same.out);
    assert!(same.out.contains("history"), "what was seen tells how long it takes: {}", same.out);

    let rollout = world.read("sim/rollout.yaml");
    world.write("sim/rollout.yaml", &rollout.replace("{ all: true }", "{ sites: [ams] }"));
    let changed = json(&world, plan, 0);
    let against = &changed["against"];
    assert_eq!(against["same"], false);
    assert_eq!(against["removed"], serde_json::json!([{ "name": "nyc-1", "wave": "all" }]));
    let text = world.run(plan).out;
    assert!(text.contains("removed 1 appliance: nyc-1"), "{text}");
    let alone = world.run("plan --fleet sim/fleet.yaml --against sim-7.5.1 sim/rollout.yaml");
    assert_eq!(alone.code, 2, "--against needs --state");
}

#[test]
fn observing_reads_and_changes_nothing() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    let observed =
        json(&world, "plan --fleet sim/fleet.yaml --observe sim/rollout.yaml", 0)["observed"]
            .clone();
    let seen = &observed["appliances"]["ams-1"];
    assert_eq!((&seen["version"], &seen["faults"]), (&"7.5.0".into(), &serde_json::json!([])));
    assert!(seen["health"]["sessions"].is_u64(), "{seen}");
    assert!(observed["images"][0]["size"].as_u64().is_some_and(|size| size > 1_000_000));
    let text = world.run("plan --fleet sim/fleet.yaml --observe sim/rollout.yaml").out;
    assert!(text.contains("3 on 7.5.0, ") && text.contains("4 free"), "{text}");
    let changes = world.read("sim/ledger.jsonl");
    for call in ["/firmware/fetch", "/firmware/test", "/firmware/upgrade", "/upload"] {
        assert!(!changes.contains(&format!("POST /api{call}")), "{call}");
    }
}
