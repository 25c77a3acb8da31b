//! One appliance, from its first look to its last.

use executor::{Ending, Options};
use model::decision::Decision;
use model::event::{ApplianceChange, Change, FailureCode};
use model::fleet::UpgradeCall;
use model::rollout::{Image, MakeRoom};
use model::run::Phase;
use sim::{AdminAct, Behaviour, Fault, FaultPlan, FaultRule, UpgradeMode, When};

use crate::world::{IMAGE, SIZE, World, change, name, reboot_by_command, spec};

const DONE: Ending = Ending::Finished { upgraded_all: true };
const PARTIAL: Ending = Ending::Finished { upgraded_all: false };

#[tokio::test(start_paused = true)]
async fn fetches_tests_upgrades_and_verifies() {
    let world = World::new(vec![spec("ams-1")], FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(world.ledger().count("ams-1", "POST /api/firmware/fetch"), 1);
    // Again: the report is repeated, nothing is asked of anybody.
    let before = world.ledger().entries().len();
    assert_eq!(world.run().await, DONE);
    assert_eq!(world.ledger().entries().len(), before);
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_fetch_and_of_reboot_cost_few_requests() {
    let slow = |text: &str| {
        let mut spec = spec(text);
        spec.timings.fetch_bytes_per_second = SIZE / 570;
        spec.timings.boot = std::time::Duration::from_secs(540);
        spec
    };
    let world = World::new(vec![slow("a"), slow("b")], FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, DONE);
    let reached = |of: &str| world.ledger().calls_of(of).len();
    let listed = |of: &str| {
        let mut counts = std::collections::BTreeMap::new();
        for call in world.ledger().calls_of(of) {
            let path: String = call.path.chars().take(24).collect();
            *counts.entry(format!("{} {path}", call.method)).or_insert(0) += 1;
        }
        counts
    };
    assert!(reached("a") <= 100, "the first cost {} requests: {:?}", reached("a"), listed("a"));
    assert!(reached("b") <= 50, "the second cost {} requests: {:?}", reached("b"), listed("b"));
}

#[tokio::test(start_paused = true)]
async fn uploads_where_fetch_is_not_offered() {
    let faults = FaultPlan::default().where_("*", Behaviour::NoFetch {});
    let world = World::new(vec![spec("ams-1")], faults, |plan| {
        plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
    })
    .await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(world.ledger().changes("ams-1", "POST /api/upload/firmware"), 1);
}

#[tokio::test(start_paused = true)]
async fn without_fetch_and_image_it_says_what_to_give() {
    let faults = FaultPlan::default().where_("*", Behaviour::NoFetch {});
    let world = World::new(vec![spec("ams-1")], faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held, "the budget of one is reached");
    assert_eq!(world.failure("ams-1").0, FailureCode::FetchNotOffered);
}

#[tokio::test(start_paused = true)]
async fn an_appliance_at_the_target_or_beyond_is_left_alone() {
    let mut same = spec("same");
    same.slots[0] = Some("7.5.1".to_owned());
    let mut newer = spec("newer");
    newer.slots[0] = Some("8.0.0".to_owned());
    let world = World::new(vec![same, newer], FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, PARTIAL);
    assert_eq!(world.phase("same"), Phase::UpToDate);
    assert_eq!(world.phase("newer"), Phase::Skipped);
    assert!(world.ledger().entries().iter().filter_map(|e| e.call()).all(|call| !call.changed));
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_holds_the_target_is_adopted() {
    let mut full = spec("ams-1");
    full.slots[2] = Some("7.5.1".to_owned());
    let world = World::new(vec![full], FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(world.ledger().count("ams-1", "POST /api/firmware/fetch"), 0);
}

#[tokio::test(start_paused = true)]
async fn adoption_can_be_forbidden() {
    let mut full = spec("ams-1");
    full.slots[2] = Some("7.5.1".to_owned());
    let world =
        World::new(vec![full], FaultPlan::default(), |plan| plan.firmware.adopt = false).await;
    assert_eq!(world.run().await, DONE);
    assert_eq!(world.ledger().count("ams-1", "POST /api/firmware/fetch"), 1);
    assert_eq!(world.state("ams-1").stage.slot.expect("a slot").as_str(), "2");
}

#[tokio::test(start_paused = true)]
async fn no_empty_slot_is_a_failure_that_lists_them_or_room_is_made() {
    let full = || {
        let mut full = spec("ams-1");
        full.slots = ["7.5.0", "7.4.0", "7.0.5", "7.0.4"].map(|v| Some(v.to_owned())).to_vec();
        full
    };
    let world = World::new(vec![full()], FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    let (code, text) = world.failure("ams-1");
    assert_eq!(code, FailureCode::NoEmptySlot);
    assert!(text.contains("1: 7.5.0 (current), 2: 7.4.0, 3: 7.0.5, 4: 7.0.4"), "{text}");

    let world =
        World::new(vec![full()], FaultPlan::default(), |plan| plan.make_room = MakeRoom::Oldest)
            .await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(world.state("ams-1").stage.slot.expect("a slot").as_str(), "4", "7.0.4 made room");
}

#[tokio::test(start_paused = true)]
async fn an_armed_appliance_waits_for_its_operator_and_goes_on_by_itself() {
    let mut arms = spec("ams-1");
    arms.upgrade_call = UpgradeMode::Arms;
    let world = World::new(vec![arms], FaultPlan::default(), |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.phase("ams-1"), Phase::Attended);
    assert_eq!(world.hold("ams-1").code(), "operator-reboot");
    assert!(world.state("ams-1").is_down(), "armed counts as down");
    world.fleet.appliance("ams-1").expect("it is there").reboot();
    world.ports.clock.sleep(std::time::Duration::from_mins(1)).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn an_armed_appliance_is_rebooted_once_by_its_command() {
    let mut arms = spec("ams-1");
    arms.upgrade_call = UpgradeMode::Arms;
    let world = World::new(vec![arms], FaultPlan::default(), reboot_by_command).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    let reboots = world.journal.all().into_iter().filter(|event| {
        matches!(
            &event.change,
            Change::Appliance(_, ApplianceChange::Intended(model::event::Act::Reboot))
        )
    });
    assert_eq!(reboots.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_command_that_fails_is_a_persons_to_mend() {
    let mut arms = spec("ams-1");
    arms.upgrade_call = UpgradeMode::Arms;
    let world =
        World::with_reboot_code(vec![arms], FaultPlan::default(), 3, reboot_by_command).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.hold("ams-1").code(), "reboot-failed");
    assert!(world.hold("ams-1").to_string().contains("exit code 3: no such outlet"));
    world.fleet.appliance("ams-1").expect("it is there").reboot();
    world.ports.clock.sleep(std::time::Duration::from_mins(1)).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_said_to_reboot_and_only_arms_is_not_rebooted_by_us() {
    let mut arms = spec("ams-1");
    arms.upgrade_call = UpgradeMode::Arms;
    let world = World::new(vec![arms], FaultPlan::default(), |plan| {
        reboot_by_command(plan);
        change(plan, "ams-1", |entry| entry.upgrade_call = UpgradeCall::Reboots);
    })
    .await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.hold("ams-1").code(), "armed-but-reboots");
}

#[tokio::test(start_paused = true)]
async fn a_revert_is_a_failure_and_only_a_persons_retry_upgrades_again() {
    let faults = FaultPlan::default().where_("ams-1", Behaviour::Revert { times: 1 });
    let world = World::new(vec![spec("ams-1")], faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held, "paused by its budget");
    assert_eq!(world.failure("ams-1").0, FailureCode::Reverted);
    assert!(!world.state("ams-1").is_down(), "failed but answering is up");
    assert_eq!(world.run().await, Ending::Held, "a second run lifts no pause");
    assert_eq!(world.upgrades("ams-1"), 1);

    world.decide(Decision::Retry { appliances: vec![name("ams-1")] }).await;
    world.decide(Decision::Resume).await;
    assert_eq!(world.run().await, DONE);
    assert_eq!(world.upgrades("ams-1"), 2);
    assert_eq!(world.version("ams-1"), "7.5.1");
    assert_eq!(world.ledger().count("ams-1", "POST /api/firmware/test"), 2, "tested again first");
    assert_eq!(world.ledger().count("ams-1", "POST /api/firmware/fetch"), 1, "not fetched again");
}

#[tokio::test(start_paused = true)]
async fn an_appliance_that_never_returns_fails_and_stays_down() {
    for page in [false, true] {
        let faults = FaultPlan::default().where_("ams-1", Behaviour::NeverReturns { page });
        let world = World::new(vec![spec("ams-1")], faults, |_| {}).await;
        assert_eq!(world.run().await, Ending::Held);
        assert_eq!(world.failure("ams-1").0, FailureCode::NoReturn);
        assert!(world.state("ams-1").is_down());
        assert_eq!(world.upgrades("ams-1"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_version_and_broken_integrity_after_the_return_are_failures() {
    let wrong = Behaviour::WrongVersionAfterReboot { version: "7.4.9".to_owned() };
    let world = World::new(vec![spec("a")], FaultPlan::default().where_("a", wrong), |_| {}).await;
    world.run().await;
    assert_eq!(world.failure("a").0, FailureCode::WrongVersion);

    let faults = FaultPlan::default().where_("a", Behaviour::CorruptedAfterReboot {});
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    world.run().await;
    let (code, text) = world.failure("a");
    assert_eq!(code, FailureCode::VerifyFailed);
    assert!(text.contains("integrity of core is CORRUPTED"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_test_keeps_the_appliances_own_words() {
    let summary = "HA check started\nHA check failed".to_owned();
    let test = Behaviour::TestFails { summary: summary.clone(), times: None };
    let world = World::new(vec![spec("a")], FaultPlan::default().where_("a", test), |_| {}).await;
    world.run().await;
    let (code, text) = world.failure("a");
    assert_eq!(code, FailureCode::TestFailed);
    assert!(text.contains("HA check failed"), "{text}");
    assert_eq!(world.upgrades("a"), 0);
    world.check_nothing_left();

    let inside = Behaviour::UpgradeTestFails { summary, times: None };
    let world = World::new(vec![spec("a")], FaultPlan::default().where_("a", inside), |_| {}).await;
    world.run().await;
    let (code, text) = world.failure("a");
    assert_eq!(code, FailureCode::TestFailed);
    assert!(text.contains("HA check failed"), "{text}");
    assert_eq!((world.upgrades("a"), world.state("a").is_down()), (0, false));
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_call_that_did_nothing_is_made_again_by_itself() {
    // 503 before acting: the outcome is unknown, and the whole watch shows that nothing happened.
    let faults = FaultPlan::default()
        .with(FaultRule::once("POST /api/firmware/upgrade", Fault::status(503)).at("a"));
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(world.ledger().count("a", "POST /api/firmware/upgrade"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_accepted_call_without_effect_is_a_failure_not_a_second_call() {
    let faults = FaultPlan::default().where_("a", Behaviour::UpgradeIgnored { times: 1 });
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    world.run().await;
    assert_eq!(world.failure("a").0, FailureCode::Reverted);
    assert_eq!(world.ledger().count("a", "POST /api/firmware/upgrade"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_program_and_a_lost_reply_without_effect_wait_for_a_person() {
    let faults = FaultPlan::default()
        .with(FaultRule::once("POST /api/firmware/upgrade", Fault::status(503)).at("a"));
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    // The program dies right after the reply was lost, and comes back ten minutes later.
    let executor = world.load(Options::default()).await;
    let handle = executor.handle();
    let mut events = handle.subscribe();
    let lost = async move {
        loop {
            let event = events.recv().await.expect("an event");
            if format!("{:?}", event.change).contains("ReplyLost") {
                handle.stop();
                return;
            }
        }
    };
    let (ending, ()) = futures::join!(executor.run(), lost);
    assert_eq!(ending, Ending::Interrupted);
    world.ports.clock.sleep(std::time::Duration::from_mins(10)).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.phase("a"), Phase::Unknown);
    assert_eq!(world.hold("a").code(), "outcome-unknown");
    world.decide(Decision::Resolve { appliance: name("a"), done: false }).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_the_upgrade_call_that_nobody_documents_is_looked_into_first() {
    for code in [409, 423, 418] {
        let fault = Fault::Status {
            code,
            r#type: Some("ConfigurationLocked".to_owned()),
            message: Some("locked by admin".to_owned()),
            retry_after: None,
            acts: false,
        };
        let faults =
            FaultPlan::default().with(FaultRule::once("POST /api/firmware/upgrade", fault));
        let world = World::new(vec![spec("a")], faults, |_| {}).await;
        assert_eq!(world.run().await, DONE, "{code}: watched, seen to have done nothing, repeated");
        world.check_all_upgraded();
    }
}

#[tokio::test(start_paused = true)]
async fn a_documented_refusal_of_the_upgrade_call_fails_at_once_in_its_own_words() {
    let fault = Fault::Status {
        code: 403,
        r#type: Some("Unauthorized".to_owned()),
        message: Some("the user may not upgrade".to_owned()),
        retry_after: None,
        acts: false,
    };
    let faults = FaultPlan::default().with(FaultRule::once("POST /api/firmware/upgrade", fault));
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    world.run().await;
    let (code, text) = world.failure("a");
    assert_eq!(code, FailureCode::UpgradeRefused);
    assert!(text.contains("the user may not upgrade"), "{text}");
    assert!(!world.state("a").is_down());
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_was_bad_is_used_again_once_it_was_emptied() {
    let replaced = AdminAct::ReplaceSlot { slot: None, version: "7.4.0".to_owned() };
    let rule = Behaviour::OtherAdmin { when: When::Fetched {}, act: replaced };
    let world = World::new(vec![spec("a")], FaultPlan::default().where_("a", rule), |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.failure("a").0, FailureCode::WrongImage);
    let box_ = world.fleet.appliance("a").expect("it is there");
    box_.admin(&AdminAct::DeleteSlot { slot: Some("2".to_owned()) });
    world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
    world.decide(Decision::Resume).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(world.state("a").stage.slot.expect("a slot").as_str(), "2");
}

#[tokio::test(start_paused = true)]
async fn a_retry_gives_an_appliance_that_did_not_return_its_whole_time_again() {
    let by = jiff::SignedDuration::from_mins(70);
    let faults = FaultPlan::default().where_("a", Behaviour::SlowBoot { by });
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.failure("a").0, FailureCode::NoReturn);
    world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
    world.decide(Decision::Resume).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}
