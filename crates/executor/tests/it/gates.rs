//! The journal as a gate: what cannot be written is not done.

use executor::Ending;
use model::run::Phase;
use sim::FaultPlan;

use crate::world::{World, specs};

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_stops_new_acts_and_loses_nothing() {
    let world = World::new(specs(4), FaultPlan::default(), |_| {}).await;
    let ending = world
        .run_beside(|handle| {
            let world = &world;
            async move {
                let mut events = handle.subscribe();
                loop {
                    let event = events.recv().await.expect("an event");
                    if format!("{:?}", event.change).contains("RestartSeen") {
                        break;
                    }
                }
                world.journal.break_with(Some("disk full"));
                world.ports.clock.sleep(std::time::Duration::from_hours(1)).await;
                let (run, _, halted) = handle.snapshot().await.expect("it runs");
                assert!(halted);
                assert_eq!(run.state(halted).name(), "halted");
                let back = world.fleet.appliances().filter(|a| a.version() == "7.5.1").count();
                assert_eq!(back, 1, "what was in flight came back, nobody else went down");
                world.journal.break_with(None);
            }
        })
        .await;
    assert_eq!(ending, Ending::Finished { upgraded_all: true });
    world.check_all_upgraded();
    assert!(world.folded().appliances.values().all(|run| run.phase == Phase::Succeeded));
}
