//! No behaviour and no fault of the simulator without a test that names its outcome.

use sim::{AdminAct, Behaviour, Fault};

/// Which test names the outcome of a behaviour. A new behaviour does not compile without one.
fn test_of(behaviour: &Behaviour) -> &'static str {
    match behaviour {
        Behaviour::Revert { .. } => {
            "single::a_revert_is_a_failure_and_only_a_persons_retry_upgrades_again"
        }
        Behaviour::WrongVersionAfterReboot { .. } | Behaviour::CorruptedAfterReboot {} => {
            "single::wrong_version_and_broken_integrity_after_the_return_are_failures"
        }
        Behaviour::NeverReturns { .. } => {
            "single::an_appliance_that_never_returns_fails_and_stays_down"
        }
        Behaviour::UpgradeIgnored { .. } => {
            "single::an_accepted_call_without_effect_is_a_failure_not_a_second_call"
        }
        Behaviour::UpgradeArms {} => "an_upgrade_call_that_only_arms_is_found_out_and_rebooted",
        Behaviour::FetchStuck { .. } | Behaviour::FetchFails { .. } => {
            "stuck_and_failed_fetches_are_asked_for_again_three_times_at_most"
        }
        Behaviour::FetchCorrupts { .. } => {
            "a_wrong_checksum_or_a_missing_slot_is_not_fetched_again"
        }
        Behaviour::NoFetch {} => "single::uploads_where_fetch_is_not_offered",
        Behaviour::TestFails { .. } | Behaviour::UpgradeTestFails { .. } => {
            "single::a_failed_test_keeps_the_appliances_own_words"
        }
        Behaviour::OtherAdmin { act, .. } => match act {
            AdminAct::DeleteSlot { .. }
            | AdminAct::ReplaceSlot { .. }
            | AdminAct::Arm { .. }
            | AdminAct::StartFetch { .. } => "another_hand_is_a_hold",
            AdminAct::Disarm {} => {
                "a_selection_that_another_hand_takes_back_is_a_failure_not_a_second_call"
            }
            AdminAct::RemoveRecords {} => "fetch_records_that_another_hand_removes_cost_nothing",
            AdminAct::Reboot {} => "a_reboot_by_another_hand_is_survived_at_any_time",
            AdminAct::EndSessions {} => "sessions_that_end_cost_a_login_and_nothing_else",
            AdminAct::Hostname { .. } => {
                "a_host_name_that_changed_since_the_last_rollout_is_a_hold"
            }
            AdminAct::Roles { .. } => "a_cluster_that_is_not_as_declared_does_not_begin",
        },
        Behaviour::Outage { .. } => {
            "an_unreachable_appliance_is_set_aside_and_taken_when_it_answers"
        }
        Behaviour::PasswordChanged {} => "a_refused_password_is_sent_once",
        Behaviour::WrongCertificate { .. } => "an_unproven_identity_gets_no_password",
        Behaviour::SlotsFull { .. } => "slots_that_are_full_on_arrival_are_listed",
        Behaviour::Tainted { .. } | Behaviour::DiskUsed { .. } => {
            "poor_health_is_said_before_anything_is_done"
        }
        Behaviour::SlowBoot { .. } => "a_slow_boot_is_waited_for",
        Behaviour::Sessions { .. } => "sessions_are_waited_for_then_held_or_cut",
        Behaviour::FallsIll { .. } => "who_falls_ill_while_its_wave_soaks_stops_the_rollout",
        Behaviour::SlowShutdown { .. } | Behaviour::PowerIgnored { .. } => {
            "a_shutdown_that_never_ends_is_a_persons_or_forced"
        }
        Behaviour::SecondaryOff {} => "a_secondary_that_was_off_before_is_a_persons",
        Behaviour::SwitchIsPrimary {} => "the_wrong_node_is_switched_on_again_and_the_pair_fails",
        Behaviour::PeerSyncStuck {} => "a_peer_that_never_gets_the_firmware_breaks_nothing",
        Behaviour::ClusterMissing {}
        | Behaviour::ClusterStranger { .. }
        | Behaviour::ClusterUnseen { after_restart: false }
        | Behaviour::Roles { .. } => "a_cluster_that_is_not_as_declared_does_not_begin",
        Behaviour::ClusterPending {}
        | Behaviour::ClusterUnseen { after_restart: true }
        | Behaviour::ClusterWarning { .. } => {
            "a_cluster_that_does_not_agree_afterwards_is_a_failure"
        }
    }
}

/// The same for a fault of a single request.
fn test_of_fault(fault: &Fault) -> &'static str {
    match fault {
        Fault::Status { .. }
        | Fault::Reset
        | Fault::ReplyLost
        | Fault::Hang { .. }
        | Fault::Delay { .. }
        | Fault::Slow { .. }
        | Fault::Truncate { .. }
        | Fault::Html { .. }
        | Fault::Body { .. }
        | Fault::Booting => "passing_faults_on_any_request_do_no_harm",
    }
}

#[test]
fn every_fault_names_a_test_that_is_there() {
    let sources = [
        include_str!("faults.rs"),
        include_str!("single.rs"),
        include_str!("pairs.rs"),
        include_str!("clusters.rs"),
        include_str!("waits.rs"),
    ];
    let there = |test: &str| {
        let name = test.rsplit("::").next().unwrap_or(test);
        sources.iter().any(|source| source.contains(&format!("async fn {name}(")))
    };
    let some = [
        test_of(&Behaviour::Revert { times: 1 }),
        test_of(&Behaviour::UpgradeArms {}),
        test_of(&Behaviour::NoFetch {}),
        test_of_fault(&Fault::Reset),
    ];
    assert!(some.into_iter().all(there));
    let named = include_str!("coverage.rs").lines().filter_map(|line| {
        let quoted = line.trim().trim_end_matches([',', '}']).trim();
        let quoted = quoted.rsplit("=> ").next()?.strip_prefix('"')?.strip_suffix('"')?;
        quoted.contains('_').then_some(quoted).filter(|name| !name.contains([' ', '/', '{']))
    });
    let missing: Vec<&str> = named.filter(|name| !there(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
