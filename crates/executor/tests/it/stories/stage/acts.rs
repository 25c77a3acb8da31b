//! What people and accidents do in a story.

use std::sync::atomic::Ordering;

use executor::Handle;
use model::decision::Decision;
use model::event::{Change, Draft, RolloutChange};
use model::ports::Clock;
use sim::SimAppliance;

use super::{Stage, Then, actor};
use crate::stories::language::{Act, Hand};

impl Stage {
    pub(super) async fn act(&mut self, act: &Act, handle: Option<&Handle>) -> Then {
        let now = self.clock.now();
        let mut say = |line: &str| self.tale.at(now, line);
        match act {
            Act::Person(decision) => self.decide(decision, handle).await,
            Act::Hands(name, hand) => {
                let appliance = self.fleet.appliance(name.as_str()).expect("it is there");
                let did = by_hand(&appliance, *hand);
                say(&format!("somebody {did} {name}"));
            }
            Act::Admin(name, act) => {
                self.fleet.appliance(name.as_str()).expect("it is there").admin(act);
                let act = serde_json::to_string(act).expect("JSON");
                say(&format!("another administrator at {name}: {act}"));
            }
            Act::Kill(lasts) => return Then::IsKilled(*lasts),
            Act::Die => return Then::Dies,
            Act::Journal { works } => {
                self.journal.break_with((!works).then_some("disk full"));
                say(if *works { "the journal works again" } else { "THE JOURNAL BREAKS" });
            }
            Act::Program { name, fails, of } => {
                let mut failing = self.programs.failing.lock().expect("no panic");
                if *fails {
                    failing.insert(name.clone(), of.clone());
                } else {
                    failing.remove(name);
                }
            }
            Act::Clock(by) => {
                self.clock.ahead.fetch_add(by.as_secs(), Ordering::Relaxed);
                let forth = if by.is_negative() { "back" } else { "on" };
                say(&format!("the clock jumps {forth} by {:#}", by.abs()));
            }
            Act::Look => match handle {
                Some(handle) => {
                    let snapshot = handle.snapshot().await.expect("it runs");
                    self.listen();
                    let (run, why, halted) = snapshot;
                    let state = run.state(halted).name();
                    self.tale.at(self.clock.now(), &format!("a look: {state}"));
                    self.reasons(&run, &why);
                }
                None => {
                    self.tale.at(now, "a look");
                    self.why();
                }
            },
        }
        Then::GoesOn
    }

    /// Through the program that runs, else into the journal for the next one.
    async fn decide(&mut self, decision: &Decision, handle: Option<&Handle>) {
        let (actor, reason) = (actor(), "a story".to_owned());
        let taken = match handle {
            Some(handle) => handle.decide(actor, reason, decision.clone()).await,
            None => match self.runs[&self.current].may_decide(decision) {
                Ok(()) => {
                    let decision = decision.clone();
                    let change = RolloutChange::Decided { actor, reason, decision };
                    let (rollout, at) = (self.current.clone(), self.clock.now());
                    let draft = Draft { rollout, at, change: Change::Rollout(change) };
                    let written = self.ports.journal.append(&[draft]).await;
                    written.map(drop).map_err(|error| error.to_string())
                }
                Err(why) => Err(why),
            },
        };
        self.listen();
        if let Err(why) = taken {
            let said = self.tale.decided(decision);
            self.tale.at(self.clock.now(), &format!("PERSON {said} is REFUSED: {why}"));
        }
    }
}

/// Does it at the machine, and says what.
fn by_hand(appliance: &SimAppliance, hand: Hand) -> &'static str {
    match hand {
        Hand::Reboot => {
            appliance.reboot();
            "reboots"
        }
        Hand::SecondaryOff => {
            appliance.secondary_off();
            "shuts down the secondary of"
        }
        Hand::SecondaryOn => {
            appliance.secondary_on();
            "switches on the secondary of"
        }
        Hand::PowerOff => {
            appliance.power_off();
            "unplugs"
        }
        Hand::PowerOn => {
            appliance.power_on();
            "plugs in"
        }
    }
}
