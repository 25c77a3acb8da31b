//! A program that dies at every event.

use std::time::Duration;

use jiff::SignedDuration;
use model::fleet::{HaMode, UpgradeCall};
use model::run::Phase;
use sim::{Behaviour, Fault, FaultPlan, FaultRule, Life, Node, PowerAct};

use super::{ALL, automatic, broken_rules, lost, taken, with_a_person, world};
use crate::prefixes::{run_and_die, tell};

/// A way to run a pair, for the deaths of the program.
struct Story {
    name: &'static str,
    faults: fn() -> FaultPlan,
    mode: HaMode,
    call: UpgradeCall,
    force: bool,
    /// Whether it is told for a short absence, too.
    short: bool,
}

#[tokio::test(start_paused = true)]
async fn a_death_at_any_event_breaks_no_pair() {
    fn quiet() -> FaultPlan {
        FaultPlan::default()
    }
    fn slow() -> FaultPlan {
        let by = SignedDuration::from_hours(30);
        quiet().where_("a", Behaviour::SlowShutdown { by })
    }
    let story = |name, faults, mode, call, force| {
        let short = ["automatic", "attended"].contains(&name);
        Story { name, faults, mode, call, force, short }
    };
    use HaMode::{Attended, Automatic};
    use UpgradeCall::{Arms, Reboots};
    let stories = [
        story("automatic", quiet, Automatic, Arms, false),
        story("attended", quiet, Attended, Arms, false),
        story("automatic, reboots", quiet, Automatic, Reboots, false),
        story("forced", slow, Automatic, Arms, true),
        story("off lost", || lost("POWER /secondary/off"), Automatic, Arms, false),
        story("on lost", || lost("POWER /secondary/on"), Automatic, Arms, false),
    ];
    let absences = [Duration::ZERO, Duration::from_secs(12), Duration::from_mins(20)];
    let (mut wrong, mut runs) = (Vec::new(), 0);
    for story in &stories {
        let fresh = || {
            world((story.faults)(), story.mode, story.call, |entry| {
                let ha = entry.ha.as_mut().expect("a pair");
                ha.force_off_after = story.force.then(|| SignedDuration::from_mins(5));
            })
        };
        let whole = fresh().await;
        assert_eq!(with_a_person(&whole).await.0, ALL, "{}: {}", story.name, whole.story());
        for prefix in 1..whole.journal.all().len() {
            // A short absence says nothing of lost replies that a long one does not.
            for absence in absences.into_iter().step_by(if story.short { 1 } else { 2 }) {
                let world = fresh().await;
                run_and_die(&world, prefix).await;
                world.ports.clock.sleep(absence).await;
                let (ending, done) = with_a_person(&world).await;
                runs += 1;
                let told = format!("{}, event {prefix}, away {absence:?}", story.name);
                let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
                if ending != ALL || !pair.whole || world.phase("a") != Phase::Succeeded {
                    wrong.push(format!("{told}: {ending:?} {done:?} {pair:?}\n{}", world.story()));
                }
                for rule in broken_rules(&world) {
                    wrong.push(format!("{told}: {rule} ({done:?})\n{}", world.story()));
                }
            }
        }
    }
    let summary = format!("{runs} deaths of {} stories, {} wrong", stories.len(), wrong.len());
    let shown = wrong.iter().take(3).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{summary}\n{shown}");
    assert!(runs > 300, "{summary}");
    tell(&summary);
}

#[tokio::test(start_paused = true)]
async fn a_death_while_the_wrong_node_is_off_still_brings_it_back() {
    let fresh = || automatic(FaultPlan::default().where_("a", Behaviour::SwitchIsPrimary {}));
    let whole = fresh().await;
    whole.run().await;
    let events = whole.journal.all().len();
    for prefix in 1..events {
        let world = fresh().await;
        run_and_die(&world, prefix).await;
        let (_, done) = with_a_person(&world).await;
        world.ports.clock.sleep(Duration::from_mins(20)).await;
        let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
        assert!(pair.secondary_has_power, "event {prefix}: {pair:?} {done:?}\n{}", world.story());
        let life = world.ledger().life_of("a");
        let broken = life.iter().any(|life| matches!(life, Life::PairBroken { .. }));
        assert!(!broken, "event {prefix}: {}", world.story());
        for act in [PowerAct::Off, PowerAct::On] {
            assert!(taken(&world, Node::Secondary, act) <= 1, "event {prefix}: {}", world.story());
        }
    }
}

/// A third of the looks at the power and a few reads fail, acts lose their replies, and the
/// program dies now and then.
#[tokio::test(start_paused = true)]
async fn noise_and_deaths_break_no_pair() {
    let often = |on: &str, fault: Fault, probability: f64| FaultRule {
        probability: Some(probability),
        times: None,
        ..FaultRule::once(on, fault)
    };
    for seed in 0..60_u64 {
        let mut faults = FaultPlan { seed, ..FaultPlan::default() }
            .with(often("GET *", Fault::status(503), 0.003))
            .with(often("GET *", Fault::Reset, 0.003))
            .with(often("POWER /secondary/state", Fault::status(503), 0.3));
        for act in ["/secondary/off", "/secondary/on", "/primary/restart"] {
            let on = format!("POWER {act}");
            faults = faults.with(often(&on, Fault::ReplyLost, 0.3)).with(often(
                &on,
                Fault::status(503),
                0.2,
            ));
        }
        let world = automatic(faults).await;
        for death in 0..seed % 4 {
            let events = usize::try_from(seed * 7 + death * 13).unwrap_or_default() % 40 + 5;
            run_and_die(&world, events).await;
            world.ports.clock.sleep(Duration::from_secs(seed * 11 % 200)).await;
        }
        let (ending, done) = with_a_person(&world).await;
        let told = format!("seed {seed}: {ending:?} {done:?}");
        assert_eq!(broken_rules(&world), Vec::<String>::new(), "{told}\n{}", world.story());
        assert_eq!(ending, ALL, "{told}\n{}", world.story());
        let pair = world.fleet.appliance("a").and_then(|a| a.pair()).expect("a pair");
        assert!(pair.whole, "{told}: {pair:?}\n{}", world.story());
    }
}
