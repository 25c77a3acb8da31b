//! The one loop. What steps report is journalled first; then the core hears of it; then what the
//! core commands is carried out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use model::decision::{Actor, Decision};
use model::event::{Act, ActKind, ApplianceChange, Change, Draft, Event, RolloutChange, Step};
use model::hold::HoldReason;
use model::names::ApplianceName;
use model::ports::{Appliance, Connector, Journal, LoginGate};
use model::run::Run;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use crate::core::{Command, Core, Rest};
use crate::limits::RequestLimits;
use crate::logins::Logins;
use crate::steps::{Context, Message, Shared, TaskId, perform};
use crate::{Ending, Options, Question};

/// Facts that are taken up in one transaction at most.
const BATCH: usize = 1024;

/// How long an act whose reply is under way is waited for when the program is told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The pauses between tries to write a journal that refused.
const WRITE_AGAIN: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

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
    /// Whose step contradicted itself and was broken off.
    pub(crate) contradicted: Vec<ApplianceName>,
    pub(crate) by_runtime_id: HashMap<tokio::task::Id, TaskId>,
    pub(crate) ports: BTreeMap<ApplianceName, Arc<dyn Appliance>>,
    pub(crate) next_task: TaskId,
    /// What is to be written, oldest first; more than one batch only while writing fails.
    pub(crate) unwritten: VecDeque<Draft>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) write_failures: usize,
    pub(crate) write_again_at: Option<Duration>,
    pub(crate) stops: u32,
    pub(crate) stop_by: Option<Duration>,
}

/// An act that a step asks leave for.
pub(crate) struct Asked {
    task: TaskId,
    act: Act,
    reply: oneshot::Sender<Result<(), HoldReason>>,
}

/// A begun step.
pub(crate) struct Task {
    name: ApplianceName,
    handle: AbortHandle,
    cancelled: bool,
    /// What is to begin for this appliance once the cancelled step is really over.
    then: Option<Step>,
}

