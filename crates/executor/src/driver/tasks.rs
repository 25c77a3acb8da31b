//! Steps under way: begun, broken off, ended.

use std::sync::Arc;

use model::event::{ApplianceChange, Change, Step};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::ports::{Appliance, LoginGate};
use tokio::task::AbortHandle;

use super::Driver;
use crate::core::Command;
use crate::steps::{Context, Message, perform};

/// A begun step.
pub(crate) struct Task {
    pub(super) name: ApplianceName,
    handle: AbortHandle,
    pub(super) cancelled: bool,
    /// What is to begin for this appliance once the cancelled step is really over.
    then: Option<Step>,
}

impl Driver {
    /// Tells the core of steps that have ended, after all that they reported is written.
    pub(super) fn end_tasks(&mut self) {
        for name in std::mem::take(&mut self.held) {
            let commands = self.core.ended(&name, self.now());
            self.carry_out(commands);
        }
        for id in std::mem::take(&mut self.ended) {
            if !self.is_current(id) {
                continue;
            }
            if let Some(task) = self.begun.remove(&id) {
                self.current.remove(&task.name);
                let commands = self.core.ended(&task.name, self.now());
                self.carry_out(commands);
            }
        }
    }

    /// A task is over for the runtime: it was cancelled, or it panicked, or it had said so before.
    pub(super) fn joined(
        &mut self,
        joined: &Result<(tokio::task::Id, ()), tokio::task::JoinError>,
    ) {
        let id = match joined {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(task) = self.by_runtime_id.remove(&id) else { return };
        let panicked = joined.as_ref().is_err_and(tokio::task::JoinError::is_panic);
        if panicked && let Some(begun) = self.begun.get(&task) {
            self.ended.push(task);
            let (name, now) = (begun.name.clone(), self.shared.clock.now());
            tracing::error!(appliance = %name, "a step panicked");
            let detail = "spsfleet failed inside a step; please report this".to_owned();
            let held = ApplianceChange::Held(HoldReason::Refused { detail });
            self.draft(now, Change::Appliance(name, held));
            return;
        }
        if self.begun.get(&task).is_some_and(|begun| begun.cancelled)
            && let Some(gone) = self.begun.remove(&task)
        {
            self.dying.remove(&gone.name);
            if let Some(step) = gone.then {
                self.begin(&gone.name, step);
            }
        }
    }

    pub(super) fn carry_out(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Record(change) => {
                    let now = self.now();
                    self.draft(now, change);
                }
                Command::Cancel(name) => self.cancel(&name),
                Command::Start(name, step) => self.begin(&name, step),
                Command::Hook { point, leftover } => self.run_hook(point, leftover),
            }
        }
    }

    pub(super) fn cancel(&mut self, name: &ApplianceName) {
        if let Some(dying) = self.dying.get(name).and_then(|id| self.begun.get_mut(id)) {
            dying.then = None;
        }
        if let Some(id) = self.current.remove(name)
            && let Some(task) = self.begun.get_mut(&id)
        {
            task.cancelled = true;
            task.handle.abort();
            self.dying.insert(name.clone(), id);
        }
    }

    fn begin(&mut self, name: &ApplianceName, step: Step) {
        // A cancelled step may be in the middle of a call until it is really over.
        if let Some(before) = self.dying.get(name).and_then(|id| self.begun.get_mut(id)) {
            before.then = Some(step);
            return;
        }
        let run = self.core.run();
        let plan = Arc::clone(&run.plan);
        let known = plan.appliances.get(name).or_else(|| plan.bystanders.get(name)).cloned();
        let Some(appliance) = known else { return };
        let state = run.appliances.get(name).cloned();
        let lifted = run.lifted.get(&appliance.site).copied();
        let in_begun_cluster = run.is_in_begun_cluster(name);
        let port = self.port(name);
        let others = plan.appliances.values().chain(plan.bystanders.values());
        let group =
            appliance.group.clone().filter(|_| matches!(step, Step::Activate | Step::Return));
        let partners: Vec<ApplianceName> = others
            .filter(|other| group.is_some() && other.group == group && other.name != *name)
            .map(|other| other.name.clone())
            .collect();
        let partners = partners.into_iter().map(|name| (name.clone(), self.port(&name))).collect();
        let members = self.members_of(name, step);
        self.next_task += 1;
        let task = self.next_task;
        let context = Context {
            task,
            name: name.clone(),
            appliance,
            run: state.unwrap_or_else(|| model::run::ApplianceRun::new(self.now())),
            plan,
            port,
            partners,
            lifted,
            in_begun_cluster,
            members,
            shared: Arc::clone(&self.shared),
        };
        let messages = self.shared.messages.clone();
        let handle = self.tasks.spawn(async move {
            perform(step, context).await;
            // Without a driver there is nobody to tell.
            drop(messages.send(Message::Ended { task }));
        });
        self.by_runtime_id.insert(handle.id(), task);
        let begun = Task { name: name.clone(), handle, cancelled: false, then: None };
        self.begun.insert(task, begun);
        self.current.insert(name.clone(), task);
    }

    /// What is known of the members of its cluster, for the steps that speak for the whole.
    fn members_of(
        &self,
        name: &ApplianceName,
        step: Step,
    ) -> std::collections::BTreeMap<ApplianceName, model::run::ApplianceRun> {
        let run = self.core.run();
        let cluster =
            run.plan.cluster_of(name).filter(|_| matches!(step, Step::Roster | Step::Sync));
        let members = cluster.into_iter().flat_map(|(_, cluster)| cluster.members());
        members.filter_map(|name| Some((name.clone(), run.appliances.get(name)?.clone()))).collect()
    }

    fn port(&mut self, name: &ApplianceName) -> Arc<dyn Appliance> {
        if let Some(port) = self.ports.get(name) {
            return Arc::clone(port);
        }
        let plan = &self.core.run().plan;
        let known = plan.appliances.get(name).or_else(|| plan.bystanders.get(name));
        let Some(appliance) = known else { unreachable!("only planned appliances have steps") };
        let throttle = self.limits.throttle(&appliance.site);
        let logins = Arc::clone(&self.logins) as Arc<dyn LoginGate>;
        let port = self.connector.connect(appliance, throttle, logins);
        self.ports.insert(name.clone(), Arc::clone(&port));
        port
    }
}
