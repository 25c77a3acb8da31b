//! Every reason why something waits is told: in words, and in docs/safety.md.

use model::decision::PersonStep;
use model::history::{Expected, Source};
use model::hold::HoldReason;
use model::{ApplianceName, ClusterName, GroupName, SiteName, WaveName};

/// One of each. The match is without a wildcard, so that a new one cannot be forgotten.
fn all() -> Vec<HoldReason> {
    let at: jiff::Timestamp = "2026-12-01T20:00:00Z".parse().expect("a time");
    let name = || ApplianceName::new("ams-1").expect("a name");
    let site = || SiteName::new("ams").expect("a name");
    let wave = || WaveName::new("canary").expect("a name");
    let group = || GroupName::new("edge").expect("a name");
    let cluster = || ClusterName::new("us").expect("a name");
    let text = || "because".to_owned();
    let names = || vec![name()];
    let expected =
        Expected { took: jiff::SignedDuration::from_mins(9), source: Source::Configured };
    let step = PersonStep::SecondaryOff;
    let until = Some(at);
    let all = vec![
        HoldReason::EarlierWave { wave: wave(), unfinished: 1 },
        HoldReason::RolloutLimit { limit: 1, down: names() },
        HoldReason::SiteLimit { site: site(), limit: 1, down: names() },
        HoldReason::GroupLimit { group: group(), limit: 1, down: names() },
        HoldReason::OutsideWindow { site: site(), until },
        HoldReason::Frozen { site: site(), freeze: None, until },
        HoldReason::WindowTooShort { site: site(), closes: at, expected, until },
        HoldReason::Soaking { wave: wave(), until: at },
        HoldReason::ApprovalRequired { wave: wave() },
        HoldReason::SoakFailed { appliance: name() },
        HoldReason::ClusterWaits { cluster: cluster(), waiting_for: names() },
        HoldReason::ClusterIncomplete { cluster: cluster(), members: names() },
        HoldReason::ClusterOrder { cluster: cluster(), before: names() },
        HoldReason::ClusterHalfUpgraded { cluster: cluster(), failed: names(), gap_since: until },
        HoldReason::ClusterDiffers { cluster: cluster(), detail: text() },
        HoldReason::Draining { sessions: Some(3), allowed: 0, until: at },
        HoldReason::SessionsOpen { sessions: Some(3), allowed: 0 },
        HoldReason::AttendedStep { step, since: at },
        HoldReason::SecondaryNotProven { detail: text() },
        HoldReason::PowerFailed { step, detail: text() },
        HoldReason::HookRunning { hook: text() },
        HoldReason::HookFailed { hook: text(), detail: text() },
        HoldReason::SameAppliance { other: name(), detail: text() },
        HoldReason::HostnameChanged { before: text(), found: text() },
        HoldReason::ArmedOutsideWindow { since: at },
        HoldReason::TransferLimit { limit: 1 },
        HoldReason::Paused,
        HoldReason::BudgetReached { failures: 1, limit: 1 },
        HoldReason::JournalNotWritable,
        HoldReason::Unreachable { since: at, until: at },
        HoldReason::IdentityNotProven { detail: text() },
        HoldReason::Credentials { detail: text() },
        HoldReason::WrongHostname { expected: text(), found: text() },
        HoldReason::ChangedByOthers { detail: text() },
        HoldReason::AlreadyArmed { slots: text() },
        HoldReason::OtherFirmwareArmed { slots: text() },
        HoldReason::ArmedButReboots,
        HoldReason::OperatorReboot { since: at },
        HoldReason::OutcomeUnknown { act: text(), saw: text() },
        HoldReason::RebootFailed { detail: text() },
        HoldReason::Refused { detail: text() },
    ];
    // The list has one of each: as many different codes as there are arms here.
    let arm = |reason: &HoldReason| match reason {
        HoldReason::EarlierWave { .. } => 0,
        HoldReason::RolloutLimit { .. } => 1,
        HoldReason::SiteLimit { .. } => 2,
        HoldReason::GroupLimit { .. } => 3,
        HoldReason::OutsideWindow { .. } => 4,
        HoldReason::Frozen { .. } => 5,
        HoldReason::WindowTooShort { .. } => 6,
        HoldReason::Soaking { .. } => 7,
        HoldReason::ApprovalRequired { .. } => 8,
        HoldReason::SoakFailed { .. } => 9,
        HoldReason::ClusterWaits { .. } => 10,
        HoldReason::ClusterIncomplete { .. } => 11,
        HoldReason::ClusterOrder { .. } => 12,
        HoldReason::ClusterHalfUpgraded { .. } => 13,
        HoldReason::ClusterDiffers { .. } => 14,
        HoldReason::Draining { .. } => 15,
        HoldReason::SessionsOpen { .. } => 16,
        HoldReason::AttendedStep { .. } => 17,
        HoldReason::SecondaryNotProven { .. } => 18,
        HoldReason::PowerFailed { .. } => 19,
        HoldReason::HookRunning { .. } => 20,
        HoldReason::HookFailed { .. } => 21,
        HoldReason::SameAppliance { .. } => 22,
        HoldReason::HostnameChanged { .. } => 23,
        HoldReason::ArmedOutsideWindow { .. } => 24,
        HoldReason::TransferLimit { .. } => 25,
        HoldReason::Paused => 26,
        HoldReason::BudgetReached { .. } => 27,
        HoldReason::JournalNotWritable => 28,
        HoldReason::Unreachable { .. } => 29,
        HoldReason::IdentityNotProven { .. } => 30,
        HoldReason::Credentials { .. } => 31,
        HoldReason::WrongHostname { .. } => 32,
        HoldReason::ChangedByOthers { .. } => 33,
        HoldReason::AlreadyArmed { .. } => 34,
        HoldReason::OtherFirmwareArmed { .. } => 35,
        HoldReason::ArmedButReboots => 36,
        HoldReason::OperatorReboot { .. } => 37,
        HoldReason::OutcomeUnknown { .. } => 38,
        HoldReason::RebootFailed { .. } => 39,
        HoldReason::Refused { .. } => 40,
    };
    let arms: Vec<usize> = all.iter().map(arm).collect();
    assert_eq!(arms, (0..=40).collect::<Vec<_>>(), "one of each, in this order");
    all
}

#[test]
fn every_reason_stands_in_the_page_about_safety() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/safety.md");
    let page = std::fs::read_to_string(page).expect("docs/safety.md is there");
    let cells: std::collections::BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('|'))
        .map(|cell| cell.trim().trim_matches('`'))
        .collect();
    let missing: Vec<&str> =
        all().iter().map(HoldReason::code).filter(|code| !cells.contains(code)).collect();
    assert!(missing.is_empty(), "docs/safety.md has no row for {missing:?}");
}

#[test]
fn every_reason_says_what_it_waits_for() {
    let mut codes = Vec::new();
    for reason in all() {
        let text = reason.to_string();
        assert!(text.len() > 10, "{}: {text}", reason.code());
        assert!(!text.contains("{") && !text.ends_with('.'), "{}: {text}", reason.code());
        codes.push(reason.code());
    }
    let many = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), many, "every reason has a word of its own");
}
