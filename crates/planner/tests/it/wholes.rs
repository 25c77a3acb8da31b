//! What holds for every fleet with clusters, pairs, groups, windows and gates.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::calendar::Opening;
use model::fleet::Appliance;
use model::history::History;
use model::plan::Plan;
use model::{ApplianceName, expect};
use planner::Facts;
use planner::forecast::{Forecast, forecast};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::{draw, read};

/// From 17:00 to half past midnight, UTC, all but the last are open.
const SITES: &str = "sites:
  s0: {}
  s1: { time_zone: Europe/Amsterdam, windows: [daily 18:00 - 04:00], limits: { unavailable: 1 } }
  s2: { time_zone: America/New_York, windows: [Sat 08:00 - Sun 22:00, Mon-Fri 12:00 - 22:00], freezes: [{ from: 2026-12-02, to: 2026-12-04 }] }
  s3: { time_zone: Asia/Kolkata, windows: [daily 22:00 - 06:00], limits: { unavailable: 2, transfers: 1 } }
  s4: { time_zone: Pacific/Apia, windows: [daily 00:00 - 00:35] }
";

/// One appliance: site, group, cluster, kind of node, whether it is a minion where it can be.
type Parts = (u8, Option<u8>, Option<u8>, u8, bool);

fn parts() -> impl Strategy<Value = Parts> {
    let cluster = prop_oneof![1 => Just(None), 1 => (0..3_u8).prop_map(Some)];
    let site = prop_oneof![10 => Just(0_u8), 20 => 1..4_u8, 1 => Just(4_u8)];
    (site, option::of(0..3_u8), cluster, 0..8_u8, prop::bool::weighted(0.8))
}

/// The first of a cluster is its central management, and the second may be its search-master.
fn roles(at: usize, apart: bool, minion: bool) -> &'static str {
    match (at, apart, minion) {
        (0, false, _) => "central-management, search-master",
        (0, true, _) => "central-management, search-local",
        (1, true, _) => "managed-host, search-master",
        (_, _, true) => "managed-host, search-minion",
        (_, _, false) => "managed-host, search-local",
    }
}

fn line(at: usize, of_cluster: usize, apart: bool, parts: &Parts) -> String {
    let (site, group, cluster, kind, minion) = parts;
    let mut text = format!("  - {{ name: n{at}, address: n{at}.example, site: s{site}");
    if let Some(group) = group {
        text += &format!(", redundancy_group: g{group}");
    }
    if let Some(cluster) = cluster {
        let roles = roles(of_cluster, apart, *minion);
        text += &format!(", cluster: {{ name: c{cluster}, roles: [{roles}] }}");
    }
    text += match kind {
        0 => ", upgrade_call: arms, ha: { mode: attended }",
        1 => ", upgrade_call: reboots, ha: { mode: automatic, reboots_both: true }",
        2 => {
            ", upgrade_call: arms, ha: { mode: automatic, peer_sync: 5m, secondary_power: { command: { on: [x], off: [x], state: [x] } } }"
        }
        _ => "",
    };
    text + " }\n"
}

fn fleet(all: &[Parts], apart: bool, parallel: u32, allow: bool, turn: usize) -> String {
    let mut counts = [0_usize; 3];
    let lines = all.iter().enumerate().map(|(at, parts)| {
        let of_cluster = parts.2.map_or(0, |cluster| {
            let count = &mut counts[usize::from(cluster)];
            *count += 1;
            *count - 1
        });
        line(at, of_cluster, apart, parts)
    });
    let mut lines: Vec<String> = lines.collect();
    let by = turn % lines.len();
    lines.rotate_left(by);
    let clusters: Vec<String> = (0..3)
        .map(|at| format!("c{at}: {{ parallel: {parallel}, allow_attended: {allow} }}"))
        .collect();
    format!(
        "version: 1\ndefaults: {{ login: {{ username: u, password: {{ env: P }} }} }}\n{SITES}\
         redundancy_groups: {{ g0: {{}}, g1: {{ unavailable: 2 }}, g2: {{}} }}\n\
         clusters: {{ {} }}\nappliances:\n{}",
        clusters.join(", "),
        lines.concat()
    )
}

fn rollout(unavailable: u32, ahead: bool, windows: bool) -> String {
    format!(
        "version: 1\nname: r\nfirmware: {{ version: 7.5.1, fetch: \"http://x.example/i\", sha256: \"{}\" }}\n\
         message: m\nselect: {{ all: true }}\nlimits: {{ unavailable: {unavailable}, transfers: 3 }}\n\
         stage: {}\nwindows: [{}]\ndrain: {{ wait: 10m }}\n\
         timeouts: {{ upgrade: 5m, armed_grace: 1m, return: 20m, verify: 3m }}\n\
         waves: [{{ name: some, percent: 30, soak: 1h }}, {{ name: more, percent: 60, approval: required }}, {{ name: rest }}]\n",
        "0".repeat(64),
        if ahead { "ahead" } else { "in_window" },
        if windows { "daily 12:00 - 24:00" } else { "" },
    )
}

/// Who goes down as one, from when to when, and how many of those whom `of` names at most.
struct Span<'p> {
    from: Timestamp,
    to: Timestamp,
    members: Vec<&'p Appliance>,
    cluster: Option<&'p model::plan::PlannedCluster>,
}

