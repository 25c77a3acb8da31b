//! The one loop. What steps report is journalled first; then the core hears of it; then what the
//! core commands is carried out.

mod hooks;
mod tasks;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::decision::{Actor, Decision};
use model::event::{ActKind, Change, Draft, Event, RolloutChange};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::ports::{Appliance, Connector, Journal};
use model::run::Run;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::core::{Core, Rest};
use crate::limits::RequestLimits;
use crate::logins::Logins;
use crate::steps::{Message, Shared, TaskId};
use crate::{Ending, Options, Question, Snapshot};
use tasks::Task;
use writing::Asked;

/// Facts that are taken up in one transaction at most.
const BATCH: usize = 1024;

/// How long an act whose reply is under way is waited for when the program is told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Driver {
    pub(crate) core: Core,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) limits: RequestLimits,
    pub(crate) logins: Arc<Logins>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: mpsc::UnboundedReceiver<Message>,
    pub(crate) questions: mpsc::UnboundedReceiver<Question>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) options: Options,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) begun: BTreeMap<TaskId, Task>,
    pub(crate) current: BTreeMap<ApplianceName, TaskId>,
    /// Cancelled steps that are not over yet.
    pub(crate) dying: BTreeMap<ApplianceName, TaskId>,
    /// Steps that have said that they ended.
    pub(crate) ended: Vec<TaskId>,
    /// Whose step contradicted itself and was broken off; its hold is not written yet.
    pub(crate) contradicted: BTreeSet<ApplianceName>,
    /// Whose hold after a contradiction is written.
    pub(crate) held: Vec<ApplianceName>,
    pub(crate) by_runtime_id: HashMap<tokio::task::Id, TaskId>,
    pub(crate) ports: BTreeMap<ApplianceName, Arc<dyn Appliance>>,
    pub(crate) next_task: TaskId,
    /// What is to be written, oldest first; more than one batch only while writing fails.
    pub(crate) unwritten: VecDeque<Draft>,
    pub(crate) asked: Vec<Asked>,
    /// Whose decisions are answered once they are written.
    pub(crate) decided: Vec<oneshot::Sender<Result<(), String>>>,
    pub(crate) write_failures: usize,
    pub(crate) write_again_at: Option<Duration>,
    pub(crate) stops: u32,
    pub(crate) stop_by: Option<Duration>,
}

