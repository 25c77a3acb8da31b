//! Any fleet: random sites, windows, groups, clusters, pairs, limits, gates and faults, a program
//! that dies now and then, and a person who answers. No rule is broken, and everything ends.

use std::collections::BTreeMap;

use executor::{Ending, Options};
use jiff::SignedDuration;
use jiff::civil::Time;
use model::calendar::{Calendar, Close, Freeze, Window};
use model::decision::{Decision, PersonStep};
use model::fleet::{Appliance, ClusterMember, HaMode, Role, UpgradeCall};
use model::hold::HoldReason;
use model::names::{ApplianceName, ClusterName, GroupName, SiteName};
use model::plan::{Plan, PlannedCluster};
use model::random::Random;
use model::rollout::{Drain, DrainOtherwise, SiteLimits, StageMode};
use model::run::Phase;
use sim::{ApplianceSpec, Behaviour, Fault, FaultPlan, FaultRule, Illness, UpgradeMode};

use crate::prefixes::run_and_die;
use crate::world::{World, change, name, reboot_by_command, spec, wave};

/// Dice that say what they are thrown for.
struct Dice(Random);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound.max(1) as u64).unwrap_or_default()
    }

    fn one_in(&self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn minutes(&self, from: i64, to: i64) -> SignedDuration {
        let span = usize::try_from(to - from).unwrap_or_default();
        SignedDuration::from_mins(from + i64::try_from(self.below(span)).unwrap_or_default())
    }
}

/// What kind of appliance it is.
#[derive(Clone)]
enum Kind {
    Single,
    Arms,
    Pair(UpgradeCall),
    Member(usize, Vec<Role>),
}

struct Fleet {
    kinds: BTreeMap<ApplianceName, Kind>,
    sites: usize,
}

fn fleet(dice: &Dice, size: usize) -> Fleet {
    let mut kinds = BTreeMap::new();
    let mut cluster = 0;
    while kinds.len() < size {
        let of = |n: usize| name(&format!("a{n:03}"));
        if dice.one_in(9) && size - kinds.len() >= 4 {
            let minions = 1 + dice.below(3);
            let mut roles = vec![vec![Role::ManagedHost, Role::SearchMinion]; minions];
            if dice.one_in(2) {
                roles.push(vec![Role::ManagedHost, Role::SearchLocal]);
            }
            if dice.one_in(2) {
                roles.push(vec![Role::CentralManagement, Role::SearchLocal]);
                roles.push(vec![Role::ManagedHost, Role::SearchMaster]);
            } else {
                roles.push(vec![Role::CentralManagement, Role::SearchMaster]);
            }
            for roles in roles {
                kinds.insert(of(kinds.len()), Kind::Member(cluster, roles));
            }
            cluster += 1;
            continue;
        }
        let kind = match dice.below(10) {
            0 => Kind::Pair(UpgradeCall::Arms),
            1 => Kind::Pair(UpgradeCall::Reboots),
            2 | 3 => Kind::Arms,
            _ => Kind::Single,
        };
        kinds.insert(of(kinds.len()), kind);
    }
    Fleet { kinds, sites: 1 + dice.below(4) }
}

fn cluster_name(n: usize) -> ClusterName {
    ClusterName::new(&format!("c{n}")).expect("a name")
}

fn specs(fleet: &Fleet) -> Vec<ApplianceSpec> {
    let one = |(name, kind): (&ApplianceName, &Kind)| {
        let mut spec = spec(name.as_str());
        match kind {
            Kind::Single => {}
            Kind::Arms => spec.upgrade_call = UpgradeMode::Arms,
            Kind::Pair(call) => {
                spec.ha = true;
                let arms = *call == UpgradeCall::Arms;
                spec.upgrade_call = if arms { UpgradeMode::Arms } else { UpgradeMode::Reboots };
            }
            Kind::Member(cluster, roles) => {
                spec.roles = roles.iter().map(|role| role.name().to_owned()).collect();
                spec.cluster = Some(cluster_name(*cluster).to_string());
            }
        }
        spec
    };
    fleet.kinds.iter().map(one).collect()
}

