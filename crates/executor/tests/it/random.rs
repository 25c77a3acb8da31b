//! The scheduler core under random interleavings: steps that end in every way, silence, decisions,
//! a journal that fails, clocks that jump, crashes at any event. After every event and command the
//! reference says what must not be; from some point on all goes well, and the rollout must end.
//!
//! More cases: `PROPTEST_CASES=20000 cargo test -p executor --test it random`.

mod drive;
mod plans;
mod situations;
mod steps;
mod stories;
mod words;

use std::collections::BTreeSet;

use executor::core::Rest;
use model::decision::Decision;
use model::event::{ApplianceChange, Change, Step};
use model::names::ApplianceName;
use model::run::Phase;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::reference::Checked;
use drive::Drive;
use plans::{Parts, parts};

/// Cases unless `PROPTEST_CASES` says otherwise: a few seconds in a debug build.
const CASES: u32 = 300;

/// Something that happens.
#[derive(Debug, Clone)]
enum Op {
    /// Steps go on, of whom and how; what they report is written at once.
    Together(Moves),
    /// Steps go on; each report is written before the next one.
    Singly(Moves),
    /// Time passes, or less when somebody is to be asked again before.
    Wait(u16),
    /// The clock is set.
    Jump(i32),
    /// Somebody stops answering, or answers again.
    Silence(u16, bool),
    /// A person decides.
    Decide(Choice),
    /// The journal can be written, or not.
    Journal(bool),
    /// The process dies after so many more events.
    Die(usize),
    /// The process dies; perhaps a person decides; another process begins.
    Again(Option<Choice>),
    /// The program is told to stop.
    Stop,
}

/// Whose step goes on, and which way.
#[derive(Clone)]
struct Moves(Vec<(u16, u16)>);

impl std::fmt::Debug for Moves {
    /// On one line, also in a failing case that is printed prettily.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&format!("{:?}", self.0))
    }
}

/// Which decision, of whom, of how many.
type Choice = (u8, u16, u8);

fn op() -> impl Strategy<Value = Op> {
    let moves = |most| vec((any::<u16>(), any::<u16>()), 1..most).prop_map(Moves);
    let choice = || (0..40u8, any::<u16>(), 0..3u8);
    prop_oneof![
        40 => moves(6).prop_map(Op::Together),
        20 => moves(80).prop_map(Op::Singly),
        4 => (1..2000u16).prop_map(Op::Wait),
        1 => (-100_000..100_000i32).prop_map(Op::Jump),
        5 => (any::<u16>(), any::<bool>()).prop_map(|(who, up)| Op::Silence(who, up)),
        5 => choice().prop_map(Op::Decide),
        1 => any::<bool>().prop_map(Op::Journal),
        2 => (0..12usize).prop_map(Op::Die),
        2 => proptest::option::of(choice()).prop_map(Op::Again),
        1 => Just(Op::Stop),
    ]
}

/// How often a step does not take the good way: once in so many, and of two kinds more often.
#[derive(Debug, Clone)]
struct Mood {
    one_in: u16,
    of: [Step; 2],
    there_one_in: u16,
}

fn mood() -> impl Strategy<Value = Mood> {
    use Step::{Activate, Cleanup, Preflight, Return, Stage, Test, Verify, Watch};
    let one_in = prop_oneof![2..10u16, 10..40u16, 40..200u16];
    let early = prop::sample::select(vec![Preflight, Stage, Test, Activate, Activate, Activate]);
    let late = prop::sample::select(vec![Return, Return, Return, Verify, Cleanup, Watch]);
    (one_in, (early, late), 1..5u16).prop_map(|(one_in, (early, late), there_one_in)| Mood {
        one_in,
        of: [early, late],
        there_one_in,
    })
}

fn cases() -> impl Strategy<Value = (Parts, Mood, Vec<Op>)> {
    (parts(), mood(), vec(op(), 0..150))
}

