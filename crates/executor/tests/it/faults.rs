//! Each fault of the simulator, and the outcome that the contract names for it.

use std::time::Duration;

use executor::Ending;
use jiff::SignedDuration;
use model::decision::Decision;
use model::event::FailureCode;
use model::rollout::Image;
use model::run::Phase;
use sim::{AdminAct, Behaviour, CertificateWhen, Fault, FaultPlan, FaultRule, UpgradeMode, When};

use crate::world::{ELSEWHERE, IMAGE, SIZE, URL, World, name, reboot_by_command, spec};

const DONE: Ending = Ending::Finished { upgraded_all: true };

/// Passing trouble on the way: everything succeeds, and nothing is done twice.
#[tokio::test(start_paused = true)]
async fn passing_faults_on_any_request_do_no_harm() {
    let faults = [
        Fault::status(503),
        Fault::Status { code: 429, r#type: None, message: None, retry_after: Some(3), acts: false },
        Fault::Reset,
        Fault::ReplyLost,
        Fault::Hang { r#for: SignedDuration::from_secs(40), acts: false },
        Fault::Hang { r#for: SignedDuration::from_secs(40), acts: true },
        Fault::Delay { r#for: SignedDuration::from_secs(3) },
        Fault::Slow { bytes_per_second: 50 },
        Fault::Truncate { after: 3 },
        Fault::Html { code: 200, acts: false },
        Fault::Html { code: 502, acts: true },
        Fault::Body { code: 200, text: "{}".to_owned(), acts: true },
        Fault::Booting,
    ];
    let requests = [
        "GET /api/authentication",
        "GET /api/setup",
        "GET /api/info",
        "GET /api/firmware",
        "GET /api/firmware/slots",
        "GET /api/firmware/slots/{key}",
        "GET /api/firmware/fetch",
        "POST /api/firmware/fetch",
        "GET /api/firmware/fetch/{key}",
        "DELETE /api/firmware/fetch/{key}",
        "POST /api/firmware/test",
        "POST /api/firmware/upgrade",
        "GET /api/health_status",
    ];
    for fault in &faults {
        for request in requests {
            // An answer of the right shape without its content is a fault of the appliance that
            // no repetition cures; it must only never do harm.
            let malformed = matches!(fault, Fault::Body { .. });
            let plan = FaultPlan::default().with(FaultRule::once(request, fault.clone()));
            let world = World::new(vec![spec("a")], plan, |_| {}).await;
            let ending = world.run().await;
            let told =
                format!("{request} with {fault:?}: {ending:?}, {:?}", world.state("a").failure);
            assert!(world.upgrades("a") <= 1, "{told}");
            assert!(world.ledger().changes("a", "POST /api/firmware/fetch") <= 1, "{told}");
            if !malformed {
                assert_eq!(ending, DONE, "{told}");
                world.check_all_upgraded();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_an_upload_is_observed_not_repeated() {
    for fault in [Fault::ReplyLost, Fault::Html { code: 502, acts: true }] {
        let faults = FaultPlan::default()
            .where_("*", Behaviour::NoFetch {})
            .with(FaultRule::once("POST /api/upload/firmware", fault));
        let world = World::new(vec![spec("a")], faults, |plan| {
            plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
        })
        .await;
        assert_eq!(world.run().await, DONE);
        world.check_all_upgraded();
        assert_eq!(world.ledger().changes("a", "POST /api/upload/firmware"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_of_another_image_is_found_out_though_its_reply_is_lost() {
    let faults = FaultPlan::default()
        .where_("*", Behaviour::NoFetch {})
        .with(FaultRule::once("POST /api/upload/firmware", Fault::ReplyLost));
    let world = World::new(vec![spec("a")], faults, |plan| {
        plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
        plan.firmware.sha256 = model::Sha256Hex::of(b"another image");
    })
    .await;
    world.run().await;
    assert_eq!(world.failure("a").0, FailureCode::WrongImage);
    assert_eq!(world.upgrades("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_was_cut_off_is_sent_again() {
    let faults = FaultPlan::default()
        .where_("*", Behaviour::NoFetch {})
        .with(FaultRule::once("POST /api/upload/firmware", Fault::Reset));
    let world = World::new(vec![spec("a")], faults, |plan| {
        plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
    })
    .await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    assert_eq!(world.ledger().count("a", "POST /api/upload/firmware"), 2);
}

/// A dead process does not know how much of the image it had sent. The next one waits no longer
/// for the slot to appear than a transfer may stand still.
#[tokio::test(start_paused = true)]
async fn an_upload_that_a_dead_process_left_is_awaited_as_long_as_a_stall() {
    let faults = FaultPlan::default()
        .where_("*", Behaviour::NoFetch {})
        .with(FaultRule::once("POST /api/upload/firmware", Fault::Reset));
    let world = World::new(vec![spec("a")], faults, |plan| {
        plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
        plan.timeouts.stall = SignedDuration::from_secs(20);
    })
    .await;
    let ending = world
        .run_beside(|handle| async move {
            let mut events = handle.subscribe();
            while !format!("{:?}", events.recv().await.expect("an event").change)
                .contains("ReplyLost")
            {}
            handle.stop();
        })
        .await;
    assert_eq!(ending, Ending::Interrupted);
    assert!(world.state("a").open.is_some(), "whether it arrived is not known");
    let began = world.ports.clock.now();
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
    let events = world.journal.all();
    let told = |event: &&model::event::Event| format!("{:?}", event.change).contains("NotDone");
    let waited = events.iter().find(told).expect("it was not done").at.duration_since(began);
    assert!(waited < SignedDuration::from_mins(1), "{waited:#}");
    assert_eq!(world.ledger().count("a", "POST /api/upload/firmware"), 2);
}

#[tokio::test(start_paused = true)]
async fn stuck_and_failed_fetches_are_asked_for_again_three_times_at_most() {
    for (behaviour, good) in [
        (Behaviour::FetchStuck { times: 1 }, true),
        (Behaviour::FetchFails { times: 2, error: None }, true),
        (Behaviour::FetchFails { times: 3, error: None }, false),
        (Behaviour::FetchStuck { times: 3 }, false),
    ] {
        let told = format!("{behaviour:?}");
        let faults = FaultPlan::default().where_("a", behaviour);
        let world = World::new(vec![spec("a")], faults, |_| {}).await;
        let ending = world.run().await;
        if good {
            assert_eq!(ending, DONE, "{told}");
            world.check_all_upgraded();
        } else {
            assert_eq!(world.failure("a").0, FailureCode::StageFailed, "{told}");
            assert_eq!(world.ledger().changes("a", "POST /api/firmware/fetch"), 3, "{told}");
            world.check_nothing_left();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_checksum_or_a_missing_slot_is_not_fetched_again() {
    let full =
        Behaviour::FetchFails { times: 9, error: Some("No empty slot available".to_owned()) };
    for (behaviour, code) in [
        (Behaviour::FetchCorrupts { times: 9 }, FailureCode::WrongImage),
        (full, FailureCode::NoEmptySlot),
    ] {
        let world =
            World::new(vec![spec("a")], FaultPlan::default().where_("a", behaviour), |_| {}).await;
        world.run().await;
        assert_eq!(world.failure("a").0, code);
        assert_eq!(world.ledger().changes("a", "POST /api/firmware/fetch"), 1);
        world.check_nothing_left();
    }
}

#[tokio::test(start_paused = true)]
async fn poor_health_is_said_before_anything_is_done() {
    for (behaviour, words) in [
        (Behaviour::Tainted { files: 3 }, "manually modified files"),
        (Behaviour::DiskUsed { percent: 93.0 }, "93 % full"),
    ] {
        let world =
            World::new(vec![spec("a")], FaultPlan::default().where_("a", behaviour), |_| {}).await;
        world.run().await;
        let (code, text) = world.failure("a");
        assert_eq!(code, FailureCode::Unhealthy);
        assert!(text.contains(words), "{text}");
        assert_eq!(world.ledger().count("a", "POST /api/firmware/fetch"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn another_hand_is_a_hold() {
    let sha256 = sim::SimImage::described("7.5.1", SIZE).sha256.to_string();
    let other = AdminAct::StartFetch { url: ELSEWHERE.to_owned(), sha256 };
    let pattern = |text: &str| serde_json_pattern(text);
    let after = |text: &str| When::After(pattern(text));
    let cases = [
        (When::At(SignedDuration::ZERO), other, "changed-by-others"),
        (
            When::At(SignedDuration::ZERO),
            AdminAct::Arm { slot: Some("4".to_owned()) },
            "other-firmware-armed",
        ),
        (
            after("POST /api/firmware/test"),
            AdminAct::DeleteSlot { slot: None },
            "changed-by-others",
        ),
        (
            after("POST /api/firmware/test"),
            AdminAct::ReplaceSlot { slot: None, version: "7.4.0".to_owned() },
            "changed-by-others",
        ),
        (When::Fetched {}, AdminAct::Arm { slot: None }, "already-armed"),
    ];
    for (when, act, code) in cases {
        let told = format!("{act:?}");
        let mut ams = spec("a");
        ams.slots[3] = Some("7.4.0".to_owned());
        let before = when == When::At(SignedDuration::ZERO);
        let faults = FaultPlan::default();
        let rule = Behaviour::OtherAdmin { when, act: act.clone() };
        let faults = if before { faults } else { faults.where_("a", rule) };
        let world = World::new(vec![ams], faults, |_| {}).await;
        if before {
            world.fleet.appliance("a").expect("it is there").admin(&act);
        }
        assert_eq!(world.run().await, Ending::Held, "{told}");
        assert_eq!(world.hold("a").code(), code, "{told}: {}", world.hold("a"));
        assert_eq!(world.upgrades("a"), 0, "{told}");
    }
}

fn serde_json_pattern(text: &str) -> sim::faults::Pattern {
    sim::faults::Pattern::read(text).expect("a pattern")
}

#[tokio::test(start_paused = true)]
async fn a_fetch_of_the_same_url_by_another_hand_is_waited_for() {
    let sha256 = sim::SimImage::described("7.5.1", SIZE).sha256.to_string();
    let act = AdminAct::StartFetch { url: URL.to_owned(), sha256 };
    let world = World::new(vec![spec("a")], FaultPlan::default(), |_| {}).await;
    world.fleet.appliance("a").expect("it is there").admin(&act);
    assert_eq!(world.run().await, DONE);
    assert_eq!(world.ledger().count("a", "POST /api/firmware/fetch"), 0);
    let records = world.fleet.appliance("a").expect("it is there").fetch_records();
    assert_eq!(records.len(), 1, "another hand's record is not ours to remove");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_end_cost_a_login_and_nothing_else() {
    for request in
        ["GET /api/firmware/slots", "POST /api/firmware/fetch", "POST /api/firmware/test"]
    {
        let act = AdminAct::EndSessions {};
        let when = When::After(serde_json_pattern(request));
        let faults = FaultPlan::default().where_("a", Behaviour::OtherAdmin { when, act });
        let world = World::new(vec![spec("a")], faults, |_| {}).await;
        assert_eq!(world.run().await, DONE, "{request}");
        world.check_all_upgraded();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_sent_once() {
    let faults = FaultPlan::default().where_("a", Behaviour::PasswordChanged {});
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.hold("a").code(), "credentials-refused");
    assert_eq!(world.ledger().count("a", "GET /api/authentication"), 1);
    // Again, by another process: the refusal is remembered, nothing is sent.
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.ledger().count("a", "GET /api/authentication"), 1);
    world.decide(Decision::Retry { appliances: vec![name("a")] }).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.ledger().count("a", "GET /api/authentication"), 2, "retry sends it again");
}

#[tokio::test(start_paused = true)]
async fn an_unproven_password_reaches_three_appliances_at_most() {
    let faults = FaultPlan::default().where_("*", Behaviour::PasswordChanged {});
    let world = World::new(crate::world::specs(8), faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    let sent: usize = world
        .fleet
        .appliances()
        .map(|a| world.ledger().count(a.name().as_str(), "GET /api/authentication"))
        .sum();
    assert_eq!(sent, 3);
}

#[tokio::test(start_paused = true)]
async fn an_unproven_identity_gets_no_password() {
    let when = CertificateWhen::Always;
    let faults = FaultPlan::default().where_("a", Behaviour::WrongCertificate { when });
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.hold("a").code(), "identity-not-proven");
    assert_eq!(world.ledger().count("a", "GET /api/authentication"), 0);

    let when = CertificateWhen::Booting;
    let faults = FaultPlan::default().where_("a", Behaviour::WrongCertificate { when });
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    assert_eq!(world.run().await, DONE, "while booting it is only no good answer");
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_appliance_is_set_aside_and_taken_when_it_answers() {
    let away = |minutes| Behaviour::Outage {
        at: SignedDuration::ZERO,
        r#for: SignedDuration::from_mins(minutes),
    };
    let world =
        World::new(vec![spec("a")], FaultPlan::default().where_("a", away(50)), |_| {}).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();

    let world =
        World::new(vec![spec("a")], FaultPlan::default().where_("a", away(60 * 24)), |_| {}).await;
    let began = world.ports.clock.monotonic();
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.failure("a").0, FailureCode::Unreachable);
    let took = world.ports.clock.monotonic() - began;
    assert!(took >= Duration::from_hours(2) && took < Duration::from_mins(130), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_it_waits_is_seen_and_survived() {
    for minute in [1, 2, 3] {
        let outage = Behaviour::Outage {
            at: SignedDuration::from_mins(minute),
            r#for: SignedDuration::from_mins(20),
        };
        let world =
            World::new(vec![spec("a")], FaultPlan::default().where_("a", outage), |_| {}).await;
        assert_eq!(world.run().await, DONE, "outage in minute {minute}");
        assert!(world.upgrades("a") <= 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_boot_is_waited_for() {
    let by = SignedDuration::from_mins(30);
    let faults = FaultPlan::default().where_("a", Behaviour::SlowBoot { by });
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_of_an_arming_call_is_not_sent_again() {
    let mut arms = spec("a");
    arms.upgrade_call = UpgradeMode::Arms;
    let faults =
        FaultPlan::default().with(FaultRule::once("POST /api/firmware/upgrade", Fault::ReplyLost));
    let world = World::new(vec![arms], faults, reboot_by_command).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn slots_that_are_full_on_arrival_are_listed() {
    let faults =
        FaultPlan::default().where_("a", Behaviour::SlotsFull { version: "7.4.0".to_owned() });
    let world = World::new(vec![spec("a")], faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.failure("a").0, FailureCode::NoEmptySlot);
    assert_eq!(world.phase("a"), Phase::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_call_that_only_arms_is_found_out_and_rebooted() {
    let faults = FaultPlan::default().where_("a", Behaviour::UpgradeArms {});
    let world = World::new(vec![spec("a")], faults, reboot_by_command).await;
    assert_eq!(world.run().await, DONE);
    world.check_all_upgraded();
}

#[tokio::test(start_paused = true)]
async fn a_selection_that_another_hand_takes_back_is_a_failure_not_a_second_call() {
    let mut arms = spec("a");
    arms.upgrade_call = UpgradeMode::Arms;
    let when = When::At(SignedDuration::from_mins(3));
    let rule = Behaviour::OtherAdmin { when, act: AdminAct::Disarm {} };
    let faults = FaultPlan::default().where_("a", rule);
    let world = World::new(vec![arms], faults, |_| {}).await;
    assert_eq!(world.run().await, Ending::Held);
    assert_eq!(world.failure("a").0, FailureCode::Reverted);
    assert_eq!(world.upgrades("a"), 1);
    assert!(!world.state("a").is_down());
}

#[tokio::test(start_paused = true)]
async fn fetch_records_that_another_hand_removes_cost_nothing() {
    for when in [When::Fetched {}, When::At(SignedDuration::from_secs(30))] {
        let rule = Behaviour::OtherAdmin { when, act: AdminAct::RemoveRecords {} };
        let faults = FaultPlan::default().where_("a", rule);
        let world = World::new(vec![spec("a")], faults, |_| {}).await;
        assert_eq!(world.run().await, DONE);
        assert_eq!(world.version("a"), "7.5.1");
        world.check_nothing_left();
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_by_another_hand_is_survived_at_any_time() {
    for seconds in [1, 20, 60, 110, 125, 140] {
        // In the middle of the upgrade call the restart is taken for the call's own: the verdict
        // is a person's to lift, and no second call is made.
        let inside = seconds == 125;
        let when = When::At(SignedDuration::from_secs(seconds));
        let rule = Behaviour::OtherAdmin { when, act: AdminAct::Reboot {} };
        let faults = FaultPlan::default().where_("a", rule);
        let world = World::new(vec![spec("a")], faults, |_| {}).await;
        let ending = world.run().await;
        if inside {
            assert_eq!(world.failure("a").0, FailureCode::Reverted);
            assert_eq!(world.ledger().count("a", "POST /api/firmware/upgrade"), 1);
            continue;
        }
        assert_eq!(ending, DONE, "after {seconds} s\n{}", world.story());
        world.check_all_upgraded();
    }
}

/// One good answer does not forgive the others: what counts is that the appliance cannot be read.
#[tokio::test(start_paused = true)]
async fn an_appliance_that_answers_one_question_only_fails_after_its_wait() {
    for request in ["GET /api/firmware/slots", "GET /api/authentication"] {
        let rule = FaultRule { forever: true, ..FaultRule::once(request, Fault::status(503)) };
        let world = World::new(vec![spec("a")], FaultPlan::default().with(rule), |plan| {
            plan.unreachable_wait = SignedDuration::from_mins(1);
        })
        .await;
        let began = world.ports.clock.monotonic();
        assert_eq!(world.run().await, Ending::Held);
        assert_eq!(world.failure("a").0, FailureCode::Unreachable, "{request}");
        let took = world.ports.clock.monotonic() - began;
        assert!(took < Duration::from_secs(150), "{request}: {took:?}");
    }
}
