//! Stories: planner and executor together, from YAML to what became of each appliance, in virtual
//! time. One file a story (`tests/stories/NAME.story`, its language: [`language`]), and beside it
//! what it tells (`NAME.out`). `UPDATE_STORIES=1` writes the latter anew; `STORY=NAME` plays only
//! those whose names begin so.

mod language;
mod limits;
mod props;
mod stage;
mod tale;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories")
}

/// All stories by name.
fn all() -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder()).expect("the folder of stories");
    let mut stories: Vec<(String, String)> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "story"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).expect("a story"))
        })
        .collect();
    stories.sort();
    stories
}

/// What a story tells.
fn played(name: &str, text: &str) -> stage::Played {
    let story = language::read(name, text);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    let mut played = runtime.block_on(stage::play(&story));
    played.text = format!("# {}\n{}", story.why, played.text);
    played
}

#[test]
fn every_story_is_told_as_before_and_breaks_nothing() {
    let update = std::env::var_os("UPDATE_STORIES").is_some();
    let only = std::env::var("STORY").unwrap_or_default();
    let mut wrong = Vec::new();
    for (name, text) in all().into_iter().filter(|(name, _)| name.starts_with(&only)) {
        let played = std::panic::catch_unwind(|| played(&name, &text));
        let Ok(played) = played else {
            wrong.push(format!("{name}: it broke off, see above"));
            continue;
        };
        for broken in &played.broken {
            wrong.push(format!("{name}: {broken}"));
        }
        let golden = folder().join(format!("{name}.out"));
        if update {
            std::fs::write(&golden, &played.text).expect("written");
            continue;
        }
        let before = std::fs::read_to_string(&golden).unwrap_or_default();
        if let Some(difference) = first_difference(&before, &played.text) {
            wrong.push(format!("{name}: {difference}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_STORIES=1 takes over what is told)", wrong.join("\n"));
}

fn first_difference(before: &str, now: &str) -> Option<String> {
    if before == now {
        return None;
    }
    let (mut before, mut now) = (before.lines(), now.lines());
    for line in 1.. {
        let (was, is) = (before.next(), now.next());
        if was != is {
            let (was, is) = (was.unwrap_or("(nothing)"), is.unwrap_or("(nothing)"));
            return Some(format!("line {line}\n    was: {was}\n    now: {is}"));
        }
        if was.is_none() {
            break;
        }
    }
    Some("its line ends differ".to_owned())
}

/// What must always hold (design, section 6), and the stories that keep it and tempt it.
const RULES: [(&str, &[&str]); 11] = [
    (
        "1: no second upgrade call, reboot or power act for a target",
        &[
            "killed-before-the-call",
            "killed-in-the-call",
            "cannot-tell",
            "resolved-not-done",
            "reverted",
            "ignored-call",
            "armed-before",
            "armed-reboot-lost",
            "armed-rebooted-once",
            "pair-automatic",
            "pair-killed-secondary-off",
            "pair-lost-replies",
            "pair-reboots",
            "pair-debt-after-revert",
            "hook-killed",
            "twins",
            "hops",
            "newer-and-up-to-date",
        ],
    ),
    (
        "2: never more down than rollout, site and group allow, across all rollouts",
        &[
            "rollout-limit",
            "group-one-down",
            "group-dark-bystander",
            "group-dark-bystander-left",
            "site-two-rollouts",
            "unreachable-counts-as-down",
            "late-taken",
            "pair-attended",
            "pair-wrong-node",
            "pair-not-proven",
        ],
    ),
    (
        "3: cluster order; no member down before all are staged and tested",
        &[
            "cluster-order",
            "cluster-parallel",
            "cluster-waits-for-all",
            "cluster-roster-extra",
            "cluster-roster-missing",
            "cluster-roster-role",
            "cluster-roster-unreachable",
            "cluster-attended-allowed",
            "cluster-attended-refused",
            "cluster-part-refused",
            "cluster-split-refused",
            "hops-cluster",
        ],
    ),
    (
        "4: nothing starts that may not, or that cannot end in time; a cluster is finished",
        &[
            "window-midnight",
            "window-week-end",
            "window-both",
            "window-history",
            "window-never",
            "freeze-wins",
            "freeze-override",
            "dst-missing-hour",
            "dst-window-loses-an-hour",
            "dst-doubled-hour",
            "armed-outside-window",
            "armed-operator-window",
            "clock-jumps",
            "pause-all",
            "approval",
            "soak-kept",
            "soak-fails",
            "budget-count",
            "budget-percent",
            "budget-wave",
            "budget-abort",
            "late-fails",
            "late-budget",
            "drain-hold",
            "drain-proceed",
            "drain-waits",
            "hook-before-fails",
            "hook-after-fails",
            "hook-around-cluster-and-wave",
            "cluster-window-too-short",
            "cluster-outlives-window",
            "cluster-pause",
            "cluster-pause-now",
            "cluster-abort",
            "cluster-abort-now",
            "cluster-member-fails-retry",
            "cluster-member-fails-skip",
            "cluster-sync-pending",
            "cluster-sync-slow",
        ],
    ),
    (
        "5: only a slot that was read again and tested",
        &[
            "slot-replaced",
            "wrong-image",
            "pair-ha-check-failed",
            "pair-must-say",
            "other-version-armed",
        ],
    ),
    (
        "6: a refused password is not sent again, an unproven one to three at most",
        &["password-refused", "password-unproven"],
    ),
    ("7: credentials go only to a proven identity", &["identity-not-proven", "hostname-changed"]),
    (
        "8: a journal that cannot be written stops new disruptive steps",
        &["journal-breaks", "journal-breaks-in-cluster"],
    ),
    // Every plan of every story is made twice, and both are the same.
    ("9: same inputs, same plan", &["plan-percent"]),
    (
        "10: our fetch jobs are cleaned up, other slots are not touched unless told",
        &[
            "abort-cleans-up",
            "budget-abort",
            "foreign-fetch",
            "foreign-fetch-same",
            "slots-full",
            "slots-make-room",
            "wrong-image",
        ],
    ),
    (
        "11: whoever asks why gets a typed reason",
        &["why-each-waits", "site-two-rollouts", "journal-breaks", "window-never"],
    ),
];

#[test]
fn there_are_enough_stories() {
    let there: BTreeSet<String> = all().into_iter().map(|(name, _)| name).collect();
    assert!(there.len() >= 30, "{}", there.len());
    let named: BTreeSet<String> =
        RULES.iter().flat_map(|(_, stories)| stories.iter()).map(ToString::to_string).collect();
    for (place, (rule, stories)) in RULES.iter().enumerate() {
        assert!(rule.starts_with(&format!("{}: ", place + 1)), "{rule}");
        assert!(!stories.is_empty(), "{rule}");
    }
    let without: Vec<&String> = there.difference(&named).collect();
    assert!(without.is_empty(), "stories without a rule: {without:?}");
    let gone: Vec<&String> = named.difference(&there).collect();
    assert!(gone.is_empty(), "stories that are not there: {gone:?}");
    let outs = std::fs::read_dir(folder()).expect("the folder of stories");
    for path in outs.map(|file| file.expect("a file").path()) {
        assert!(path.with_extension("story").exists(), "{} tells no story", path.display());
    }
}

#[test]
fn unknown_words_are_errors_with_their_place() {
    let story = |line: &str| {
        let text = format!("# why\nfleet: |\n  appliances: []\n{line}\n");
        let read = std::panic::catch_unwind(|| language::read("bad", &text));
        let panic = read.expect_err(line);
        panic.downcast_ref::<String>().expect("words").clone()
    };
    for (line, said) in [
        ("runs", "bad.story:4: unknown words: runs"),
        ("person dance", "bad.story:4: no such decision: person dance"),
        ("at +2h person resume", "bad.story:4: there is no `: ACT`: at +2h person resume"),
        ("at soon: look", "bad.story:4: `soon` is no moment: at soon: look"),
        ("hands a knock", "bad.story:4: hands cannot `knock`: hands a knock"),
        ("appliance a shiny", "bad.story:4: no appliance is `shiny`: appliance a shiny"),
        ("story: |", "bad.story:4: `story` is no block: story: |"),
    ] {
        assert_eq!(story(line), said);
    }
}
