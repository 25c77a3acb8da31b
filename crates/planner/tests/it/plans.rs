//! Selections, waves, order, defaults and warnings.

use jiff::SignedDuration;
use model::fleet::{PasswordSource, Reboot, Trust, UpgradeCall};
use model::plan::Plan;
use model::rollout::{MakeRoom, OnBreach, StageMode, Timeouts};
use model::{ApplianceName, SiteName};
use planner::Facts;

use crate::support::{FLEET, ROLLOUT, change, draw, plan, warned, waves};

/// A fleet of appliances given as `name site`.
fn fleet_of(appliances: &[(&str, &str)]) -> String {
    let mut text = "version: 1\ndefaults: { login: { username: u, password: { env: P } } }\n\
                    sites: { a: {}, b: {}, c: {} }\nappliances:\n"
        .to_owned();
    for (at, (name, site)) in appliances.iter().enumerate() {
        text += &format!("  - {{ name: {name}, address: 10.0.0.{}, site: {site} }}\n", at + 1);
    }
    text
}

/// A rollout over everything with these waves.
fn rollout_of(waves: &str) -> String {
    format!(
        "version: 1\nname: r\nfirmware:\n  version: 7.5.1\n  fetch: http://x.example/i\n  sha256: {}\n\
         message: m\nselect: {{ all: true }}\n{waves}",
        "0".repeat(64)
    )
}

const TEN: [(&str, &str); 10] = [
    ("a1", "a"),
    ("a2", "a"),
    ("a3", "a"),
    ("a4", "a"),
    ("a5", "a"),
    ("a6", "a"),
    ("b1", "b"),
    ("b2", "b"),
    ("b3", "b"),
    ("c1", "c"),
];

#[test]
fn one_wave_takes_the_sites_in_turn() {
    let plan = plan(&fleet_of(&TEN), &rollout_of(""));
    assert_eq!(waves(&plan), ["all: a1 b1 c1 a2 b2 a3 b3 a4 a5 a6"]);
}

#[test]
fn percentages_are_cumulative_rounded_up_and_spread() {
    let some = "waves: [{ name: w1, percent: 11 }, { name: w2, percent: 50 }, { name: w3 }]\n";
    let plan = plan(&fleet_of(&TEN), &rollout_of(some));
    assert_eq!(waves(&plan), ["w1: a1 b1", "w2: a2 b2 c1", "w3: a3 b3 a4 a5 a6"]);
}

#[test]
fn a_wave_picks_from_what_earlier_waves_left() {
    let some = "waves:\n  - { name: first, select: { names: [c1, a6] } }\n  \
                - { name: half, percent: 50 }\n  - { name: b, select: { sites: [b] } }\n  \
                - { name: last, percent: 100 }\n";
    let plan = plan(&fleet_of(&TEN), &rollout_of(some));
    // Five are half of ten; two are gone already.
    assert_eq!(waves(&plan), ["first: a6 c1", "half: a1 b1 a2", "b: b2 b3", "last: a3 a4 a5"]);
}

#[test]
fn a_wave_that_adds_nobody_is_left_out_with_a_warning() {
    let some = "waves:\n  - { name: first, select: { sites: [a, b] } }\n  \
                - { name: half, percent: 50 }\n  - { name: again, select: { sites: [a] } }\n  \
                - { name: all, percent: 100 }\n  - name: rest\n";
    let plan = plan(&fleet_of(&TEN), &rollout_of(some));
    assert_eq!(waves(&plan), ["first: a1 b1 a2 b2 a3 b3 a4 a5 a6", "all: c1"]);
    assert_eq!(warned(&plan), ["empty-wave", "empty-wave", "empty-wave"]);
}

fn selected(select: &str) -> Vec<String> {
    let whole =
        change(ROLLOUT, "select: { labels: { env: prod } }\n", &format!("select: {select}\n"));
    let whole = whole.replace(
        "waves:\n  - name: canary\n    select: { labels: { ring: canary } }\n  - name: half\n    percent: 50\n  - name: rest\n",
        "",
    );
    plan(FLEET, &whole).appliances.keys().map(ToString::to_string).collect()
}

#[test]
fn all_keys_must_match_and_of_a_key_any_entry() {
    for (select, names) in [
        ("{ all: true }", "ams-1 ams-2 lab-1 nyc-1"),
        ("{ names: [nyc-1, ams-1] }", "ams-1 nyc-1"),
        ("{ sites: [ams, nyc] }", "ams-1 ams-2 nyc-1"),
        ("{ sites: [default] }", "lab-1"),
        ("{ labels: { env: prod } }", "ams-1 ams-2 nyc-1"),
        ("{ labels: { env: prod, ring: canary } }", "ams-1"),
        ("{ sites: [ams], labels: { env: prod } }", "ams-1 ams-2"),
        ("{ names: [ams-1, nyc-1], sites: [nyc] }", "nyc-1"),
        ("{ all: true, except: { sites: [ams] } }", "lab-1 nyc-1"),
        ("{ all: true, except: { sites: [ams], labels: { ring: canary } } }", "ams-2 lab-1 nyc-1"),
        ("{ sites: [ams], except: { names: [ams-2, nyc-1] } }", "ams-1"),
        (
            "{ all: true, except: { sites: [ams], except: { names: [ams-1] } } }",
            "ams-1 lab-1 nyc-1",
        ),
    ] {
        assert_eq!(selected(select).join(" "), names, "{select}");
    }
}

