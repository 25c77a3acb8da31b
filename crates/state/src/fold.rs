//! The folded runs that the writer keeps, with an undo log: an event is judged before it is
//! written, and a transaction that does not commit leaves no trace here either.

use std::collections::{BTreeMap, BTreeSet};

use model::event::{
    ApplianceChange, Change, Draft, Event, HookPoint, LoginMemory, RolloutChange, Seq, StepDuration,
};
use model::memory::fold;
use model::ports::JournalError;
use model::run::{ApplianceRun, ClusterRun, HookRecord, Run};
use model::{ApplianceName, ClusterName, RolloutId};

use crate::codec::whole_micros;

/// A rollout as its log says.
#[derive(Debug)]
pub(crate) struct Folded {
    /// The fold.
    pub(crate) run: Run,
    /// The event whose plan is in force.
    pub(crate) plan_seq: Seq,
    /// Whether its status rows were written by another version of the program.
    pub(crate) stale: bool,
}

#[derive(Debug)]
struct Before {
    run: Option<Run>,
    plan_seq: Seq,
}

#[derive(Debug)]
enum Undo {
    Rollout { id: RolloutId, before: Box<Before> },
    Appliance { rollout: RolloutId, name: ApplianceName, before: Box<MemberBefore> },
    Hook { rollout: RolloutId, point: HookPoint, seq: Seq, before: Option<HookRecord> },
    Logins(Box<LoginMemory>),
}

#[derive(Debug)]
struct MemberBefore {
    seq: Seq,
    run: Option<ApplianceRun>,
    counted: bool,
    dark: bool,
    soak_failed: Option<ApplianceName>,
    cluster: Option<(ClusterName, Option<ClusterRun>)>,
}

/// A point to go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    undo: usize,
    next: Seq,
}

/// What a transaction has to write besides the events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Rollouts with any event.
    pub(crate) rollouts: BTreeSet<RolloutId>,
    /// Rollouts with a new plan: all their members are written anew.
    pub(crate) planned: BTreeSet<RolloutId>,
    /// Members that changed, of other rollouts.
    pub(crate) members: BTreeSet<(RolloutId, ApplianceName)>,
    /// Hooks that changed, of other rollouts than those with a new plan.
    pub(crate) hooks: BTreeSet<(RolloutId, HookPoint)>,
    /// Appliances whose refused passwords changed.
    pub(crate) refused: BTreeSet<ApplianceName>,
    /// Login definitions that are proven now.
    pub(crate) proven: Vec<model::CredentialId>,
}

/// All rollouts that may change, and what is remembered beside them.
#[derive(Debug, Default)]
pub(crate) struct Fold {
    runs: BTreeMap<RolloutId, Run>,
    plan_seqs: BTreeMap<RolloutId, Seq>,
    /// Rollouts whose rows are of another program's fold: the first write puts all of them.
    stale: BTreeSet<RolloutId>,
    logins: LoginMemory,
    last: Seq,
    undo: Vec<Undo>,
}

impl Fold {
    /// Starts after this event with what is remembered of logins.
    pub(crate) fn new(last: Seq, logins: LoginMemory) -> Self {
        Self { last, logins, ..Self::default() }
    }

    /// Takes a rollout in that was folded from the log, whose rows may be of another program.
    pub(crate) fn insert(&mut self, folded: Folded) {
        let id = folded.run.id.clone();
        if folded.stale {
            self.stale.insert(id.clone());
        }
        self.put(id, folded.run, folded.plan_seq);
    }

    fn put(&mut self, id: RolloutId, run: Run, plan_seq: Seq) {
        self.plan_seqs.insert(id.clone(), plan_seq);
        self.runs.insert(id, run);
    }

    pub(crate) fn run(&self, id: &RolloutId) -> Option<&Run> {
        self.runs.get(id)
    }

    pub(crate) fn plan_seq(&self, id: &RolloutId) -> Seq {
        self.plan_seqs.get(id).copied().unwrap_or_default()
    }

