//! What a step has in its hands, and its line to the driver.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::calendar::{Calendar, Opening};
use model::event::{Act, ActKind, ActOutcome, ApplianceChange, HookChange, HookPoint};
use model::fleet;
use model::hold::HoldReason;
use model::names::{ApplianceName, RolloutId};
use model::plan::Plan;
use model::ports::{Appliance, Clock, CommandRunner, PowerConnector};
use model::random::Random;
use model::rollout::Firmware;
use model::run::ApplianceRun;
use tokio::sync::{mpsc, oneshot};

use crate::pacing::History;

/// How long an act waits before it asks again whether its intent can be written.
const WRITTEN_AGAIN: Duration = Duration::from_secs(1);

/// One begun step; what a cancelled one still reports does not count.
pub(crate) type TaskId = u64;

/// What a step tells or asks the driver.
pub(crate) enum Message {
    /// Something happened, to the step's appliance or (by a look at a partner) to another.
    Fact { task: TaskId, name: ApplianceName, at: Timestamp, change: ApplianceChange },
    /// Leave for an act: answered when its intent is durable, or refused.
    Intent { task: TaskId, act: Act, reply: oneshot::Sender<Result<(), HoldReason>> },
    /// The step has ended.
    Ended { task: TaskId },
    /// Something happened to a hook.
    Hook { point: HookPoint, at: Timestamp, change: HookChange },
}

/// What all steps of a rollout share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    pub(crate) commands: Arc<dyn CommandRunner>,
    pub(crate) power: Arc<dyn PowerConnector>,
    /// Where support bundles are put; nowhere when `None`.
    pub(crate) bundles: Option<PathBuf>,
    pub(crate) rollout: RolloutId,
    pub(crate) history: Arc<History>,
    /// The host names of the last rollouts.
    pub(crate) hostnames: BTreeMap<ApplianceName, String>,
    pub(crate) messages: mpsc::UnboundedSender<Message>,
    /// Appliances that a partner's look found silent: their own step, if one is under way, does
    /// not know, and says so as soon as they answer it.
    pub(crate) suspects: Mutex<BTreeSet<ApplianceName>>,
}

/// What one step has in its hands.
pub(crate) struct Context {
    pub(crate) task: TaskId,
    pub(crate) name: ApplianceName,
    pub(crate) appliance: Arc<fleet::Appliance>,
    pub(crate) plan: Arc<Plan>,
    /// The appliance's fold, kept up to date with what this step records.
    pub(crate) run: ApplianceRun,
    pub(crate) port: Arc<dyn Appliance>,
    /// The other members of its redundancy group.
    pub(crate) partners: BTreeMap<ApplianceName, Arc<dyn Appliance>>,
    /// Until when a person has lifted the freezes of its site.
    pub(crate) lifted: Option<Timestamp>,
    /// Whether its cluster has begun: then nothing waits for a window.
    pub(crate) in_begun_cluster: bool,
    /// What is known of the members of its central cluster, itself included.
    pub(crate) members: BTreeMap<ApplianceName, ApplianceRun>,
    pub(crate) shared: Arc<Shared>,
}

/// A moment on the monotonic clock at which something must be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Duration);

impl Context {
    /// The firmware that the appliance is on its way to.
    pub(crate) fn firmware(&self) -> &Firmware {
        self.plan.hop(self.run.hop)
    }

    /// Whether its windows are closed now, or a freeze is in force.
    pub(crate) fn outside_window(&self) -> bool {
        let calendar = self.plan.calendars.get(&self.appliance.site);
        let open = |calendar: &Calendar| {
            matches!(calendar.opening(self.now(), self.lifted), Opening::Open(_))
        };
        !self.in_begun_cluster && !calendar.is_none_or(open)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    pub(crate) fn monotonic(&self) -> Duration {
        self.shared.clock.monotonic()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        self.shared.clock.sleep(duration).await;
    }

    /// Records a fact about this appliance.
    pub(crate) fn record(&mut self, change: ApplianceChange) {
        let at = self.now();
        if let Err(why) = self.run.apply(&change, at, &self.plan) {
            // The driver's fold refuses it for the same reason and holds the appliance.
            tracing::error!(appliance = %self.name, %why, "a step reported what cannot happen");
        }
        self.send(self.name.clone(), at, change);
    }

    /// Records that a look at another appliance found it silent.
    pub(crate) fn suspect(&self, name: &ApplianceName) {
        let mut suspects = self.shared.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.insert(name.clone());
        self.send(name.clone(), self.now(), ApplianceChange::Unreachable);
    }

    /// Whether another appliance's look found this one silent, once.
    pub(crate) fn was_suspected(&self) -> bool {
        let mut suspects = self.shared.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.remove(&self.name)
    }

    fn send(&self, name: ApplianceName, at: Timestamp, change: ApplianceChange) {
        let fact = Message::Fact { task: self.task, name, at, change };
        // Without a driver the process is ending and nothing is to be reported any more.
        drop(self.shared.messages.send(fact));
    }

    /// Asks leave for an act; when it is given, the intent is durable.
    pub(crate) async fn intend(&mut self, act: Act) -> Result<(), HoldReason> {
        while let Err(reason) = self.ask_leave(&act).await {
            let disruptive = matches!(
                act.kind(),
                ActKind::Upgrade | ActKind::Reboot | ActKind::PowerOff | ActKind::PowerOn
            );
            if disruptive || reason != HoldReason::JournalNotWritable {
                return Err(reason);
            }
            // What was looked at before still holds; it goes on as soon as it can be written.
            self.sleep(WRITTEN_AGAIN).await;
        }
        let at = self.now();
        if let Err(why) = self.run.apply(&ApplianceChange::Intended(act), at, &self.plan) {
            tracing::error!(appliance = %self.name, %why, "an intent was granted that cannot be");
        }
        Ok(())
    }

    async fn ask_leave(&self, act: &Act) -> Result<(), HoldReason> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Intent { task: self.task, act: act.clone(), reply };
        if self.shared.messages.send(message).is_err() {
            return Err(HoldReason::JournalNotWritable);
        }
        answer.await.unwrap_or(Err(HoldReason::JournalNotWritable))
    }

    /// Records what became of an act.
    pub(crate) fn outcome(&mut self, act: ActKind, outcome: ActOutcome, saw: impl Into<String>) {
        self.record(ApplianceChange::Outcome { act, outcome, saw: saw.into() });
    }

    /// When a limit that began with the step under way is over. A step goes on from its journalled
    /// start; a clock that jumped can neither stretch nor use up more than the whole limit.
    pub(crate) fn step_deadline(&self, limit: SignedDuration) -> Deadline {
        let began = self.run.step.map_or_else(|| self.now(), |(_, began)| began);
        self.deadline_since(began, limit)
    }

    /// When a limit that began at a journalled moment is over.
    pub(crate) fn deadline_since(&self, began: Timestamp, limit: SignedDuration) -> Deadline {
        let limit = unsigned(limit);
        let used = unsigned(self.now().duration_since(began)).min(limit);
        Deadline(self.monotonic() + (limit - used))
    }

    /// How much is left until then.
    pub(crate) fn left(&self, deadline: Deadline) -> Duration {
        deadline.0.saturating_sub(self.monotonic())
    }
}

/// A duration that is never negative.
pub(crate) fn unsigned(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