#[test]
fn a_label_that_nobody_has_is_warned_about() {
    let odd =
        change(ROLLOUT, "{ env: prod }", "{ env: prod }, except: { labels: { rign: canary } }");
    let plan = plan(FLEET, &odd);
    assert_eq!(plan.appliances.len(), 3);
    let warning = plan.warnings.iter().find(|warning| warning.code == "unknown-label");
    let text = &warning.expect("a warning").text;
    assert_eq!(text, "no appliance has the label `rign: canary`; did you mean `ring: canary`?");
}

#[test]
fn what_appliances_say_goes_before_defaults() {
    let select = change(ROLLOUT, "{ labels: { env: prod } }", "{ all: true }");
    let plan = plan(FLEET, &select);
    let of = |name: &str| &plan.appliances[&ApplianceName::new(name).expect("a name")];
    let (ams, lab, nyc) = (of("ams-2"), of("lab-1"), of("nyc-1"));
    assert_eq!((ams.endpoint.port, lab.endpoint.port), (443, 8443));
    assert_eq!(ams.endpoint.trust, Trust::Ca("/etc/spsfleet/ca.pem".to_owned()));
    assert!(matches!(lab.endpoint.trust, Trust::Pin(_)));
    assert_eq!(lab.site, SiteName::new("default").expect("a name"));
    assert_eq!(ams.hostname.as_deref(), Some("sps-ams-2"));
    assert_eq!(ams.upgrade_call, UpgradeCall::Detect);
    assert_eq!(ams.reboot, Reboot::Operator);
    let reboot = ["/etc/spsfleet/bin/reboot", "nyc-1"].map(ToOwned::to_owned).to_vec();
    assert_eq!(nyc.reboot, Reboot::Command(reboot), "a relative program starts at the file");
    // Only the login merges key by key.
    assert_eq!(lab.endpoint.login.username, "fleet-upgrader");
    assert_eq!(lab.endpoint.login.method.as_deref(), Some("local"));
    let file = PasswordSource::File("/etc/spsfleet/lab-password".to_owned());
    assert_eq!(lab.endpoint.login.password, file);
    assert_eq!(lab.labels.len(), 1);
}

#[test]
fn absent_fields_have_the_defaults_of_the_contract() {
    let plan = plan(&fleet_of(&TEN[..1]), &rollout_of(""));
    let appliance = plan.appliances.values().next().expect("one");
    assert_eq!(appliance.endpoint.port, 443);
    assert_eq!(appliance.endpoint.trust, Trust::System);
    assert_eq!(appliance.endpoint.login.method, None);
    assert_eq!(appliance.upgrade_call, UpgradeCall::Detect);
    assert_eq!(appliance.reboot, Reboot::Operator);
    let limits = &plan.limits;
    assert_eq!((limits.transfers, limits.unavailable, limits.requests_per_second), (10, 1, 50));
    assert_eq!(plan.stage, StageMode::Ahead);
    let budget = &plan.failure_budget;
    assert_eq!((budget.count, budget.percent, budget.on_breach), (Some(1), None, OnBreach::Pause));
    let checks = &plan.checks;
    assert_eq!((checks.disk_used_max, checks.require_untainted), (90, true));
    assert!(!checks.support_bundle);
    assert_eq!(plan.make_room, MakeRoom::Never);
    assert_eq!(plan.unreachable_wait, SignedDuration::from_hours(2));
    assert_eq!(plan.timeouts, Timeouts::default());
    assert!(plan.firmware.adopt);
    assert_eq!(warned(&plan), [""; 0]);
}

fn with(extra: &str) -> Plan {
    plan(&fleet_of(&TEN), &rollout_of(extra))
}

#[test]
fn stall_is_a_sixth_of_stage_but_ten_minutes_at_most() {
    let stall = |extra: &str| with(extra).timeouts.stall;
    assert_eq!(stall("timeouts: { stage: 30m }\n"), SignedDuration::from_mins(5));
    assert_eq!(stall("timeouts: { stage: 7d }\n"), SignedDuration::from_mins(10));
    assert_eq!(stall("timeouts: { stage: 30m, stall: 1h }\n"), SignedDuration::from_hours(1));
}

#[test]
fn a_budget_of_percent_alone_has_no_count() {
    let budget = |extra: &str| with(extra).failure_budget;
    let percent = budget("failure_budget: { percent: 5, on_breach: abort }\n");
    assert_eq!((percent.count, percent.percent), (None, Some(5)));
    assert_eq!(percent.on_breach, OnBreach::Abort);
    assert_eq!(budget("failure_budget: { on_breach: abort }\n").count, Some(1));
    let wave = with("waves: [{ name: w, failure_budget: { count: 3 } }]\n");
    assert_eq!(wave.waves[0].failure_budget.as_ref().and_then(|own| own.count), Some(3));
}