impl Span<'_> {
    fn width(&self, limit: u32, of: impl Fn(&Appliance) -> bool) -> u32 {
        let is = |name: &ApplianceName| self.members.iter().any(|m| m.name == *name && of(m));
        match self.cluster {
            Some(cluster) => cluster.width(is).min(limit),
            None => u32::from(is(&self.members[0].name)),
        }
    }
}

fn spans<'p>(plan: &'p Plan, foreseen: &Forecast) -> Vec<Span<'p>> {
    let single = plan.appliances.values().filter(|appliance| appliance.cluster.is_none());
    let single = single.filter_map(|appliance| {
        let of = &foreseen.appliances[&appliance.name];
        Some(Span { from: of.start?, to: of.end?, members: vec![&**appliance], cluster: None })
    });
    let clusters = plan.clusters.iter().filter_map(|(name, cluster)| {
        let of = &foreseen.clusters[name];
        let members = cluster.members().map(|name| &*plan.appliances[name]).collect();
        Some(Span { from: of.start?, to: of.end?, members, cluster: Some(cluster) })
    });
    single.chain(clusters).collect()
}

/// No limit is broken, nothing starts that does not end in its windows, waves keep their order, and
/// everybody is told of.
fn forecast_holds(plan: &Plan, foreseen: &Forecast) {
    let spans = spans(plan, foreseen);
    for begun in &spans {
        let down: Vec<&Span<'_>> = spans
            .iter()
            .filter(|other| other.from <= begun.from && begun.from < other.to)
            .collect();
        let most = plan.limits.unavailable;
        assert!(down.iter().map(|span| span.width(most, |_| true)).sum::<u32>() <= most);
        for (site, limits) in &plan.sites {
            let most = limits.unavailable.unwrap_or(u32::MAX);
            let taken: u32 = down.iter().map(|s| s.width(most, |a| a.site == *site)).sum();
            assert!(taken <= most, "{site}");
        }
        for (group, most) in &plan.groups {
            let taken: u32 =
                down.iter().map(|s| s.width(*most, |a| a.group.as_ref() == Some(group))).sum();
            assert!(taken <= *most, "{group}");
        }
        for calendar in begun.members.iter().filter_map(|a| plan.calendars.get(&a.site)) {
            match calendar.opening(begun.from, None) {
                Opening::Open(until) => assert!(until.is_none_or(|until| begun.to <= until)),
                other => panic!("closed: {other:?}"),
            }
        }
    }
    let mut after = foreseen.from;
    for (wave, of) in plan.waves.iter().zip(&foreseen.waves) {
        for name in &wave.appliances {
            let of = &foreseen.appliances[name];
            assert!(of.start.is_none_or(|start| start >= after && Some(start) >= of.staged));
        }
        assert!(of.end >= after && of.soaked >= of.end);
        after = of.soaked;
    }
    assert_eq!(after, foreseen.end);
    let never: BTreeSet<&ApplianceName> =
        foreseen.never.iter().flat_map(|never| &never.appliances).collect();
    for (name, of) in &foreseen.appliances {
        assert_eq!(never.contains(name), of.end.is_none(), "{name}");
    }
    // What fits a window some day does go down.
    for never in foreseen.never.iter().filter(|never| never.cluster.is_none()) {
        let appliance = &plan.appliances[&never.appliances[0]];
        let need = expect::appliance(plan, &appliance.name, &History::default()).took;
        let longest = never.longest.expect("it has a window");
        assert!(need > longest, "{} needs {need:?} of {longest:?}", appliance.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_or_its_faults_and_a_forecast_that_keeps_every_rule(
        all in vec(parts(), 1..60),
        (apart, allow, ahead, windows) in any::<(bool, bool, bool, bool)>(),
        parallel in prop_oneof![1_u32..=1, 2..5_u32],
        unavailable in prop_oneof![1_u32..=1, 2..6_u32],
        turn in 0..40_usize,
    ) {
        let rollout = rollout(unavailable, ahead, windows);
        let planned = |turn| {
            let text = fleet(&all, apart, parallel, allow, turn);
            read(&text, &rollout)
                .and_then(|inputs| planner::plan(&inputs, &Facts::not_looked_at()))
        };
        let plan = match planned(0) {
            Ok(plan) => plan,
            Err(faults) => {
                // Attended members are all that can be wrong.
                let known = |fault: &planner::Fault| fault.code == "attended-in-cluster";
                prop_assert!(!allow && faults.iter().all(known), "{}", draw(&faults));
                return Ok(());
            }
        };
        prop_assert_eq!(planner::lint(&plan), []);
        let again = planned(turn).map_err(|faults| draw(&faults)).expect("a plan");
        prop_assert_eq!(
            serde_json::to_vec(&again).expect("json"),
            serde_json::to_vec(&plan).expect("json")
        );

        let members: usize = plan.clusters.values().map(|cluster| cluster.members().count()).sum();
        prop_assert_eq!(members, all.iter().filter(|parts| parts.2.is_some()).count());
        let from = "2026-12-01T12:00:00Z".parse().expect("a time");
        let foreseen = forecast(&plan, &History::default(), from);
        forecast_holds(&plan, &foreseen);
        prop_assert_eq!(forecast(&plan, &History::default(), from), foreseen);
    }
}
