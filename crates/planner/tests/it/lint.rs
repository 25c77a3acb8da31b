//! The linter finds what is wrong with a plan that somebody changed by hand.

use std::sync::Arc;

use jiff::SignedDuration;
use model::fleet::Trust;
use model::plan::Plan;
use model::rollout::Image;
use model::{ApplianceName, GroupName, Sha256Hex, SiteName};

use crate::support::{FLEET, ROLLOUT, change};

fn good() -> Plan {
    let select = change(ROLLOUT, "{ labels: { env: prod } }", "{ names: [ams-1, nyc-1, lab-1] }");
    crate::support::plan(FLEET, &select)
}

fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

fn edit(plan: &mut Plan, of: &str, change: impl FnOnce(&mut model::fleet::Appliance)) {
    let appliance = plan.appliances.get_mut(&name(of)).expect("it is there");
    change(Arc::make_mut(appliance));
}

/// A change, and the findings that it must bring.
type Case = (fn(&mut Plan), &'static [&'static str]);

const CASES: &[Case] = &[
    (|plan| plan.schema = 2, &["schema"]),
    (|plan| plan.message = " ".to_owned(), &["empty-message"]),
    (|plan| (plan.firmware.fetch, plan.firmware.upload) = (None, None), &["no-image"]),
    (|plan| plan.firmware.fetch = Some("https://me@x/y".to_owned()), &["bad-url"]),
    (|plan| plan.firmware.fetch = Some("ftp://x/y".to_owned()), &["bad-url"]),
    (
        |plan| plan.firmware.upload = Some(Image { path: "x.iso".to_owned(), size: 1 }),
        &["relative-path"],
    ),
    (|plan| edit(plan, "ams-1", |a| a.endpoint.trust = Trust::Insecure), &["silent-insecure"]),
    (|plan| plan.waves[1].name = plan.waves[0].name.clone(), &["duplicate-wave"]),
    (|plan| plan.waves[0].appliances.clear(), &["empty-wave", "in-no-wave"]),
    (|plan| drop(plan.waves.pop()), &["in-no-wave"]),
    (|plan| plan.waves[1].appliances.push(name("ams-1")), &["in-two-waves"]),
    (|plan| plan.waves[1].appliances.push(name("nobody")), &["unknown-member"]),
    (|plan| edit(plan, "ams-1", |a| a.name = name("other")), &["wrong-key"]),
    (|plan| edit(plan, "ams-1", |a| a.site = SiteName::new("x").expect("a name")), &["no-site"]),
    (|plan| plan.groups.clear(), &["no-group", "no-group"]),
    (
        |plan| {
            let ams = Arc::clone(&plan.appliances[&name("ams-1")]);
            plan.bystanders.insert(name("ams-1"), ams);
        },
        &["bystander-selected"],
    ),
    (|plan| edit(plan, "ams-1", |a| a.group = None), &["no-partner"]),
    (
        |plan| edit(plan, "ams-1", |a| a.endpoint.address = "10.20.0.11".to_owned()),
        &["duplicate-address"],
    ),
    (|plan| edit(plan, "ams-1", |a| a.endpoint.port = 0), &["no-address"]),
    (|plan| plan.limits.transfers = 0, &["zero-limit"]),
    (
        |plan| plan.limits.unavailable = 0,
        &["zero-limit", "never-goes-down", "never-goes-down", "never-goes-down"],
    ),
    (
        |plan| {
            let ams = SiteName::new("ams").expect("a name");
            plan.sites.get_mut(&ams).expect("it is there").unavailable = Some(0);
        },
        &["zero-limit", "never-goes-down"],
    ),
    (
        |plan| {
            plan.groups.insert(GroupName::new("ams-edge").expect("a name"), 0);
        },
        &["zero-limit", "never-goes-down"],
    ),
    (
        |plan| (plan.failure_budget.count, plan.failure_budget.percent) = (None, None),
        &["no-budget"],
    ),
    (|plan| plan.failure_budget.count = Some(0), &["bad-budget"]),
    (|plan| plan.failure_budget.percent = Some(101), &["bad-budget"]),
    (|plan| plan.checks.disk_used_max = 0, &["bad-percent"]),
    (|plan| plan.timeouts.blind = SignedDuration::ZERO, &["zero-timeout"]),
    (|plan| plan.unreachable_wait = SignedDuration::from_secs(-1), &["zero-timeout"]),
    (
        |plan| {
            plan.appliances.clear();
            plan.bystanders.clear();
            plan.waves.clear();
        },
        &["nobody"],
    ),
];

#[test]
fn each_kind_of_damage_is_found() {
    for (at, (damage, wanted)) in CASES.iter().enumerate() {
        let mut plan = good();
        damage(&mut plan);
        plan.digest = plan.content_digest();
        let codes: Vec<&str> = planner::lint(&plan).iter().map(|finding| finding.code).collect();
        assert_eq!(codes, *wanted, "case {at}");
    }
}

#[test]
fn a_plan_that_was_changed_is_found_by_its_digest() {
    let mut plan = good();
    plan.message.push('!');
    assert_eq!(planner::lint(&plan).iter().map(|f| f.code).collect::<Vec<_>>(), ["digest"]);
    plan.digest = Sha256Hex::of(b"");
    let told: Vec<String> = planner::lint(&plan).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["digest: the digest is not that of the content: the plan was changed"]);
}
