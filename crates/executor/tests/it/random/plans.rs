//! Any plan that the planner could make: sites, groups, waves, limits and budgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::FirmwareVersion;
use model::fleet::Appliance;
use model::names::{ApplianceName, GroupName, SiteName, WaveName};
use model::plan::{Plan, PlannedWave};
use model::rollout::{FailureBudget, OnBreach, SiteLimits, StageMode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Numbers that make a plan, small ones for small plans.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// Limits on being down and on transfers.
    sites: Vec<(Option<u32>, Option<u32>)>,
    groups: Vec<u32>,
    /// Site, group and wave.
    members: Vec<(usize, Option<usize>, usize)>,
    /// Site and group.
    bystanders: Vec<(usize, usize)>,
    waves: Vec<Option<Budget>>,
    unavailable: u32,
    transfers: u32,
    budget: Budget,
    ahead: bool,
    adopt: bool,
}

/// Count, percent, and whether a breach aborts.
type Budget = (Option<u32>, Option<u32>, bool);

fn budget() -> impl Strategy<Value = Budget> {
    (option::of(1..6u32), option::of(1..=60u32), prop::bool::weighted(0.15))
}

pub(crate) fn parts() -> impl Strategy<Value = Parts> {
    let limit = || option::weighted(0.7, 1..4u32);
    let member = (0..4usize, option::weighted(0.4, 0..3usize), 0..4usize);
    let size = prop_oneof![4 => 1..8usize, 2 => 8..20usize, 1 => 20..=40usize];
    let members = size.prop_flat_map(move |size| vec(member.clone(), size));
    let waves = vec(option::weighted(0.3, budget()), 1..=4);
    let groups = (vec(1..4u32, 0..=3), vec((0..4usize, 0..3usize), 0..=4));
    let limits = (vec((limit(), limit()), 1..=4), 1..6u32, 1..6u32);
    let modes = (prop::bool::weighted(0.6), any::<bool>());
    (members, waves, groups, limits, budget(), modes).prop_map(
        |(members, waves, (groups, bystanders), limits, budget, (ahead, adopt))| {
            let (sites, unavailable, transfers) = limits;
            Parts {
                sites,
                groups,
                members,
                bystanders,
                waves,
                unavailable,
                transfers,
                budget,
                ahead,
                adopt,
            }
        },
    )
}

fn site(n: usize) -> SiteName {
    SiteName::new(&format!("site-{n}")).expect("a name")
}

fn group(n: usize) -> GroupName {
    GroupName::new(&format!("group-{n}")).expect("a name")
}

fn budget_of((count, percent, abort): &Budget) -> FailureBudget {
    let on_breach = if *abort { OnBreach::Abort } else { OnBreach::Pause };
    FailureBudget { count: *count, percent: *percent, on_breach }
}

fn appliance(name: &str, site: SiteName, group: Option<GroupName>) -> Arc<Appliance> {
    let name = ApplianceName::new(name).expect("a name");
    Arc::new(Appliance { site, group, ..sim::sample::appliance(&name) })
}

impl Parts {
    /// One site, one place to be down; a member for each wave named.
    pub(crate) fn plain(waves: &[usize], ahead: bool) -> Self {
        Self {
            sites: vec![(None, None)],
            groups: Vec::new(),
            members: waves.iter().map(|wave| (0, None, *wave)).collect(),
            bystanders: Vec::new(),
            waves: vec![None; waves.iter().max().map_or(1, |last| last + 1)],
            unavailable: 1,
            transfers: 1,
            budget: (None, None, false),
            ahead,
            adopt: true,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        let sites = self.sites.len();
        let in_group = |n: usize| (!self.groups.is_empty()).then(|| group(n % self.groups.len()));
        let mut waves: Vec<PlannedWave> = self.waves.iter().enumerate().map(wave).collect();
        let mut appliances = BTreeMap::new();
        for (n, (at, of, turn)) in self.members.iter().enumerate() {
            let group = of.and_then(in_group);
            let one = appliance(&format!("a{n:02}"), site(at % sites), group);
            let turn = turn % waves.len();
            waves[turn].appliances.push(one.name.clone());
            appliances.insert(one.name.clone(), one);
        }
        let beside = self.bystanders.iter().enumerate().filter_map(|(n, (at, of))| {
            let one = appliance(&format!("b{n:02}"), site(at % sites), Some(in_group(*of)?));
            Some((one.name.clone(), one))
        });
        let limits = |(unavailable, transfers): &(Option<u32>, Option<u32>)| SiteLimits {
            transfers: *transfers,
            unavailable: *unavailable,
            requests_per_second: None,
        };
        let mut plan = Plan {
            waves,
            appliances,
            bystanders: beside.collect(),
            sites: self.sites.iter().enumerate().map(|(n, of)| (site(n), limits(of))).collect(),
            groups: self.groups.iter().enumerate().map(|(n, of)| (group(n), *of)).collect(),
            stage: if self.ahead { StageMode::Ahead } else { StageMode::InWindow },
            failure_budget: budget_of(&self.budget),
            ..sim::sample::plan("random", [])
        };
        plan.firmware.adopt = self.adopt;
        plan.limits.transfers = self.transfers;
        plan.limits.unavailable = self.unavailable;
        plan
    }
}

fn wave((n, own): (usize, &Option<Budget>)) -> PlannedWave {
    PlannedWave {
        name: WaveName::new(&format!("wave-{n}")).expect("a name"),
        soak: jiff::SignedDuration::ZERO,
        approval: false,
        appliances: Vec::new(),
        failure_budget: own.as_ref().map(budget_of),
    }
}

/// What is rolled out.
pub(crate) fn target() -> FirmwareVersion {
    FirmwareVersion::parse("7.5.1").expect("a version")
}

/// What runs before.
pub(crate) fn old() -> FirmwareVersion {
    FirmwareVersion::parse("7.5.0").expect("a version")
}