fn faults(dice: &Dice, fleet: &Fleet) -> FaultPlan {
    let mut plan = FaultPlan::default();
    for name in fleet.kinds.keys() {
        if !dice.one_in(6) {
            continue;
        }
        let behaviour = match dice.below(9) {
            0 => Behaviour::Revert { times: 1 },
            1 => Behaviour::TestFails { summary: "no".to_owned(), times: Some(1) },
            2 => Behaviour::Outage { at: dice.minutes(0, 60), r#for: dice.minutes(1, 90) },
            3 => Behaviour::SlowBoot { by: dice.minutes(1, 20) },
            4 => Behaviour::FetchFails { times: 1, error: None },
            5 => Behaviour::Sessions {
                open: 4,
                from: SignedDuration::ZERO,
                until: Some(dice.minutes(10, 300)),
            },
            6 => Behaviour::FallsIll {
                after: dice.minutes(10, 120),
                r#for: None,
                with: Illness::Corrupted {},
            },
            7 => Behaviour::UpgradeIgnored { times: 1 },
            _ => Behaviour::DiskUsed { percent: 97.0 },
        };
        plan = plan.where_(name.as_str(), behaviour);
    }
    for request in [
        "POST /api/firmware/upgrade",
        "POST /api/firmware/fetch",
        "GET /api/info",
        "GET /api/cluster/status",
        "POWER /secondary/off",
        "POWER /secondary/on",
    ] {
        if dice.one_in(3) {
            let name = fleet.kinds.keys().nth(dice.below(fleet.kinds.len())).expect("somebody");
            plan = plan.with(FaultRule::once(request, Fault::ReplyLost).at(name.as_str()));
        }
    }
    plan
}

fn ranks(members: &[(ApplianceName, Vec<Role>)]) -> Vec<Vec<ApplianceName>> {
    let rank = |roles: &[Role]| match () {
        () if roles.contains(&Role::SearchMaster) => 3,
        () if roles.contains(&Role::CentralManagement) => 2,
        () if roles.contains(&Role::SearchMinion) => 0,
        () => 1,
    };
    let of = |n| {
        let members = members.iter().filter(|(_, roles)| rank(roles) == n);
        members.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    (0..4).map(of).filter(|rank| !rank.is_empty()).collect()
}

fn tune(dice: &Dice, fleet: &Fleet, plan: &mut Plan) {
    reboot_by_command(plan);
    let site = |n: usize| SiteName::new(&format!("s{n}")).expect("a name");
    let mut clusters: BTreeMap<usize, Vec<(ApplianceName, Vec<Role>)>> = BTreeMap::new();
    for (of, kind) in &fleet.kinds {
        let at = site(dice.below(fleet.sites));
        let group = dice.one_in(4).then(|| format!("g{}", dice.below(fleet.kinds.len() / 5 + 1)));
        let group = group.map(|group| GroupName::new(&group).expect("a name"));
        plan.groups.extend(group.clone().map(|group| (group, 1)));
        change(plan, of.as_str(), |entry: &mut Appliance| {
            (entry.site, entry.group) = (at, group);
            match kind {
                Kind::Single | Kind::Arms => {}
                Kind::Pair(call) => {
                    let sample = sim::sample::pair(of, HaMode::Automatic, *call);
                    (entry.ha, entry.reboot, entry.upgrade_call) =
                        (sample.ha, sample.reboot, *call);
                }
                Kind::Member(cluster, roles) => {
                    let name = cluster_name(*cluster);
                    entry.cluster = Some(ClusterMember { name, roles: roles.clone() });
                    clusters.entry(*cluster).or_default().push((of.clone(), roles.clone()));
                }
            }
        });
    }
    for (cluster, members) in &clusters {
        let manages =
            |(_, roles): &&(ApplianceName, Vec<Role>)| roles.contains(&Role::CentralManagement);
        let manager = members.iter().find(manages).expect("one manages").0.clone();
        let parallel = 1 + u32::try_from(dice.below(3)).unwrap_or_default();
        let planned = PlannedCluster { ranks: ranks(members), parallel, manager };
        plan.clusters.insert(cluster_name(*cluster), planned);
    }
    calendars(dice, fleet, plan, site);
    waves(dice, plan);
    plan.limits.unavailable = 1 + u32::try_from(dice.below(8)).unwrap_or_default();
    plan.limits.transfers = 1 + u32::try_from(dice.below(20)).unwrap_or_default();
    plan.failure_budget.count = Some(1 + u32::try_from(dice.below(5)).unwrap_or_default());
    if dice.one_in(4) {
        plan.stage = StageMode::InWindow;
    }
    if dice.one_in(3) {
        let otherwise = if dice.one_in(2) { DrainOtherwise::Hold } else { DrainOtherwise::Proceed };
        let wait = dice.minutes(5, 40);
        plan.drain = Some(Drain { sessions: 1, wait, otherwise });
    }
    if dice.one_in(4) {
        crate::waits::via(plan);
    }
}

fn calendars(dice: &Dice, fleet: &Fleet, plan: &mut Plan, site: impl Fn(usize) -> SiteName) {
    plan.sites = (0..fleet.sites)
        .map(|n| {
            let limit = 1 + u32::try_from(dice.below(3)).unwrap_or_default();
            let unavailable = dice.one_in(2).then_some(limit);
            (site(n), SiteLimits { unavailable, ..SiteLimits::default() })
        })
        .collect();
    for n in (0..fleet.sites).filter(|_| dice.one_in(2)) {
        let hour = |h: usize| Time::constant(i8::try_from(h % 24).unwrap_or_default(), 0, 0, 0);
        let from = dice.below(24);
        // Long enough for a cluster, so that the story ends this year.
        let nightly = Window::Weekly {
            days: [true; 7],
            from: hour(from),
            to: Close::At(hour(from + 12 + dice.below(8))),
        };
        let freeze = dice.one_in(3).then(|| Freeze {
            from: "2026-12-02T00:00".parse().expect("a time"),
            to: "2026-12-04T12:00".parse().expect("a time"),
            reason: None,
        });
        let zones = ["UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata"];
        let calendar = Calendar {
            time_zone: zones[dice.below(zones.len())].to_owned(),
            windows: vec![vec![nightly]],
            freezes: freeze.into_iter().collect(),
        };
        plan.calendars.insert(site(n), calendar);
    }
}

/// A canary, a part, the rest; clusters whole.
fn waves(dice: &Dice, plan: &mut Plan) {
    let count = 1 + dice.below(3);
    let mut members: Vec<Vec<ApplianceName>> = vec![Vec::new(); count];
    for name in plan.appliances.keys().filter(|name| plan.cluster_of(name).is_none()) {
        members[dice.below(count)].push(name.clone());
    }
    for cluster in plan.clusters.values() {
        members[dice.below(count)].extend(cluster.members().cloned());
    }
    members.retain(|members| !members.is_empty());
    plan.waves =
        members.iter().enumerate().map(|(n, members)| wave(&format!("w{n}"), members)).collect();
    for wave in &mut plan.waves {
        if dice.one_in(3) {
            wave.soak = dice.minutes(10, 240);
        }
        wave.approval = dice.one_in(4);
    }
}

/// What a person answers to whatever is waited for.
fn answers(dice: &Dice, world: &World, patience: usize) -> Vec<Decision> {
    let run = world.folded();
    let mut answers = Vec::new();
    if run.pause.is_some() || run.breach.is_some() || run.soak_failed.is_some() {
        answers.push(Decision::Resume);
    }
    for wave in run.plan.waves.iter().filter(|wave| wave.approval) {
        answers.push(Decision::Approve { wave: wave.name.clone() });
    }
    let in_cluster = |name: &ApplianceName| run.plan.cluster_of(name).is_some();
    for (name, state) in &run.appliances {
        let appliances = vec![name.clone()];
        match (state.phase, &state.hold) {
            (Phase::Unknown, _) => {
                let done = world.upgrades(name.as_str()) > state.hop;
                answers.push(Decision::Resolve { appliance: name.clone(), done });
            }
            (Phase::Attended, Some(hold)) => answers.extend(attend(world, name, hold)),
            (Phase::Failed, _) if patience > 6 && (in_cluster(name) || dice.one_in(3)) => {
                answers.push(Decision::Retry { appliances });
            }
            // One that failed again and again is left out, and its cluster goes on.
            (Phase::Failed, _) if in_cluster(name) => answers.push(Decision::Skip { appliances }),
            (Phase::Held, _) if patience > 0 => answers.push(Decision::Retry { appliances }),
            (Phase::Held, _) => answers.push(Decision::Skip { appliances }),
            _ => {}
        }
    }
    if patience == 0 {
        // Enough is enough: whatever still waits is left out.
        let waiting = run.appliances.iter().filter(|(_, run)| !run.phase.is_terminal());
        for (name, _) in waiting {
            answers.push(Decision::Skip { appliances: vec![name.clone()] });
        }
    }
    answers
}

fn attend(world: &World, name: &ApplianceName, hold: &HoldReason) -> Option<Decision> {
    let step = match hold {
        HoldReason::AttendedStep { step, .. } | HoldReason::PowerFailed { step, .. } => *step,
        HoldReason::SecondaryNotProven { .. } => PersonStep::SecondaryOff,
        HoldReason::ArmedOutsideWindow { .. } => return None,
        _ => PersonStep::Reboot,
    };
    let appliance = world.fleet.appliance(name.as_str()).expect("it is there");
    match step {
        PersonStep::SecondaryOff => appliance.secondary_off(),
        PersonStep::SecondaryOn => appliance.secondary_on(),
        PersonStep::Reboot => appliance.reboot(),
        PersonStep::PeerHasFirmware | PersonStep::PairHealthy => {}
    }
    Some(Decision::Confirm { appliance: name.clone(), step })
}

async fn tell(seed: u64, size: usize) {
    let dice = Dice(Random::seeded(seed));
    let made = fleet(&dice, size);
    let faults = faults(&dice, &made);
    let world = World::new(specs(&made), faults, |plan| tune(&dice, &made, plan)).await;
    let mut ending = None;
    for patience in (0..16_usize).map(|round| 12_usize.saturating_sub(round)) {
        if dice.one_in(2) {
            let limit = std::time::Duration::from_hours(24 * 500);
            let died = run_and_die(&world, 1 + dice.below(400));
            let died = tokio::time::timeout(limit, died).await;
            log(&world);
            assert!(died.is_ok(), "seed {seed} hangs");
        }
        let end = world.run_with(Options::default()).await;
        ending = Some(end);
        match end {
            Ending::Held => {
                for answer in answers(&dice, &world, patience) {
                    if world.folded().may_decide(&answer).is_ok() {
                        world.decide(answer).await;
                    }
                }
                world.ports.clock.sleep(std::time::Duration::from_hours(1)).await;
            }
            _ => break,
        }
    }
    let finished = matches!(ending, Some(Ending::Finished { .. }));
    let run = world.folded();
    let waiting: Vec<String> = run
        .appliances
        .iter()
        .filter(|(_, state)| !state.phase.is_terminal())
        .map(|(name, state)| format!("{name}: {} {:?}", state.phase.name(), state.hold))
        .collect();
    let mut limits = crate::rules::limits(&world, finished);
    limits.given_up.extend(crate::rules::came_late(&world));
    log(&world);
    let broken = sim::ledger::observer::violations(world.ledger(), &limits);
    assert!(broken.is_empty(), "seed {seed}, {size}: {broken:#?}");
    assert!(
        finished,
        "seed {seed}, {size}: {ending:?}, pause {:?}, breach {:?}, ill {:?}, {waiting:#?}\n{}",
        run.pause,
        run.breach,
        run.soak_failed,
        world.story()
    );
}

/// The whole story, where somebody wants to read it.
fn log(world: &World) {
    let Ok(path) = std::env::var("ANY_LOG") else { return };
    let events = world.journal.all();
    let line = |event: &model::event::Event| format!("{} {:?}", event.at, event.change);
    let mut lines: Vec<String> = events.iter().map(line).collect();
    let now = world.ports.clock.now();
    for (name, why) in executor::reasons(&world.folded(), &Default::default(), now) {
        lines.push(format!("{now} {name}: {} {why}", why.code()));
    }
    std::fs::write(path, lines.join("\n")).expect("written");
}

fn seeds(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let given = std::env::var("ANY_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let many = std::env::var("ANY_COUNT").ok().and_then(|count| count.parse::<u64>().ok());
    match given {
        Some(seed) => seed..seed + many.unwrap_or(1),
        None => default,
    }
}

#[tokio::test(start_paused = true)]
async fn any_small_fleet_keeps_the_rules_and_ends() {
    for seed in seeds(0..24) {
        tell(seed, 4 + usize::try_from(seed).unwrap_or_default() % 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn any_large_fleet_keeps_the_rules_and_ends() {
    for seed in seeds(1000..1001) {
        tell(seed, 300).await;
    }
}