    pub(crate) fn logins(&self) -> &LoginMemory {
        &self.logins
    }

    /// The last event's number.
    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { undo: self.undo.len(), next: self.last }
    }

    /// Folds one event in.
    ///
    /// # Errors
    /// When it cannot happen; the caller then rolls back to its mark.
    pub(crate) fn apply(
        &mut self,
        draft: &Draft,
    ) -> Result<(Event, Option<StepDuration>), JournalError> {
        let event = Event {
            seq: self.last + 1,
            rollout: draft.rollout.clone(),
            at: whole_micros(draft.at),
            change: draft.change.clone(),
        };
        self.remember(&event);
        let took = fold(&mut self.runs, &event)?;
        self.last = event.seq;
        if is_plan(&event.change) {
            self.plan_seqs.insert(event.rollout.clone(), event.seq);
        }
        if touches_logins(&event.change) {
            self.undo.push(Undo::Logins(Box::new(self.logins.clone())));
            self.logins.apply(&event.change);
        }
        Ok((event, took))
    }

    fn remember(&mut self, event: &Event) {
        let id = &event.rollout;
        let run = self.runs.get(id);
        let undo = match (&event.change, run) {
            (Change::Appliance(name, _), Some(run)) => Undo::Appliance {
                rollout: id.clone(),
                name: name.clone(),
                before: Box::new(MemberBefore::of(run, name)),
            },
            // A rollout may have very many: no copy of the whole for each.
            (Change::Rollout(RolloutChange::Hook { point, .. }), Some(run)) => Undo::Hook {
                rollout: id.clone(),
                point: point.clone(),
                seq: run.seq,
                before: run.hooks.get(point).cloned(),
            },
            (_, run) => {
                let before = Before { run: run.cloned(), plan_seq: self.plan_seq(id) };
                Undo::Rollout { id: id.clone(), before: Box::new(before) }
            }
        };
        self.undo.push(undo);
    }

    /// Undoes everything since the mark.
    pub(crate) fn roll_back(&mut self, mark: Mark) {
        while self.undo.len() > mark.undo {
            match self.undo.pop() {
                Some(Undo::Rollout { id, before }) => match before.run {
                    Some(run) => self.put(id, run, before.plan_seq),
                    None => {
                        self.runs.remove(&id);
                        self.plan_seqs.remove(&id);
                    }
                },
                Some(Undo::Appliance { rollout, name, before }) => {
                    if let Some(run) = self.runs.get_mut(&rollout) {
                        before.restore(run, name);
                    }
                }
                Some(Undo::Hook { rollout, point, seq, before }) => {
                    if let Some(run) = self.runs.get_mut(&rollout) {
                        run.seq = seq;
                        put_back(&mut run.hooks, point, before);
                    }
                }
                Some(Undo::Logins(logins)) => self.logins = *logins,
                None => break,
            }
        }
        self.last = mark.next;
    }

    /// What changed since the last [`Fold::settle`].
    pub(crate) fn touched(&self) -> Touched {
        let mut touched = Touched::default();
        for undo in &self.undo {
            match undo {
                Undo::Rollout { id, before } => self.touched_by_rollout(id, before, &mut touched),
                Undo::Appliance { rollout, name, .. } => {
                    touched.rollouts.insert(rollout.clone());
                    let member = self.run(rollout).is_some_and(|r| r.appliances.contains_key(name));
                    if member {
                        touched.members.insert((rollout.clone(), name.clone()));
                    }
                }
                Undo::Hook { rollout, point, .. } => {
                    touched.rollouts.insert(rollout.clone());
                    touched.hooks.insert((rollout.clone(), point.clone()));
                }
                Undo::Logins(before) => self.touched_logins(before, &mut touched),
            }
        }
        touched.planned.extend(touched.rollouts.intersection(&self.stale).cloned());
        touched.members.retain(|(rollout, _)| !touched.planned.contains(rollout));
        touched.hooks.retain(|(rollout, _)| !touched.planned.contains(rollout));
        touched
    }

    fn touched_by_rollout(&self, id: &RolloutId, before: &Before, touched: &mut Touched) {
        touched.rollouts.insert(id.clone());
        let (Some(old), Some(new)) = (&before.run, self.run(id)) else {
            touched.planned.insert(id.clone());
            return;
        };
        if before.plan_seq != self.plan_seq(id) {
            touched.planned.insert(id.clone());
            return;
        }
        // A decision changes the members it names: found by comparing, so that no kind is missed.
        for (name, run) in &new.appliances {
            if old.appliances.get(name) != Some(run) {
                touched.members.insert((id.clone(), name.clone()));
            }
        }
        for point in old.hooks.keys().chain(new.hooks.keys()) {
            if old.hooks.get(point) != new.hooks.get(point) {
                touched.hooks.insert((id.clone(), point.clone()));
            }
        }
    }

    fn touched_logins(&self, before: &LoginMemory, touched: &mut Touched) {
        let names = before.refused.keys().chain(self.logins.refused.keys());
        for name in names {
            if before.refused.get(name) != self.logins.refused.get(name) {
                touched.refused.insert(name.clone());
            }
        }
        for credential in &self.logins.proven {
            if !before.proven.contains(credential) && !touched.proven.contains(credential) {
                touched.proven.push(credential.clone());
            }
        }
    }

    /// The transaction is durable: nothing can be undone any more. Rollouts that have ended are
    /// let go when another one is there, so that a service does not grow with its past.
    pub(crate) fn settle(&mut self) {
        for undo in &self.undo {
            if let Undo::Rollout { id, .. }
            | Undo::Appliance { rollout: id, .. }
            | Undo::Hook { rollout: id, .. } = undo
            {
                self.stale.remove(id);
            }
        }
        let new_one =
            |undo: &Undo| matches!(undo, Undo::Rollout { before, .. } if before.run.is_none());
        if self.undo.iter().any(new_one) {
            self.runs.retain(|_, run| !run.has_ended());
            let runs = &self.runs;
            self.plan_seqs.retain(|id, _| runs.contains_key(id));
        }
        self.undo.clear();
    }
}