#[test]
fn zero_soak_no_approval_and_empty_lists_are_nothing() {
    let extra = "waves: [{ name: w, soak: 0, approval: none }]\nwindows: []\nfreezes: []\n\
                 hooks: {}\nstage: in_window\ndrain:\n";
    let plan = with(extra);
    assert_eq!(plan.stage, StageMode::InWindow);
    let wave = &plan.waves[0];
    assert_eq!((wave.soak, wave.approval), (SignedDuration::ZERO, false));
    assert!(plan.calendars.is_empty() && plan.hooks.is_empty() && plan.drain.is_none());
    assert_eq!(warned(&plan), [""; 0]);
}

#[test]
fn partners_that_are_not_selected_are_bystanders() {
    let select = change(ROLLOUT, "{ labels: { env: prod } }", "{ names: [ams-1, nyc-1] }");
    let select = select.replace("    percent: 50\n", "    percent: 100\n");
    let plan = plan(FLEET, &select);
    assert_eq!(plan.bystanders.keys().map(|n| n.as_str()).collect::<Vec<_>>(), ["ams-2"]);
    assert_eq!(plan.groups.values().collect::<Vec<_>>(), [&1]);
    assert_eq!(plan.sites.keys().map(|n| n.as_str()).collect::<Vec<_>>(), ["ams", "nyc"]);
    assert!(warned(&plan).contains(&"part-of-group"), "{:?}", plan.warnings);
}

#[test]
fn warnings_are_told() {
    let mut fleet = change(FLEET, "tls: { ca: ca.pem }", "tls: { insecure: true }");
    fleet = change(&fleet, "{ unavailable: 1 }", "{ unavailable: 2 }");
    let mut rollout = change(ROLLOUT, "{ labels: { env: prod } }", "{ all: true }");
    for (from, to) in [
        ("return: 45m", "return: 5m"),
        ("stall: 10m", "stall: 3h"),
        ("blind: 30s", "blind: 1s"),
        ("disk_used_max: 90", "disk_used_max: 95"),
        ("wait: 2h", "wait: 1m"),
    ] {
        rollout = change(&rollout, from, to);
    }
    let plan = plan(&fleet, &rollout);
    let told: Vec<String> =
        plan.warnings.iter().map(|warning| format!("{}: {}", warning.code, warning.text)).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn quoted_or_not_versions_and_labels_are_text() {
    let quoted = change(ROLLOUT, "  version: 7.5.1", "  version: \"7.5.1\"");
    assert_eq!(plan(FLEET, &quoted), plan(FLEET, ROLLOUT));
    let four = change(ROLLOUT, "  version: 7.5.1", "  version: 7.0.5.1");
    assert_eq!(plan(FLEET, &four).firmware.version.to_string(), "7.0.5.1");
    let numbers = FLEET.replace("env: prod", "env: 1_0").replace("env: lab", "env: 10");
    let select = change(ROLLOUT, "{ env: prod }", "{ env: \"1_0\" }");
    assert_eq!(plan(&numbers, &select).appliances.len(), 3);
    // A sum of digits only is a number to YAML, and still a sum.
    let digits = "1".repeat(64);
    let bare = rollout_of("").replace(&"0".repeat(64), &digits);
    assert_eq!(plan(&fleet_of(&TEN), &bare).firmware.sha256.as_str(), digits);
}

#[test]
fn anchors_and_merges_work() {
    let fleet = "version: 1\ndefaults: { login: { username: u, password: { env: P } } }\n\
                 appliances:\n  - &first { name: a, address: 10.0.0.1, labels: { env: prod } }\n  \
                 - { <<: *first, name: b, address: 10.0.0.2 }\n";
    let plan = plan(fleet, &rollout_of(""));
    assert_eq!(waves(&plan), ["all: a b"]);
    assert!(plan.appliances.values().all(|appliance| appliance.labels.len() == 1));
}

#[test]
fn a_plan_survives_its_journal() {
    let plan = plan(FLEET, ROLLOUT);
    let json = serde_json::to_string(&plan).expect("json");
    let back: Plan = serde_json::from_str(&json).expect("a plan");
    assert_eq!(back, plan);
    assert_eq!(planner::lint(&back), []);
}

#[test]
fn without_a_rollout_there_is_nothing_to_plan() {
    let inputs = planner::read(crate::support::fleet(FLEET), None)
        .unwrap_or_else(|faults| panic!("{}", draw(&faults)));
    assert_eq!(inputs.appliances().count(), 4);
    let warnings = planner::check(&inputs, &Facts::not_looked_at()).expect("a good fleet");
    assert_eq!(warnings.iter().map(|w| w.code.as_str()).collect::<Vec<_>>(), ["not-looked-at"]);
    let faults = planner::plan(&inputs, &Facts::not_looked_at()).expect_err("no rollout");
    assert_eq!(faults[0].code, "no-rollout");
}
