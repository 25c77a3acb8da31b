//! How long appliances and clusters are expected to take.

use jiff::SignedDuration;
use model::event::{Step, StepDuration};
use model::expect;
use model::fleet::{Appliance, ClusterMember, Ha, HaMode, Role, UpgradeCall};
use model::history::{History, Source};
use model::names::{ApplianceName, ClusterName, GroupName, SiteName};
use model::plan::{Plan, PlannedCluster};
use model::rollout::{Drain, DrainOtherwise, SiteLimits};

fn name(text: &str) -> ApplianceName {
    ApplianceName::new(text).expect("a name")
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// Three minions, a host and a manager, with `x` beside them.
fn plan(change: impl Fn(&mut Appliance)) -> (Plan, PlannedCluster) {
    let ranks = [vec!["m1", "m2", "m3"], vec!["h"], vec!["cm"]];
    let appliance = |text: &str| {
        let mut appliance = sim::sample::appliance(&name(text));
        let roles = match text {
            "x" => None,
            "cm" => Some(vec![Role::CentralManagement, Role::SearchMaster]),
            "h" => Some(vec![Role::ManagedHost, Role::SearchLocal]),
            _ => Some(vec![Role::ManagedHost, Role::SearchMinion]),
        };
        let cluster = ClusterName::new("us").expect("a name");
        appliance.cluster = roles.map(|roles| ClusterMember { name: cluster, roles });
        change(&mut appliance);
        appliance
    };
    let mut plan = sim::sample::plan("r", ["cm", "h", "m1", "m2", "m3", "x"].map(appliance));
    plan.limits.unavailable = 9;
    let ranks = ranks.map(|rank| rank.into_iter().map(name).collect::<Vec<_>>()).to_vec();
    (plan, PlannedCluster { ranks, parallel: 1, manager: name("cm") })
}

fn seen(of: &str, site: &str, step: Step, took: i64) -> StepDuration {
    let site = SiteName::new(site).expect("a name");
    StepDuration { appliance: name(of), site, step, took: minutes(took) }
}

fn history(of: &str, site: &str, took: i64) -> History {
    let steps = [Step::Activate, Step::Return, Step::Verify];
    History::of(&steps.map(|step| seen(of, site, step, took)))
}

fn pair(mode: HaMode) -> Ha {
    Ha {
        mode,
        peer_sync: Some(minutes(10)),
        secondary_check: None,
        secondary_power: None,
        force_off_after: None,
        reboots_both: false,
    }
}

#[test]
fn nothing_seen_means_the_configured_durations() {
    let of = |change: fn(&mut Appliance)| {
        expect::appliance(&plan(change).0, &name("x"), &History::default())
    };
    let single = of(|_| ());
    assert_eq!((single.took, single.source), (minutes(15 + 3 + 45 + 10), Source::Configured));
    let reboots = of(|a| a.upgrade_call = UpgradeCall::Reboots);
    assert_eq!(reboots.took, minutes(15 + 45 + 10), "nothing is ever armed");
    let arms = of(|a| {
        a.upgrade_call = UpgradeCall::Arms;
        a.ha = Some(pair(HaMode::Automatic));
    });
    assert_eq!(arms.took, minutes(73 + 10 + 45), "the peer, and the pair coming together");
    let both = of(|a| {
        a.upgrade_call = UpgradeCall::Reboots;
        a.ha = Some(pair(HaMode::Attended));
    });
    assert_eq!(both.took, minutes(70), "no power is switched");
}

#[test]
fn history_goes_before_and_waits_are_added() {
    let (mut plan, _) = plan(|_| ());
    let history = history("other", "default", 2);
    let x = expect::appliance(&plan, &name("x"), &history);
    assert_eq!((x.took, x.source), (minutes(6), Source::Site));
    plan.drain = Some(Drain { sessions: 0, wait: minutes(20), otherwise: DrainOtherwise::Hold });
    assert_eq!(expect::appliance(&plan, &name("x"), &history).took, minutes(26));
}

#[test]
fn a_pair_is_known_as_well_as_the_least_of_its_steps() {
    let (plan, _) = plan(|a| {
        a.upgrade_call = UpgradeCall::Arms;
        a.ha = Some(pair(HaMode::Attended));
    });
    let mut history = history("x", "default", 2);
    let x = expect::appliance(&plan, &name("x"), &history);
    assert_eq!((x.took, x.source), (minutes(6 + 10 + 45), Source::Configured));
    history.learn(&seen("other", "elsewhere", Step::Rejoin, 4));
    let x = expect::appliance(&plan, &name("x"), &history);
    assert_eq!((x.took, x.source), (minutes(6 + 10 + 4), Source::Fleet));
}

#[test]
fn a_cluster_takes_its_ranks_one_after_another() {
    let (mut plan, mut cluster) = plan(|_| ());
    let history = history("m1", "default", 2);
    let took = |plan: &Plan, cluster: &PlannedCluster| {
        let expected = expect::cluster(plan, cluster, &history);
        assert_eq!(expected.source, Source::Site, "the others were never seen");
        expected.took
    };
    let verify = 10;
    assert_eq!(took(&plan, &cluster), minutes(5 * 6 + verify));
    cluster.parallel = 2;
    assert_eq!(took(&plan, &cluster), minutes(4 * 6 + verify));
    cluster.parallel = 3;
    assert_eq!(took(&plan, &cluster), minutes(3 * 6 + verify));
    let gap = expect::audit_gap(&plan, &cluster, &history);
    assert_eq!((gap.took, gap.source), (minutes(18), Source::Site));

    plan.drain = Some(Drain { sessions: 0, wait: minutes(20), otherwise: DrainOtherwise::Hold });
    assert_eq!(took(&plan, &cluster), minutes(3 * 6 + verify + 20), "all drain at once");
    assert_eq!(expect::audit_gap(&plan, &cluster, &history).took, minutes(18));

    plan.limits.unavailable = 2;
    assert_eq!(took(&plan, &cluster), minutes(4 * 6 + verify + 20), "cut to the limit");
    cluster.ranks = vec![vec![name("h")], vec![name("cm")]];
    assert_eq!(expect::audit_gap(&plan, &cluster, &history).took, SignedDuration::ZERO);
}

#[test]
fn smaller_limits_of_sites_and_groups_make_more_rounds() {
    let group = || GroupName::new("g").expect("a name");
    let (mut plan, cluster) = plan(|a| a.group = Some(group()));
    let rank = &cluster.ranks[0];
    assert_eq!(expect::rounds(&plan, 3, rank), 1);
    assert_eq!(expect::rounds(&plan, 2, rank), 2);
    plan.groups.insert(group(), 1);
    assert_eq!(expect::rounds(&plan, 3, rank), 3);
    plan.groups.insert(group(), 3);
    let site = SiteName::new("default").expect("a name");
    plan.sites.insert(site, SiteLimits { unavailable: Some(2), ..SiteLimits::default() });
    assert_eq!(expect::rounds(&plan, 3, rank), 2);
}
