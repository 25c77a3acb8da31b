//! Goes through the waves of a plan, and tells what became of each appliance.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use model::expect;
use model::fleet::{Appliance, HaMode, Reboot, UpgradeCall};
use model::history::{Expected, History, Source};
use model::plan::{Plan, PlannedCluster};
use model::rollout::StageMode;

use super::course::Course;
use super::openings::Openings;
use super::staging::{self, Transfers};
use super::unit::{self, Limits, Unit};
use super::{ApplianceForecast, ClusterForecast, Forecast, NeverFits, WaveForecast};

/// What is known of an appliance's staging.
type Staged = (Option<Timestamp>, Source);

pub(super) fn run(plan: &Plan, history: &History, from: Timestamp) -> Forecast {
    let mut openings = Openings::new(plan, from);
    let limits = Limits::new(plan);
    let mut transfers = Transfers::new(plan, from);
    let mut forecast = Forecast {
        from,
        end: from,
        waves: Vec::with_capacity(plan.waves.len()),
        appliances: BTreeMap::new(),
        clusters: BTreeMap::new(),
        never: Vec::new(),
    };
    for wave in &plan.waves {
        let begin = forecast.end;
        let mut units = unit::of_wave(plan, wave, history, &limits, &openings);
        if plan.stage == StageMode::InWindow {
            transfers = Transfers::new(plan, begin);
        }
        let mut staged: Vec<Vec<Staged>> = Vec::with_capacity(units.len());
        for unit in &mut units {
            let mut of_unit = Vec::with_capacity(unit.members.len());
            let mut ready = Some(begin);
            for member in &unit.members {
                let Expected { took, source } = staging::expected(plan, member, history);
                let at = transfers.stage(member, took, &mut openings);
                ready = ready.zip(at).map(|(ready, at)| ready.max(at));
                unit.staging = unit.staging.max(took);
                of_unit.push((at, source));
            }
            unit.ready = ready;
            staged.push(of_unit);
        }
        let mut course = Course::new(plan, &limits, &mut openings, &mut units, begin);
        course.run();
        let end = units.iter().filter_map(|unit| unit.end).max().unwrap_or(begin);
        let soaked = end.saturating_add(wave.soak).unwrap_or(Timestamp::MAX);
        forecast.waves.push(WaveForecast {
            name: wave.name.clone(),
            start: units.iter().filter_map(|unit| unit.start).min(),
            end,
            soaked,
            waits_for_person: wave.approval,
        });
        forecast.end = soaked;
        for (unit, staged) in units.iter().zip(staged) {
            tell(plan, history, &openings, unit, &staged, &mut forecast);
        }
    }
    forecast
}

/// Writes down what became of a unit.
fn tell(
    plan: &Plan,
    history: &History,
    openings: &Openings<'_>,
    unit: &Unit<'_>,
    staged: &[Staged],
    forecast: &mut Forecast,
) {
    let after = |at: Timestamp, by: SignedDuration| at.saturating_add(by).unwrap_or(Timestamp::MAX);
    let whole = unit.start.zip(unit.end);
    // Where in the cluster's course a member has its turn; the first hop begins it, the last ends.
    let mut turns = unit.cluster.map(|(_, cluster)| Turns::new(plan, cluster, history));
    for (member, (staged, staging)) in unit.members.iter().zip(staged) {
        let own = match unit.cluster {
            Some(_) => expect::member(plan, &member.name, history),
            None => unit.need,
        };
        let turn = turns.as_mut().and_then(Turns::next);
        let (start, end) = match (whole, turn) {
            (Some((start, end)), Some(turn)) => {
                let last = end.saturating_sub(unit.need.took).unwrap_or(Timestamp::MIN);
                (Some(after(start, turn)), Some(after(after(last, turn), own.took)))
            }
            (Some((start, end)), None) => (Some(start), Some(end)),
            (None, _) => (None, None),
        };
        let predicted = ApplianceForecast {
            staged: *staged,
            staging: *staging,
            start,
            end,
            expected: own,
            waits_for_person: waits_for_person(member),
        };
        forecast.appliances.insert(member.name.clone(), predicted);
    }
    if let Some((name, cluster)) = unit.cluster {
        let predicted = ClusterForecast {
            start: unit.start,
            end: unit.end,
            expected: unit.need,
            audit_gap: expect::audit_gap(plan, cluster, history),
        };
        forecast.clusters.insert(name.clone(), predicted);
    }
    if whole.is_none() {
        let longest = unit.calendars.iter().filter_map(|calendar| openings.longest(*calendar));
        forecast.never.push(NeverFits {
            cluster: unit.cluster.map(|(name, _)| name.clone()),
            appliances: unit.members.iter().map(|member| member.name.clone()).collect(),
            need: unit.need,
            longest: longest.min(),
        });
    }
}

/// When each member of a cluster has its turn, from the beginning of the cluster on.
struct Turns(std::vec::IntoIter<SignedDuration>);

impl Turns {
    fn new(plan: &Plan, cluster: &PlannedCluster, history: &History) -> Self {
        let mut at = plan.drain.as_ref().map_or(SignedDuration::ZERO, |drain| drain.wait);
        let mut turns = Vec::new();
        for rank in &cluster.ranks {
            let longest = rank.iter().map(|name| expect::member(plan, name, history).took);
            let longest = longest.max().unwrap_or_default();
            let rounds = expect::rounds(plan, cluster.parallel, rank);
            let at_once = rank.len().div_ceil(usize::try_from(rounds).unwrap_or(1).max(1));
            for round in rank.chunks(at_once.max(1)) {
                turns.extend(std::iter::repeat_n(at, round.len()));
                at = at.saturating_add(longest);
            }
        }
        Self(turns.into_iter())
    }

    fn next(&mut self) -> Option<SignedDuration> {
        self.0.next()
    }
}

fn waits_for_person(appliance: &Appliance) -> bool {
    let attended = appliance.ha.as_ref().is_some_and(|ha| ha.mode == HaMode::Attended);
    attended || appliance.upgrade_call == UpgradeCall::Arms && appliance.reboot == Reboot::Operator
}
