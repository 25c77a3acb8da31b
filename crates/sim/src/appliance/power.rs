//! The power service of an appliance's hardware: it answers whether the appliance does or not.

use std::sync::Arc;
use std::time::Duration;

use model::ports::PowerState;

use super::calls::{Refusal, Reply};
use super::exchange::{Heard, Pace, Visit, answer_of, unsigned};
use super::state::{Phase, Shared, State};
use super::{SimAppliance, pair::Pair};
use crate::faults::Fault;
use crate::ledger::{Node, PowerAct, PowerRecord, RestartBy, What};

impl SimAppliance {
    /// Whether there is such a node.
    pub(crate) fn has_node(&self, node: Node) -> bool {
        node == Node::Primary || self.lock().spec.ha
    }

    /// Serves one request to a node's power service. When the caller hangs up, it goes on.
    pub(crate) async fn power(self: &Arc<Self>, node: Node, act: PowerAct) -> Heard {
        let me = Arc::clone(self);
        let serving = async move { me.serve_power(node, act).await };
        self.shared.tasks.spawn(serving).await.unwrap_or(Heard::Closed)
    }

    async fn serve_power(&self, node: Node, act: PowerAct) -> Heard {
        let began = self.shared.clock.monotonic();
        let fault = {
            let (_, mut state) = self.now();
            let State { faults, random, .. } = &mut *state;
            faults.strike("POWER", &format!("/{}/{}", node.word(), act.word()), random)
        };
        let code = fault.as_ref().map(|fault| fault.code().into());
        let mut record = PowerRecord { node, act, taken: false, acted: false, fault: code };
        if let Some(Fault::Delay { r#for }) = &fault {
            self.shared.clock.sleep(unsigned(*r#for)).await;
        }
        let result = if fault.as_ref().is_none_or(Fault::acts) {
            let done = self.act(|state, shared, now| state.power(shared, now, node, act));
            record.taken = done.is_ok();
            done.map(|(reply, acted)| {
                record.acted = acted;
                reply
            })
        } else {
            Err(Refusal::plain(500, "Base.1.8.InternalError", "The service did not act"))
        };
        let silence = if let Some(Fault::Hang { r#for, .. }) = &fault {
            Some(unsigned(*r#for))
        } else {
            None
        };
        let ended = self.shared.clock.monotonic();
        self.shared.ledger.record(&self.name, began, ended, What::Power(record));
        if let Some(silence) = silence {
            self.shared.clock.sleep(silence).await;
        }
        match fault {
            None | Some(Fault::Delay { .. } | Fault::Slow { .. }) => {
                Heard::Answer { result, visit: Visit::default(), pace: Pace::Whole }
            }
            Some(Fault::Reset) => Heard::Reset,
            Some(fault) => answer_of(fault),
        }
    }
}

impl State {
    /// Does what is asked of a node's power; also whether that changed anything.
    fn power(
        &mut self,
        shared: &Shared,
        now: Duration,
        node: Node,
        act: PowerAct,
    ) -> Result<(Reply, bool), Refusal> {
        let swapped = self.spec.ha && self.spec.pair.switch_is_primary;
        let really_secondary = (node == Node::Secondary) != swapped;
        let has_power = if really_secondary {
            self.pair.as_ref().is_some_and(Pair::has_power)
        } else {
            !self.unpowered
        };
        if act == PowerAct::State {
            let state = if has_power { PowerState::On } else { PowerState::Off };
            return Ok((Reply::Power(state), false));
        }
        if act == PowerAct::Restart && !has_power {
            let why = "The system is off and cannot be restarted";
            return Err(Refusal::plain(409, "Base.1.8.ResourceInStandby", why));
        }
        if self.moods.take_power_ignored(act) {
            return Ok((Reply::PowerTaken, false));
        }
        let acted = match (really_secondary, act) {
            (_, PowerAct::State) => false,
            (true, PowerAct::On) => self.secondary_on(shared, now),
            (true, PowerAct::Off) => self.secondary_off(shared, now, false),
            (true, PowerAct::ForceOff) => self.secondary_force_off(shared, now),
            (true, PowerAct::Restart) => self.secondary_off(shared, now, true),
            (false, PowerAct::On) => self.power_on(shared, now),
            (false, PowerAct::Off) => self.shut_down(shared, now),
            (false, PowerAct::ForceOff) => {
                self.power_off(shared, now, RestartBy::Switch);
                has_power
            }
            (false, PowerAct::Restart) => {
                let calm = self.phase == Phase::Up && !self.is_going_down();
                self.restart(shared, now, RestartBy::Switch);
                calm
            }
        };
        Ok((Reply::PowerTaken, acted))
    }
}
