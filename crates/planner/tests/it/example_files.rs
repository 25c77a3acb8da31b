//! The example files in the repository are good, and still are when what is commented out for
//! later comes in: then they are refused for that alone.

use crate::support::{draw, plan, read, warned, waves};

const FLEET: &str = include_str!("../../../../fleet.example.yaml");
const ROLLOUT: &str = include_str!("../../../../deploy/rollout.example.yaml");

#[test]
fn the_example_files_make_a_plan() {
    let plan = plan(FLEET, ROLLOUT);
    assert_eq!(waves(&plan), ["canary: berlin-1", "half: toronto-1", "rest: berlin-2"]);
    assert_eq!(warned(&plan), ["not-looked-at"]);
}

/// Takes the comment marks off the lines under a "Not yet" comment.
fn uncommented(text: &str) -> String {
    let mut not_yet = false;
    let mut whole = String::new();
    for line in text.lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim_start().strip_prefix("# ") {
            Some(rest) if rest.starts_with("Not yet:") => not_yet = true,
            Some(rest) if not_yet => whole += &format!("{indent}{rest}\n"),
            _ => {
                not_yet = false;
                whole += &format!("{line}\n");
            }
        }
    }
    whole
}

#[test]
fn what_is_commented_out_is_well_formed_and_not_in_yet() {
    let (fleet, rollout) = (uncommented(FLEET), uncommented(ROLLOUT));
    let rollout =
        rollout.replace("  labels: { env: prod }\n  except: { names: [toronto-2] }\n", "");
    let faults = read(&fleet, &rollout).expect_err("not in yet");
    assert!(faults.iter().all(|fault| fault.code == "not-yet"), "{}", draw(&faults));
    assert_eq!(faults.len(), 12, "{}", draw(&faults));
}
