//! Approvals, freezes, `--now`, and `explain`: from the file and beside a running rollout.

use serde_json::Value;

use crate::support::World;

const RUN: &str = "run --yes --fleet sim/fleet.yaml --state fleet.db sim/rollout.yaml";

/// Two waves; a person lets the second one start.
fn two_waves(world: &World) {
    let rollout = world.read("sim/rollout.yaml");
    let waves = "waves:\n  - { name: canary, select: { labels: { ring: canary } }, approval: required }\n  - { name: rest }\n";
    world.write("sim/rollout.yaml", &format!("{rollout}{waves}"));
}

fn explained(world: &World, name: &str) -> Value {
    let done = world.run(&format!("explain sim-7.5.1 {name} --state fleet.db --output json"));
    assert_eq!(done.code, 0, "{}", done.err);
    serde_json::from_str(&done.out).expect("JSON")
}

#[test]
fn the_next_wave_waits_for_an_approval_and_the_report_shows_who_gave_it() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    two_waves(&world);
    let held = world.run(RUN);
    assert_eq!(held.code, 3, "{}", held.err);
    assert!(
        held.err.contains("spsfleet approve sim-7.5.1 canary --state fleet.db"),
        "{}",
        held.err
    );
    let status = world.status("fleet.db");
    let rollout = &status["rollouts"][0];
    assert_eq!(rollout["waves"][0]["state"], "awaiting-approval");
    assert_eq!(rollout["waves"][0]["reason"]["code"], "approval-required");
    assert_eq!(rollout["at_work"], false);
    let shown = world.run("status --state fleet.db").out;
    assert!(shown.contains("no `spsfleet run` is at work"), "{shown}");

    let waits = explained(&world, "nyc-1");
    assert_eq!(waits["reason"]["code"], "approval-required", "{waits}");
    assert_eq!(waits["reason"]["needs_person"], true);
    assert_eq!(waits["next"][0]["step"], "leave");
    let text = world.run("explain sim-7.5.1 nyc-1 --state fleet.db").out;
    for part in [
        "nyc-1 in sim-7.5.1: ready since",
        "waits (approval-required)",
        "may change: when a person decides",
        "what you can type",
        "spsfleet approve sim-7.5.1 canary",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let wrong = world.run("approve sim-7.5.1 rest --state fleet.db");
    assert_eq!(wrong.code, 1, "{}", wrong.err);
    assert!(wrong.err.contains("asks for no approval"), "{}", wrong.err);
    let approved = world.run_words(&[
        "approve",
        "sim-7.5.1",
        "canary",
        "--state",
        "fleet.db",
        "--reason",
        "fine",
    ]);
    assert_eq!((approved.code, approved.out.as_str()), (0, ""), "{}", approved.err);
    let again = world.run("approve sim-7.5.1 canary --state fleet.db");
    assert_eq!(again.code, 1);
    assert!(again.err.contains("was approved by"), "{}", again.err);

    let done = world.run(RUN);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains(": wave canary (fine)"), "{}", done.out);
    let rollout = &world.status("fleet.db")["rollouts"][0];
    assert_eq!(rollout["approvals"][0]["reason"], "fine");
    assert_eq!(rollout["at_work"], Value::Null, "it has ended");
    let over = explained(&world, "nyc-1");
    assert_eq!((&over["appliance"]["state"], &over["reason"]), (&"succeeded".into(), &Value::Null));
    assert_eq!(over["next"], serde_json::json!([]));
}

#[test]
fn a_freeze_holds_and_an_override_lifts_it() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    world.write("sim/fleet.yaml", &frozen_site(&world.read("sim/fleet.yaml")));
    let frozen = world.run(&format!("{RUN} --no-wait"));
    assert_eq!(frozen.code, 4, "only time is waited for: {}", frozen.err);
    let waits = explained(&world, "ams-1");
    assert_eq!(waits["reason"]["code"], "frozen", "{waits}");

    let lift = |site: &str, until: &str, reason: &str| {
        world.run_words(&[
            "freeze", "override", site, "--until", until, "--reason", reason, "--state", "fleet.db",
        ])
    };
    for (site, until, reason, text) in [
        ("ams", "2021-01-01T00:00", "now", "is over; an override ends in the future"),
        ("ams", "soon", "now", "not a time"),
        ("ams", "2098-01-01T00:00:00Z", " ", "must say why"),
        ("nyc", "2098-01-01T00:00:00Z", "now", "sites with freezes: ams"),
    ] {
        let refused = lift(site, until, reason);
        assert_eq!(refused.code, 2, "{site} {until}: {}", refused.err);
        assert!(refused.err.contains(text), "{site} {until}: {}", refused.err);
    }
    let lifted = lift("ams", "2098-01-01T01:00", "agreed");
    assert_eq!((lifted.code, lifted.out.as_str()), (0, ""), "{}", lifted.err);
    assert!(
        lifted.err.contains(
            "until 2098-01-01T00:00:00Z (2098-01-01 01:00 Europe/Amsterdam) for sim-7.5.1"
        ),
        "{}",
        lifted.err
    );
    let done = world.run(RUN);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("freeze override by"), "{}", done.out);
}

/// Freezes the first site of an inventory as `simulate` writes it.
fn frozen_site(fleet: &str) -> String {
    let calendar = "  ams:\n    time_zone: Europe/Amsterdam\n    freezes:\n      - { from: 2020-01-01, to: 2099-12-31, reason: audit }\n";
    let mut lines = Vec::new();
    let mut taken = false;
    for line in fleet.lines() {
        if !taken && line.trim_start().starts_with("ams:") {
            lines.push(calendar.trim_end());
            taken = true;
        } else {
            lines.push(line);
        }
    }
    assert!(taken, "{fleet}");
    lines.join("\n") + "\n"
}

#[test]
fn now_warns_of_clusters_and_is_in_the_journal() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    two_waves(&world);
    assert_eq!(world.run(RUN).code, 3);
    for (line, shown) in [
        ("pause sim-7.5.1 --now --all --state fleet.db", "pause by "),
        ("abort sim-7.5.1 --now --state fleet.db", "abort by "),
    ] {
        let done = world.run(line);
        assert_eq!(done.code, 0, "{line}: {}", done.err);
        let events = world.run("events sim-7.5.1 --state fleet.db").out;
        let told = events.lines().find(|line| line.contains(shown)).expect("it is told");
        assert!(told.contains("inside clusters, too"), "{told}");
    }
    assert_eq!(world.status("fleet.db")["rollouts"][0]["state"], "aborted");
}

#[test]
fn a_step_that_nobody_waits_for_cannot_be_confirmed() {
    let world = World::new();
    let _sim = world.simulate("faults: []");
    two_waves(&world);
    assert_eq!(world.run(RUN).code, 3);
    let none = world.run("confirm sim-7.5.1 ams-2 secondary-off --state fleet.db");
    assert_eq!(none.code, 1, "{}", none.err);
    assert!(none.err.contains("is no HA pair"), "{}", none.err);
    let wrong = world.run("confirm sim-7.5.1 ams-2 power-off --state fleet.db");
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("secondary-off"), "it names the steps: {}", wrong.err);
    let missing = world.run("explain sim-7.5.1 ams-9 --state fleet.db");
    assert_eq!(missing.code, 2, "{}", missing.err);
    assert!(missing.err.contains("ams-9 is not in rollout sim-7.5.1"), "{}", missing.err);
}
