//! Hooks: programs of the rollout's owner, run beside the steps.

use std::sync::Arc;
use std::time::Duration;

use model::event::{HookChange, HookPoint};
use model::ports::{Command, CommandError};
use model::rollout::HookKind;

use super::Driver;
use crate::steps::{Message, tame};

impl Driver {
    /// Runs a hook whose intent is written, or waits for one that a dead process of ours began:
    /// what that one did is then not known.
    pub(super) fn run_hook(&mut self, point: HookPoint, leftover: bool) {
        let run = self.core.run();
        let Some(hook) = run.plan.hooks.get(&point.kind).cloned() else { return };
        let limit = Duration::try_from(hook.timeout).unwrap_or_default();
        let command = Command { words: hook.command, env: self.hook_env(&point), limit };
        let process = run.hooks.get(&point).and_then(|record| record.process);
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let tell = |change| {
                let at = shared.clock.now();
                // Without a driver the process is ending and nothing is to be reported any more.
                drop(shared.messages.send(Message::Hook { point: point.clone(), at, change }));
            };
            if leftover {
                if let Some(process) = process {
                    shared.commands.await_leftover(process, limit).await;
                }
                let why = "spsfleet ended while it ran, and whether it did its work is not known";
                tell(HookChange::Unknown(why.to_owned()));
                return;
            }
            let started = Box::new(|process| tell(HookChange::Started(process)));
            let result = shared.commands.run(&command, started).await;
            tell(match result {
                Ok(output) if output.code == Some(0) => HookChange::Done,
                Ok(output) => {
                    let code = output
                        .code
                        .map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                    HookChange::Failed(format!("it ended with {code}: {}", tame(&output.stderr)))
                }
                Err(error @ (CommandError::NotStarted { .. } | CommandError::TimedOut { .. })) => {
                    HookChange::Failed(error.to_string())
                }
            });
        });
    }

    /// What a hook sees (contract: semantics.md, "Commands"): of a cluster or wave also its name.
    fn hook_env(&self, point: &HookPoint) -> Vec<(String, String)> {
        let plan = &self.core.run().plan;
        let mut env = vec![
            ("SPSFLEET_ROLLOUT".to_owned(), plan.rollout.to_string()),
            ("SPSFLEET_STEP".to_owned(), point.kind.name().to_owned()),
        ];
        match point.kind {
            HookKind::Before | HookKind::After => {
                env.push(("SPSFLEET_APPLIANCE".to_owned(), point.of.clone()));
                if let Some(member) = plan.appliances.get(point.of.as_str()) {
                    let address = member.endpoint.address.clone();
                    env.push(("SPSFLEET_ADDRESS".to_owned(), address));
                    env.push(("SPSFLEET_SITE".to_owned(), member.site.to_string()));
                }
            }
            HookKind::ClusterBefore | HookKind::ClusterAfter => {
                env.push(("SPSFLEET_CLUSTER".to_owned(), point.of.clone()));
            }
            HookKind::WaveBefore | HookKind::WaveAfter => {
                env.push(("SPSFLEET_WAVE".to_owned(), point.of.clone()));
            }
        }
        env
    }
}
