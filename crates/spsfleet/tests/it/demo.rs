//! `demo`, from an empty folder to its files.

use crate::support::World;

#[test]
fn the_demo_shows_a_rollout_with_two_failures() {
    let world = World::new();
    let done = world.run("demo --appliances 6 --dir shown --speed 2");
    assert_eq!(done.code, 4, "{}", done.err);
    let verdict = done.out.lines().last().expect("a verdict");
    assert!(
        verdict.starts_with("demo finished: 4 of 6 appliances on 7.5.1, 2 failed"),
        "{verdict}"
    );
    assert!(done.err.contains("will fail its firmware test"), "{}", done.err);
    assert!(done.err.contains("will come back on the old version"), "{}", done.err);
    for file in ["fleet.yaml", "rollout.yaml", "ca.pem", "demo.db"] {
        assert!(world.path("shown").join(file).exists(), "{file}");
    }
    let plan = world.run("plan --fleet shown/fleet.yaml shown/rollout.yaml");
    assert_eq!(plan.code, 0, "{}", plan.err);
    let states: Vec<_> = world.status("shown/demo.db")["rollouts"][0]["appliances"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|appliance| appliance["reason"]["code"].as_str().map(str::to_owned))
        .collect();
    let mut codes = states;
    codes.sort();
    assert_eq!(codes, ["reverted", "test-failed"]);

    let again = world.run("demo --dir shown");
    assert_eq!((again.code, again.out.as_str()), (2, ""));
    assert!(again.err.contains("is not empty"), "{}", again.err);
}
