//! The linter finds what is wrong with a plan that somebody changed by hand.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::Time;
use model::calendar::{Close, Window};
use model::fleet::{Ha, PowerTarget, Reboot, Role, Trust, UpgradeCall};
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

/// A plan of a cluster of four, pairs, windows, hops and hooks, in two waves.
fn whole() -> Plan {
    let fleet = "version: 1
defaults: { login: { username: u, password: { env: P } }, tls: { ca: ca.pem } }
sites:
  s: { time_zone: Europe/Amsterdam, windows: [daily 00:00 - 12:00], freezes: [{ from: 2026-12-18, to: 2027-01-04 }] }
clusters: { us: { parallel: 2 } }
appliances:
  - { name: a, address: a.example, site: s, reboot: { redfish: { url: \"https://bmc.example\", system: \"1\", username: u, password: { env: P } } } }
  - { name: pair, address: p.example, upgrade_call: arms, ha: { mode: automatic, peer_sync: 10m, secondary_check: { command: [c] }, secondary_power: { redfish: { url: \"https://bmc.example\", system: \"2\", username: u, password: { env: P } } } }, reboot: { command: [r] } }
  - { name: pair-2, address: p2.example, upgrade_call: reboots, ha: { mode: automatic, reboots_both: true } }
  - { name: m2, address: m2.example, site: s, cluster: { name: us, roles: [managed-host, search-minion] } }
  - { name: m1, address: m1.example, site: s, cluster: { name: us, roles: [managed-host, search-minion] } }
  - { name: h, address: h.example, site: s, cluster: { name: us, roles: [managed-host, search-local] } }
  - { name: cm, address: cm.example, site: s, cluster: { name: us, roles: [central-management, search-local] } }
  - { name: sm, address: sm.example, site: s, cluster: { name: us, roles: [managed-host, search-master] } }
";
    let rollout = format!(
        "version: 1\nname: r\nfirmware: {{ version: 7.5.1, fetch: \"http://x.example/i\", sha256: \"{}\", \
         via: [{{ version: 7.0.5, fetch: \"http://x.example/h\", sha256: \"{}\" }}] }}\n\
         message: m\nselect: {{ all: true }}\nwaves: [{{ name: one, select: {{ names: [a] }}, soak: 1h }}, {{ name: two }}]\n\
         drain: {{}}\nhooks: {{ before: {{ command: [x] }} }}\nlimits: {{ unavailable: 2 }}\n",
        "0".repeat(64),
        "1".repeat(64)
    );
    let plan = crate::support::plan(fleet, &rollout);
    assert_eq!(crate::support::waves(&plan), ["one: a", "two: pair m1 m2 h cm sm pair-2"]);
    plan
}

fn us(plan: &mut Plan) -> &mut model::plan::PlannedCluster {
    plan.clusters.get_mut("us").expect("it is there")
}

fn calendar(plan: &mut Plan) -> &mut model::calendar::Calendar {
    plan.calendars.get_mut("s").expect("it is there")
}

fn pair(plan: &mut Plan, of: &str, change: impl FnOnce(&mut Ha)) {
    edit(plan, of, |appliance| change(appliance.ha.as_mut().expect("a pair")));
}

const OF_PARTS: &[Case] = &[
    (|plan| plan.clusters.clear(), &["no-cluster"]),
    (|plan| us(plan).parallel = 0, &["zero-limit"]),
    (
        |plan| us(plan).ranks.push(vec![name("m1")]),
        &[
            "in-two-ranks",
            "cluster-order",
            "cluster-order",
            "cluster-order",
            "cluster-order",
            "scattered-cluster",
        ],
    ),
    (|plan| drop(us(plan).ranks[0].pop()), &["in-no-rank", "scattered-cluster"]),
    (|plan| us(plan).ranks[1].push(name("a")), &["unknown-member", "scattered-cluster"]),
    (|plan| us(plan).ranks.push(Vec::new()), &["empty-rank"]),
    (
        |plan| {
            us(plan).ranks.swap(0, 1);
            plan.waves[1].appliances =
                ["pair", "h", "m1", "m2", "cm", "sm", "pair-2"].map(name).to_vec();
        },
        &["cluster-order"],
    ),
    (
        |plan| {
            us(plan).ranks.swap(2, 3);
            plan.waves[1].appliances =
                ["pair", "m1", "m2", "h", "sm", "cm", "pair-2"].map(name).to_vec();
        },
        &["cluster-order"],
    ),
    (
        |plan| {
            let first = us(plan).ranks.remove(0);
            us(plan).ranks[0].splice(0..0, first);
        },
        &["cluster-order"],
    ),
    (
        |plan| {
            let second = us(plan).ranks[0].split_off(1);
            us(plan).ranks.insert(1, second);
        },
        &["cluster-order"],
    ),
    (|plan| us(plan).manager = name("h"), &["bad-manager"]),
    (
        |plan| {
            edit(plan, "h", |a| {
                a.cluster.as_mut().expect("a member").roles.push(Role::CentralManagement);
            });
        },
        &["cluster-order", "bad-manager"],
    ),
    (|plan| plan.waves[1].appliances.swap(1, 2), &["scattered-cluster"]),
    (|plan| plan.waves[1].appliances.swap(0, 1), &["scattered-cluster"]),
    (
        |plan| {
            let pair = plan.waves[1].appliances.remove(0);
            plan.waves[1].appliances.insert(2, pair);
        },
        &["scattered-cluster"],
    ),
    (
        |plan| {
            let sm = plan.waves[1].appliances.remove(5);
            plan.waves[0].appliances.push(sm);
        },
        &["split-cluster", "split-cluster", "split-cluster", "split-cluster", "scattered-cluster"],
    ),
    (|plan| plan.via[0].version = plan.firmware.version.clone(), &["hop-order"]),
    (|plan| plan.via[0].fetch = None, &["no-image"]),
    (|plan| plan.waves[0].soak = SignedDuration::from_secs(-1), &["negative-soak"]),
    (|plan| calendar(plan).time_zone = "Europe/Nowhere".to_owned(), &["unknown-zone"]),
    (|plan| calendar(plan).windows.push(Vec::new()), &["empty-windows"]),
    (
        |plan| {
            calendar(plan).windows[0].push(Window::Weekly {
                days: [false; 7],
                from: Time::midnight(),
                to: Close::Midnight,
            })
        },
        &["bad-window"],
    ),
    (
        |plan| {
            calendar(plan).windows[0].push(Window::Weekly {
                days: [true; 7],
                from: Time::midnight(),
                to: Close::On(7, Time::midnight()),
            })
        },
        &["bad-window"],
    ),
    (
        |plan| {
            let freeze = &mut calendar(plan).freezes[0];
            freeze.to = freeze.from;
        },
        &["bad-freeze"],
    ),
    (
        |plan| {
            let calendar = calendar(plan).clone();
            plan.calendars.insert(SiteName::new("x").expect("a name"), calendar);
        },
        &["no-site"],
    ),
    (|plan| plan.drain.as_mut().expect("given").wait = SignedDuration::ZERO, &["zero-timeout"]),
    (|plan| plan.hooks.values_mut().for_each(|hook| hook.command.clear()), &["empty-hook"]),
    (
        |plan| plan.hooks.values_mut().for_each(|hook| hook.timeout = SignedDuration::ZERO),
        &["zero-timeout"],
    ),
    (|plan| edit(plan, "pair", |a| a.upgrade_call = UpgradeCall::Detect), &["pair-unknown-call"]),
    (|plan| pair(plan, "pair", |ha| ha.peer_sync = None), &["pair-incomplete"]),
    (|plan| pair(plan, "pair", |ha| ha.secondary_power = None), &["pair-incomplete"]),
    (|plan| pair(plan, "pair-2", |ha| ha.reboots_both = false), &["pair-incomplete"]),
    (
        |plan| {
            edit(plan, "a", |a| {
                let Reboot::Redfish(redfish) = &mut a.reboot else { panic!("a Redfish service") };
                redfish.trust = Trust::Insecure;
            });
        },
        &["silent-insecure"],
    ),
    (
        |plan| {
            pair(plan, "pair", |ha| {
                let Some(PowerTarget::Redfish(redfish)) = &mut ha.secondary_power else {
                    panic!("a Redfish service")
                };
                redfish.trust = Trust::Insecure;
            });
        },
        &["silent-insecure"],
    ),
];

#[test]
fn each_kind_of_damage_to_clusters_windows_and_pairs_is_found() {
    for (at, (damage, wanted)) in OF_PARTS.iter().enumerate() {
        let mut plan = whole();
        damage(&mut plan);
        plan.digest = plan.content_digest();
        let found = planner::lint(&plan);
        let codes: Vec<&str> = found.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, *wanted, "case {at}: {found:#?}");
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