impl Driver {
    /// Runs until nothing goes on by itself any more.
    pub(crate) async fn run(mut self) -> Ending {
        let (now, pid) = (self.now(), std::process::id());
        self.draft(now, Change::Rollout(RolloutChange::RunStarted { pid }));
        let commands = self.core.begin(now);
        self.carry_out(commands);
        loop {
            self.write().await;
            if let Some(ending) = self.is_over() {
                return self.lay_down(ending).await;
            }
            self.wait().await;
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Waits for the next thing that happens, and takes it up.
    async fn wait(&mut self) {
        let pause = self.pause();
        let sleep = self.shared.clock.sleep(pause.unwrap_or(Duration::MAX));
        tokio::select! {
            biased;
            Some(question) = self.questions.recv() => self.answer(question),
            Some(message) = self.inbox.recv() => {
                self.take(message);
                while self.unwritten.len() + self.asked.len() < BATCH
                    && let Ok(message) = self.inbox.try_recv()
                {
                    self.take(message);
                }
            }
            Some(joined) = self.tasks.join_next_with_id() => self.joined(&joined),
            () = sleep, if pause.is_some() => {}
        }
        let commands = self.core.tick(self.now());
        self.carry_out(commands);
    }

    /// Until something is due by time alone.
    fn pause(&self) -> Option<Duration> {
        let wakeup = self
            .core
            .next_wakeup()
            .map(|at| Duration::try_from(at.duration_since(self.now())).unwrap_or_default());
        let until = |at: Duration| at.saturating_sub(self.shared.clock.monotonic());
        // Over and not renewed: there was nothing to write.
        let again = self.write_again_at.map(until).filter(|pause| !pause.is_zero());
        let stop = self.stop_by.map(until);
        // Whether the rollout is at rest also depends on time that passes for those who are down.
        let look = self.core.watches().then_some(Duration::from_secs(5));
        [wakeup, again, stop, look].into_iter().flatten().min()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Fact { task, name, at, change } => {
                if self.is_current(task) {
                    self.draft(at, Change::Appliance(name, change));
                }
            }
            Message::Intent { task, act, reply } => {
                if self.is_current(task) {
                    self.asked.push(Asked { task, act, reply });
                }
            }
            Message::Ended { task } => self.ended.push(task),
            Message::Hook { point, at, change } => {
                self.draft(at, Change::Rollout(RolloutChange::Hook { point, change }));
            }
        }
    }

    /// Logins are learnt by no step in particular: task 0.
    fn is_current(&self, task: TaskId) -> bool {
        task == 0 || self.begun.get(&task).is_some_and(|begun| !begun.cancelled)
    }

    fn draft(&mut self, at: Timestamp, change: Change) {
        let rollout = self.core.run().id.clone();
        self.unwritten.push_back(Draft { rollout, at, change });
    }

    fn answer(&mut self, question: Question) {
        match question {
            Question::Stop => self.stop(),
            Question::Snapshot(reply) => {
                // The asker may be gone.
                drop(reply.send(Snapshot {
                    run: self.core.run().clone(),
                    reasons: self.core.reasons(self.now()),
                    halted: self.core.halted(),
                }));
            }
            Question::Decide { actor, reason, decision, reply } => {
                match self.decide(actor, reason, decision) {
                    Ok(()) => self.decided.push(reply),
                    Err(why) => drop(reply.send(Err(why))),
                }
            }
        }
    }

    fn decide(&mut self, actor: Actor, reason: String, decision: Decision) -> Result<(), String> {
        if self.core.halted() {
            return Err(HoldReason::JournalNotWritable.to_string());
        }
        self.core.run().may_decide(&decision)?;
        let now = self.now();
        self.draft(now, Change::Rollout(RolloutChange::Decided { actor, reason, decision }));
        Ok(())
    }

    fn stop(&mut self) {
        self.stops += 1;
        if self.stops > 1 {
            self.stop_by = Some(self.shared.clock.monotonic());
            return;
        }
        self.core.stop();
        self.stop_by = Some(self.shared.clock.monotonic() + STOP_PATIENCE);
        // Only acts whose reply is under way are waited for; all else is looked at again next time.
        let idle: Vec<ApplianceName> = self
            .current
            .keys()
            .filter(|name| !awaits_reply(self.core.run(), name))
            .cloned()
            .collect();
        idle.iter().for_each(|name| self.cancel(name));
    }

    /// How the run ends, if it does now.
    fn is_over(&mut self) -> Option<Ending> {
        if let Some(by) = self.stop_by {
            let waited = self.shared.clock.monotonic() >= by;
            let busy = self.current.keys().any(|name| awaits_reply(self.core.run(), name));
            return (waited || !busy).then_some(Ending::Interrupted);
        }
        if !self.unwritten.is_empty() || !self.asked.is_empty() || !self.dying.is_empty() {
            return None;
        }
        let run = self.core.run();
        match self.core.at_rest(self.now(), self.options.no_wait)? {
            Rest::Ended if run.aborted => Some(Ending::Aborted),
            Rest::Ended => {
                let all = run.appliances.values().all(|state| state.phase.is_upgraded());
                Some(Ending::Finished { upgraded_all: all })
            }
            Rest::Person if run.aborted => Some(Ending::Aborted),
            Rest::Person => (!self.options.stay_for_person).then_some(Ending::Held),
            Rest::Time => self.options.no_wait.then(|| self.without_waiting()),
        }
    }

    /// What `--no-wait` says of a rollout in which only time is waited for.
    fn without_waiting(&self) -> Ending {
        let run = self.core.run();
        let person = run.appliances.values().any(|state| state.phase.needs_person());
        if person || run.pause.is_some() || run.breach.is_some() {
            Ending::Held
        } else {
            Ending::Waits
        }
    }

    /// Ends in good order: what is known is written.
    async fn lay_down(&mut self, ending: Ending) -> Ending {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message);
        }
        let why = ending.describe().to_owned();
        let now = self.now();
        self.draft(now, Change::Rollout(RolloutChange::RunStopped { why }));
        while !self.unwritten.is_empty() {
            if !self.write_batch().await {
                tracing::error!(
                    lost = self.unwritten.len(),
                    "the journal cannot be written; what was seen last is not in it and will be looked at again"
                );
                break;
            }
        }
        ending
    }
}

/// Whether an act was sent and its reply is under way: not the long watch after it.
fn awaits_reply(run: &Run, name: &ApplianceName) -> bool {
    use model::run::CallState;
    let Some(state) = run.appliances.get(name) else { return false };
    let Some(open) = &state.open else { return false };
    match open.act.kind() {
        ActKind::Upgrade => state.upgrade.as_ref().is_some_and(|u| u.call == CallState::Open),
        // An upload may take an hour: it is cut off and looked at next time.
        ActKind::Upload => false,
        ActKind::StartFetch
        | ActKind::DeleteFetch
        | ActKind::DeleteSlot
        | ActKind::Reboot
        | ActKind::PowerOff
        | ActKind::PowerOn => true,
    }
}
