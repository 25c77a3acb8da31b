//! The example files in the repository are good, and so is what is commented out in them.

use crate::support::{change, plan, warned, waves};

const FLEET: &str = include_str!("../../../../fleet.example.yaml");
const ROLLOUT: &str = include_str!("../../../../deploy/rollout.example.yaml");

#[test]
fn the_example_files_make_a_plan() {
    let plan = plan(FLEET, ROLLOUT);
    assert_eq!(
        waves(&plan),
        [
            "canary: berlin-1",
            "half: berlin-2 toronto-1 toronto-minion toronto-manager",
            "rest: berlin-pair toronto-pair"
        ]
    );
    assert_eq!(warned(&plan), ["not-looked-at"]);
    assert_eq!((plan.clusters.len(), plan.calendars.len(), plan.hooks.len()), (1, 2, 2));
}

#[test]
fn versions_to_go_through_are_well_formed() {
    let plan = plan(FLEET, &change(ROLLOUT, "  # via:", "  via:"));
    let hops: Vec<String> = plan.hops().map(|hop| hop.version.to_string()).collect();
    assert_eq!(hops, ["7.0.5", "7.5.1"]);
}