impl MemberBefore {
    fn of(run: &Run, name: &ApplianceName) -> Self {
        let cluster = run.plan.appliances.get(name).and_then(|member| member.cluster.as_ref());
        Self {
            seq: run.seq,
            run: run.appliances.get(name).cloned(),
            counted: run.counted.contains(name),
            dark: run.dark_bystanders.contains(name),
            soak_failed: run.soak_failed.clone(),
            cluster: cluster
                .map(|member| (member.name.clone(), run.clusters.get(&member.name).cloned())),
        }
    }

    fn restore(self, run: &mut Run, name: ApplianceName) {
        run.seq = self.seq;
        set(&mut run.counted, &name, self.counted);
        set(&mut run.dark_bystanders, &name, self.dark);
        run.soak_failed = self.soak_failed;
        if let Some((cluster, before)) = self.cluster {
            put_back(&mut run.clusters, cluster, before);
        }
        if let Some(before) = self.run {
            run.appliances.insert(name, before);
        }
    }
}

fn put_back<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => drop(map.insert(key, before)),
        None => drop(map.remove(&key)),
    }
}

fn set(names: &mut BTreeSet<ApplianceName>, name: &ApplianceName, there: bool) {
    if there {
        names.insert(name.clone());
    } else {
        names.remove(name);
    }
}

/// Whether the event puts a plan in force.
pub(crate) fn is_plan(change: &Change) -> bool {
    matches!(
        change,
        Change::Rollout(RolloutChange::PlanAccepted { .. } | RolloutChange::Replanned { .. })
    )
}

fn touches_logins(change: &Change) -> bool {
    matches!(
        change,
        Change::Appliance(_, ApplianceChange::Login { .. })
            | Change::Rollout(RolloutChange::Decided { .. })
    )
}