impl Driver {
    /// Runs until nothing goes on by itself any more.
    pub(crate) async fn run(mut self) -> Ending {
        let commands = self.core.begin(self.now());
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
        let again = self.write_again_at.map(until);
        let stop = self.stop_by.map(until);
        // Whether the rollout is at rest also depends on time that passes for those who are down.
        let look = Some(Duration::from_secs(5));
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

    /// Writes what is to be written, tells the core, and goes on until nothing new follows.
    async fn write(&mut self) {
        loop {
            let too_early =
                self.write_again_at.is_some_and(|at| self.shared.clock.monotonic() < at);
            if too_early || (!self.unwritten.is_empty() && !self.write_batch().await) {
                self.refuse_asked(&HoldReason::JournalNotWritable);
                return;
            }
            self.admit().await;
            self.end_tasks();
            if self.unwritten.is_empty() && self.asked.is_empty() {
                return;
            }
        }
    }

    /// One transaction. False when the journal cannot be written.
    async fn write_batch(&mut self) -> bool {
        let batch: Vec<Draft> = self.unwritten.iter().take(BATCH).cloned().collect();
        match self.journal.append(&batch).await {
            Ok(events) => {
                self.unwritten.drain(..batch.len());
                self.writable(true);
                for event in events {
                    self.tell(&event);
                }
                true
            }
            Err(error) if error.illegal && batch.len() > 1 => self.write_singly(batch).await,
            Err(error) if error.illegal => {
                self.unwritten.pop_front();
                self.illegal(&batch, &error.to_string());
                true
            }
            Err(error) => {
                if self.write_failures == 0 {
                    tracing::error!(%error, "the journal cannot be written; no new disruptive step begins");
                }
                self.writable(false);
                false
            }
        }
    }

    /// One event of a batch cannot happen: find it, write the others.
    async fn write_singly(&mut self, batch: Vec<Draft>) -> bool {
        for draft in batch {
            let one = [draft];
            match self.journal.append(&one).await {
                Ok(events) => {
                    self.unwritten.pop_front();
                    for event in events {
                        self.tell(&event);
                    }
                }
                Err(error) if error.illegal => {
                    self.unwritten.pop_front();
                    self.illegal(&one, &error.to_string());
                }
                Err(_) => {
                    self.writable(false);
                    return false;
                }
            }
        }
        true
    }

    /// A step reported what cannot happen: a fault of this program. The appliance is held, so that
    /// nothing is done to it on a wrong belief.
    fn illegal(&mut self, drafts: &[Draft], why: &str) {
        for draft in drafts {
            tracing::error!(change = ?draft.change, %why, "an event that cannot happen was refused");
            let Change::Appliance(name, change) = &draft.change else { continue };
            if matches!(change, ApplianceChange::Held(_)) {
                continue;
            }
            self.cancel(name);
            self.contradicted.push(name.clone());
            let detail = format!("spsfleet contradicted itself ({why}); please report this");
            let held = ApplianceChange::Held(HoldReason::Refused { detail });
            let now = self.now();
            self.draft(now, Change::Appliance(name.clone(), held));
        }
    }

    fn writable(&mut self, writable: bool) {
        let now = self.shared.clock.monotonic();
        if writable {
            self.write_failures = 0;
            self.write_again_at = None;
        } else {
            let pause = WRITE_AGAIN[self.write_failures.min(WRITE_AGAIN.len() - 1)];
            self.write_failures += 1;
            self.write_again_at = Some(now + pause);
        }
        if self.core.halted() == writable {
            let commands = self.core.set_halted(!writable, self.now());
            self.carry_out(commands);
        }
    }

    fn tell(&mut self, event: &Event) {
        self.forgive(event);
        match self.core.handle(event, self.now()) {
            Ok(commands) => {
                if let Some(took) = self.core.take_duration() {
                    self.shared.history.learn(&took);
                }
                self.carry_out(commands);
            }
            Err(illegal) => tracing::error!(%illegal, "the core refused what the journal took"),
        }
        // Nobody need listen.
        drop(self.events.send(event.clone()));
    }

    /// A retry lets a refused password be sent again.
    fn forgive(&self, event: &Event) {
        if let Change::Rollout(RolloutChange::Decided {
            decision: Decision::Retry { appliances },
            ..
        }) = &event.change
        {
            appliances.iter().for_each(|name| self.logins.forgive(name));
        }
    }

    /// Grants acts: admitted by the core, intent durable, then the step may go on.
    async fn admit(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        if asked.is_empty() {
            return;
        }
        let mut drafts = Vec::new();
        let mut granted = Vec::new();
        for Asked { task, act, reply } in asked {
            let Some(name) = self.begun.get(&task).map(|begun| begun.name.clone()) else {
                continue;
            };
            let verdict = match act.kind() {
                ActKind::Upgrade => self.core.admit_disruption(&name),
                _ if self.core.halted() => Err(HoldReason::JournalNotWritable),
                _ => Ok(()),
            };
            match verdict {
                Ok(()) => {
                    let change = Change::Appliance(name, ApplianceChange::Intended(act));
                    let rollout = self.core.run().id.clone();
                    drafts.push(Draft { rollout, at: self.now(), change });
                    granted.push(reply);
                }
                Err(reason) => answer(reply, Err(reason)),
            }
        }
        self.write_intents(drafts, granted).await;
    }

    async fn write_intents(
        &mut self,
        drafts: Vec<Draft>,
        granted: Vec<oneshot::Sender<Result<(), HoldReason>>>,
    ) {
        if drafts.is_empty() {
            return;
        }
        match self.journal.append(&drafts).await {
            Ok(events) => {
                for event in &events {
                    self.tell(event);
                }
                granted.into_iter().for_each(|reply| answer(reply, Ok(())));
            }
            Err(error) if error.illegal && drafts.len() > 1 => {
                for (draft, reply) in drafts.into_iter().zip(granted) {
                    Box::pin(self.write_intents(vec![draft], vec![reply])).await;
                }
            }
            Err(error) => {
                if error.illegal {
                    self.illegal(&drafts, &error.to_string());
                } else {
                    self.writable(false);
                }
                let refused = || Err(HoldReason::JournalNotWritable);
                granted.into_iter().for_each(|reply| answer(reply, refused()));
            }
        }
    }

    fn refuse_asked(&mut self, reason: &HoldReason) {
        for asked in std::mem::take(&mut self.asked) {
            answer(asked.reply, Err(reason.clone()));
        }
    }

    /// Tells the core of steps that have ended, after all that they reported is written.
    fn end_tasks(&mut self) {
        for name in std::mem::take(&mut self.contradicted) {
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
    fn joined(&mut self, joined: &Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
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

    fn carry_out(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Record(change) => {
                    let now = self.now();
                    self.draft(now, change);
                }
                Command::Cancel(name) => self.cancel(&name),
                Command::Start(name, step) => self.begin(&name, step),
            }
        }
    }

    fn cancel(&mut self, name: &ApplianceName) {
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
        let port = self.port(name);
        let others = plan.appliances.values().chain(plan.bystanders.values());
        let group = appliance.group.clone().filter(|_| step == Step::Activate);
        let partners: Vec<ApplianceName> = others
            .filter(|other| group.is_some() && other.group == group && other.name != *name)
            .map(|other| other.name.clone())
            .collect();
        let partners = partners.into_iter().map(|name| (name.clone(), self.port(&name))).collect();
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

    fn answer(&mut self, question: Question) {
        match question {
            Question::Stop => self.stop(),
            Question::Snapshot(reply) => {
                // The asker may be gone.
                drop(reply.send((self.core.run().clone(), self.core.halted())));
            }
            Question::Decide { actor, reason, decision, reply } => {
                let verdict = self.decide(actor, reason, decision);
                drop(reply.send(verdict));
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
        match self.core.at_rest(self.now())? {
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
        ActKind::StartFetch | ActKind::DeleteFetch | ActKind::DeleteSlot | ActKind::Reboot => true,
    }
}

fn answer(reply: oneshot::Sender<Result<(), HoldReason>>, verdict: Result<(), HoldReason>) {
    // A cancelled step does not listen any more.
    drop(reply.send(verdict));
}