fn config() -> Config {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config::default();
    if asked { config } else { Config { cases: CASES, ..config } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_interleaving_keeps_the_rules_and_ends((parts, mood, ops) in cases()) {
        play(&parts, &mood, &ops).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn the_random_runs_meet_every_situation() {
    let mut runner = TestRunner::deterministic();
    let cases = cases();
    let mut met = BTreeSet::new();
    for _ in 0..CASES {
        let case = cases.new_tree(&mut runner).expect("a case");
        let (parts, mood, ops) = case.current();
        let drive = play(&parts, &mood, &ops).unwrap_or_else(|wrong| panic!("{wrong}"));
        met.extend(situations::met(&drive));
    }
    let missed: Vec<_> = situations::ALL.iter().filter(|what| !met.contains(*what)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}

fn play(parts: &Parts, mood: &Mood, ops: &[Op]) -> Checked<Drive> {
    let mut drive = Drive::new(parts.plan())?;
    let played = ops.iter().try_for_each(|op| happen(&mut drive, mood, op));
    let ended = played.and_then(|()| all_goes_well(&mut drive));
    ended.map_err(|wrong| format!("{wrong}\n{}", drive.story()))?;
    Ok(drive)
}

fn happen(drive: &mut Drive, mood: &Mood, op: &Op) -> Checked {
    match op {
        Op::Together(Moves(moves)) | Op::Singly(Moves(moves)) => {
            for (who, how) in moves {
                let names: Vec<ApplianceName> = drive.tasks.keys().cloned().collect();
                let Some(name) = pick(&names, *who) else { break };
                let here = drive.tasks.get(name).is_some_and(|task| mood.of.contains(&task.step));
                let one_in = if here { mood.there_one_in } else { mood.one_in };
                let bad = how % one_in == 0;
                drive.go_on(name, |ways| {
                    if bad && ways > 1 { 1 + usize::from(how / one_in) % (ways - 1) } else { 0 }
                })?;
                if matches!(op, Op::Singly(_)) {
                    drive.write()?;
                }
            }
        }
        Op::Wait(seconds) => {
            let due = drive.core.next_wakeup().map(|at| at.duration_since(drive.now).as_secs());
            let most = i64::from(*seconds);
            drive.pass(due.map_or(most, |due| due.clamp(0, most)));
        }
        Op::Jump(seconds) => drive.pass(i64::from(*seconds)),
        Op::Silence(who, answers) => {
            let plan = drive.plan.clone();
            let names: Vec<_> = plan.appliances.keys().chain(plan.bystanders.keys()).collect();
            let change =
                if *answers { ApplianceChange::Reachable } else { ApplianceChange::Unreachable };
            if let Some(name) = pick(&names, *who) {
                drive.draft(Change::Appliance((*name).clone(), change));
            }
        }
        Op::Decide(choice) => {
            if let Some(decision) = decision(drive, *choice) {
                drive.decide(decision);
            }
        }
        Op::Journal(writable) => drive.broken = !writable,
        Op::Die(after) => drive.dies_after = Some(*after),
        Op::Again(choice) => {
            let decision = choice.and_then(|choice| decision(drive, choice));
            drive.decide_and_begin(decision)?;
        }
        Op::Stop => drive.stop(),
    }
    drive.pass(1);
    drive.tick()?;
    drive.write()?;
    if drive.has_stopped() { drive.restart() } else { Ok(()) }
}

fn pick<T>(of: &[T], which: u16) -> Option<&T> {
    of.get(usize::from(which) % of.len().max(1))
}

fn decision(drive: &Drive, (which, who, more): Choice) -> Option<Decision> {
    let run = drive.core.run();
    let allowed = |make: &dyn Fn(ApplianceName) -> Decision| {
        let names = run.appliances.keys().cloned();
        let names: Vec<_> = names.filter(|n| run.may_decide(&make(n.clone())).is_ok()).collect();
        let start = usize::from(who) % names.len().max(1);
        names.into_iter().skip(start).take(1 + usize::from(more)).collect::<Vec<_>>()
    };
    let some = |names: Vec<ApplianceName>| (!names.is_empty()).then_some(names);
    match which {
        0..2 => Some(Decision::Abort),
        2..4 => Some(Decision::Pause { all: false, now: false }),
        4..8 => Some(Decision::Pause { all: true, now: false }),
        8..20 => Some(Decision::Resume),
        20..23 => some(allowed(&|name| Decision::Skip { appliances: vec![name] }))
            .map(|appliances| Decision::Skip { appliances }),
        23..34 => some(allowed(&|name| Decision::Retry { appliances: vec![name] }))
            .map(|appliances| Decision::Retry { appliances }),
        _ => allowed(&|appliance| Decision::Resolve { appliance, done: true })
            .first()
            .map(|name| Decision::Resolve { appliance: name.clone(), done: who.is_multiple_of(2) }),
    }
}

/// From here on every step takes the good way and a person does what is asked for: it must end,
/// and soon.
fn all_goes_well(drive: &mut Drive) -> Checked {
    (drive.broken, drive.dies_after) = (false, None);
    if drive.reference.stopped {
        drive.restart()?;
    }
    drive.write()?;
    let bound = 200 * (drive.plan.appliances.len() + 4);
    for _ in 0..bound {
        if drive.at_rest() == Some(Rest::Ended) {
            return check_end(drive);
        }
        drive.pass(1);
        let names: Vec<ApplianceName> = drive.tasks.keys().cloned().collect();
        if names.is_empty() {
            help(drive)?;
        }
        for name in names {
            drive.go_on(&name, |_| 0)?;
        }
        drive.tick()?;
        drive.write()?;
    }
    Err(format!("it does not end, at rest: {:?}", drive.at_rest()))
}

/// Nothing is under way: time passes, or a person does what only a person can.
fn help(drive: &mut Drive) -> Checked {
    // Whoever is watched after its upgrade answers again.
    let soaks = |name: &ApplianceName| drive.core.active(name) == Some(Step::Soak);
    let dark = drive.core.run().appliances.iter().find(|(name, run)| run.dark && soaks(name));
    if let Some(name) = dark.map(|(name, _)| name.clone()) {
        drive.draft(Change::Appliance(name, ApplianceChange::Reachable));
        return Ok(());
    }
    match drive.at_rest() {
        Some(Rest::Ended) => return Ok(()),
        Some(Rest::Time) => {
            let due =
                drive.core.next_wakeup().map_or(0, |at| at.duration_since(drive.now).as_secs());
            drive.pass(due.max(0) + 1);
            return Ok(());
        }
        Some(Rest::Person) => {}
        None => return Err("nothing is under way, and nothing rests".to_owned()),
    }
    let run = drive.core.run();
    if !run.aborted && (run.pause.is_some() || run.breach.is_some()) {
        drive.decide(Decision::Resume);
        return Ok(());
    }
    let waiting = run.appliances.iter().find(|(_, state)| {
        state.phase.needs_person()
            && state.hold.as_ref().is_some_and(model::hold::HoldReason::needs_person)
    });
    let Some((name, state)) = waiting else {
        let phases: Vec<_> = run.appliances.iter().map(|(n, s)| (n.as_str(), s.phase)).collect();
        return Err(format!("a person is waited for who has nothing to do: {phases:?}"));
    };
    let appliances = vec![name.clone()];
    let decision = match state.phase {
        Phase::Unknown => {
            Decision::Resolve { appliance: name.clone(), done: drive.log.len().is_multiple_of(2) }
        }
        _ if run.aborted => Decision::Skip { appliances },
        _ => Decision::Retry { appliances },
    };
    drive.decide(decision);
    Ok(())
}

fn check_end(drive: &Drive) -> Checked {
    let run = drive.core.run();
    for (name, state) in &run.appliances {
        if let Some(job) = state.stage.records_left().next() {
            return Err(format!("ended, but {name} keeps our fetch record {}", job.key));
        }
        if !state.phase.is_terminal() || state.permitted {
            return Err(format!("ended, but {name} is {}", state.phase.name()));
        }
    }
    Ok(())
}
