//! Each act that changes an appliance, with its reply lost, late, or lost after a refusal: nothing
//! is done twice, and the fleet ends as if nothing had happened. (The crash between act and
//! outcome is in `prefixes`.)

use std::time::Duration;

use executor::Ending;
use jiff::SignedDuration;
use model::plan::Plan;
use model::rollout::{Image, MakeRoom};
use sim::{ApplianceSpec, Behaviour, Fault, FaultPlan, FaultRule, UpgradeMode};

use crate::world::{IMAGE, SIZE, World, reboot_by_command, spec};

const DONE: Ending = Ending::Finished { upgraded_all: true };

struct Act {
    request: &'static str,
    /// How often the appliance may have done it when all is over.
    acts: usize,
    specs: fn() -> Vec<ApplianceSpec>,
    base: fn() -> FaultPlan,
    tune: fn(&mut Plan),
}

fn full() -> Vec<ApplianceSpec> {
    let mut full = spec("a");
    full.slots = ["7.5.0", "7.4.0", "7.0.5", "7.0.4"].map(|v| Some(v.to_owned())).to_vec();
    vec![full]
}

fn arms() -> Vec<ApplianceSpec> {
    let mut arms = spec("a");
    arms.upgrade_call = UpgradeMode::Arms;
    vec![arms]
}

fn acts() -> Vec<Act> {
    let plain = || vec![spec("a")];
    let act = |request, specs, base, tune| Act { request, acts: 1, specs, base, tune };
    fn keep(_: &mut Plan) {}
    fn by_upload(plan: &mut Plan) {
        plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
    }
    fn make_room(plan: &mut Plan) {
        plan.make_room = MakeRoom::Oldest;
    }
    vec![
        act("POST /api/firmware/fetch", plain, FaultPlan::default, keep),
        act("DELETE /api/firmware/fetch/{key}", plain, FaultPlan::default, keep),
        act("DELETE /api/firmware/slots/{key}", full, FaultPlan::default, make_room),
        act(
            "POST /api/upload/firmware",
            plain,
            || FaultPlan::default().where_("a", Behaviour::NoFetch {}),
            by_upload,
        ),
        act("POST /api/firmware/upgrade", plain, FaultPlan::default, keep),
        act("POST /api/firmware/upgrade", arms, FaultPlan::default, reboot_by_command),
    ]
}

#[tokio::test(start_paused = true)]
async fn lost_late_and_refused_replies_do_nothing_twice() {
    // Twice as late as the longest limit of any request here (the upgrade call's 15 minutes).
    let late = SignedDuration::from_mins(30);
    let losses = [
        ("done, reply lost", Fault::ReplyLost),
        ("done, reply late", Fault::Delay { r#for: late }),
        ("done, silence", Fault::Hang { r#for: late, acts: true }),
        ("refused, reply lost", Fault::Reset),
        ("refused, silence", Fault::Hang { r#for: late, acts: false }),
        ("refused, 503", Fault::status(503)),
    ];
    let mut runs = 0;
    for act in acts() {
        for (loss, fault) in &losses {
            let faults = (act.base)().with(FaultRule::once(act.request, fault.clone()));
            let world = World::new((act.specs)(), faults, act.tune).await;
            let ending = world.run().await;
            let told = format!("{}, {loss}: {ending:?}\n{}", act.request, world.story());
            assert_eq!(ending, DONE, "{told}");
            assert_eq!(world.ledger().changes("a", act.request), act.acts, "{told}");
            world.check_all_upgraded();
            runs += 1;
        }
    }
    assert_eq!(runs, 36);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_between_two_processes_uses_up_no_more_than_the_whole_wait() {
    // The first process dies while the appliance is away; the wall clock then jumps by a day.
    let faults = FaultPlan::default();
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    let executor = world.load(executor::Options::default()).await;
    let handle = executor.handle();
    let mut events = handle.subscribe();
    let away = async move {
        loop {
            let event = events.recv().await.expect("an event");
            if format!("{:?}", event.change).contains("RestartSeen") {
                handle.stop();
                return;
            }
        }
    };
    let (ending, ()) = futures::join!(executor.run(), away);
    assert_eq!(ending, Ending::Interrupted);
    world.ports.clock.sleep(Duration::from_hours(24)).await;
    assert_eq!(world.run().await, DONE, "it is back, whatever the clock says");
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn transfers_that_our_own_deaths_cut_off_are_no_failed_tries() {
    let faults = FaultPlan::default().where_("a", Behaviour::NoFetch {});
    let world = World::new(vec![spec("a")], faults, |plan| {
        plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
    })
    .await;
    for _ in 0..5 {
        let executor = world.load(executor::Options::default()).await;
        let mut events = executor.handle().subscribe();
        let begun = async move {
            while !format!("{:?}", events.recv().await.expect("an event").change)
                .contains("Intended(Upload")
            {}
        };
        tokio::select! {
            _ = executor.run() => panic!("it cannot have ended"),
            () = begun => {}
        }
    }
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}
