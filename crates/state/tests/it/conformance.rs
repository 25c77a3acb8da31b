//! What every journal must do, run on the one in memory and on the one on disk. The second runs
//! in real time: SQLite's threads are invisible to a paused clock.

use model::decision::Decision;
use model::event::{ApplianceChange, Event, RolloutChange, Step};
use model::ports::{Fingerprint, Journal};
use model::run::{Phase, Run};
use model::{CredentialId, RolloutId};

use crate::sample::{
    accepted, at, decided, failed, journey, login, member, name, plan, progress, rollout,
};

both!(
    events_are_numbered_over_all_rollouts,
    what_is_appended_reads_back_equal_and_folds,
    a_batch_is_all_or_nothing,
    an_event_that_cannot_happen_leaves_no_trace,
    an_empty_batch_is_nothing,
    events_come_in_pages,
    rollouts_are_listed_oldest_first_with_their_end,
    an_ended_rollout_is_taken_up_by_retry,
    logins_are_remembered_until_retry,
    durations_are_kept_in_order,
    a_new_plan_brings_and_removes_members,
    concurrent_appends_each_get_their_own_events,
);

fn id(text: &str) -> RolloutId {
    RolloutId::new(text)
}

async fn all(journal: &dyn Journal, rollout: &str) -> Vec<Event> {
    journal.events(&id(rollout), 0, usize::MAX).await.expect("events")
}

async fn begin(journal: &dyn Journal, rollout: &str, members: &[&str]) {
    let batch = [accepted(&id(rollout), &plan("spring", members), at(0))];
    journal.append(&batch).await.expect("accepted");
}

async fn fold(journal: &dyn Journal, rollout: &str) -> Run {
    Run::fold(&all(journal, rollout).await).expect("legal").expect("begun")
}

async fn events_are_numbered_over_all_rollouts(journal: &dyn Journal) {
    let first = accepted(&id("a"), &plan("spring", &["x"]), at(0));
    let second = accepted(&id("b"), &plan("summer", &["y"]), at(1));
    let events = journal.append(&[first, second]).await.expect("written");
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2]);
    let more = journal.append(&[progress(&id("a"), 2, "x", 5)]).await.expect("written");
    assert_eq!((more[0].seq, &more[0].rollout), (3, &id("a")));
    let of_a: Vec<u64> = all(journal, "a").await.iter().map(|event| event.seq).collect();
    assert_eq!(of_a, [1, 3]);
}

async fn what_is_appended_reads_back_equal_and_folds(journal: &dyn Journal) {
    begin(journal, "a", &["x", "y"]).await;
    let drafts = journey(&id("a"), "x", 10);
    let events = journal.append(&drafts).await.expect("written");
    for (draft, event) in drafts.iter().zip(&events) {
        let same = (&draft.rollout, draft.at, &draft.change);
        assert_eq!(same, (&event.rollout, event.at, &event.change));
    }
    assert_eq!(all(journal, "a").await[1..], events);
    let run = fold(journal, "a").await;
    assert_eq!(run.appliances[&name("x")].phase, Phase::Succeeded);
    assert_eq!(run.appliances[&name("y")].phase, Phase::Pending);
}

async fn a_batch_is_all_or_nothing(journal: &dyn Journal) {
    begin(journal, "a", &["x"]).await;
    let before = fold(journal, "a").await;
    let batch = [
        member(&id("a"), at(1), "x", ApplianceChange::StepStarted(Step::Preflight)),
        member(&id("a"), at(1), "x", login("c", 1, false)),
        decided(&id("a"), at(1), Decision::Pause { all: true, now: false }),
        member(&id("a"), at(2), "x", ApplianceChange::Permitted),
    ];
    let error = journal.append(&batch).await.expect_err("only a ready one gets a permit");
    assert!(error.illegal, "{error}");
    assert!(error.detail.contains("only a ready appliance"), "{error}");
    assert_eq!(fold(journal, "a").await, before);
    assert!(journal.logins().await.expect("logins").refused.is_empty());
    // The first part alone is legal and takes the numbers that were given back.
    let events = journal.append(&batch[..3]).await.expect("legal");
    assert_eq!(events[0].seq, 2);
}

async fn an_event_that_cannot_happen_leaves_no_trace(journal: &dyn Journal) {
    begin(journal, "a", &["x"]).await;
    let impossible = [
        rollout(&id("unknown"), at(1), RolloutChange::Finished),
        accepted(&id("a"), &plan("spring", &["x"]), at(1)),
        member(&id("a"), at(1), "nobody", ApplianceChange::StepStarted(Step::Preflight)),
        member(&id("a"), at(1), "by-1", ApplianceChange::StepStarted(Step::Preflight)),
        decided(&id("a"), at(1), Decision::Resume),
        decided(&id("a"), at(1), Decision::Retry { appliances: vec![name("x")] }),
        member(&id("a"), at(1), "x", ApplianceChange::Armed),
    ];
    for draft in impossible {
        let error = journal.append(std::slice::from_ref(&draft)).await.expect_err("impossible");
        assert!(error.illegal, "{draft:?}: {error}");
    }
    assert_eq!(all(journal, "a").await.len(), 1);
    assert_eq!(all(journal, "unknown").await, []);
    assert_eq!(journal.rollouts().await.expect("rollouts").len(), 1);
}

async fn an_empty_batch_is_nothing(journal: &dyn Journal) {
    assert_eq!(journal.append(&[]).await.expect("nothing"), []);
    assert_eq!(journal.rollouts().await.expect("rollouts"), []);
    assert_eq!(journal.durations().await.expect("durations"), []);
}

async fn events_come_in_pages(journal: &dyn Journal) {
    begin(journal, "a", &["x"]).await;
    begin(journal, "b", &["x"]).await;
    for second in 1..=10 {
        let (a, b) = (progress(&id("a"), second, "x", 1), progress(&id("b"), second, "x", 2));
        journal.append(&[a, b]).await.expect("written");
    }
    let mut read = Vec::new();
    loop {
        let after = read.last().map_or(0, |event: &Event| event.seq);
        let page = journal.events(&id("a"), after, 4).await.expect("a page");
        assert!(page.len() <= 4);
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!(read.len(), 11);
    assert_eq!(read, all(journal, "a").await);
    assert_eq!(journal.events(&id("a"), 0, 0).await.expect("none"), []);
    assert_eq!(journal.events(&id("a"), u64::MAX, 5).await.expect("none"), []);
}

async fn rollouts_are_listed_oldest_first_with_their_end(journal: &dyn Journal) {
    let batch = [
        accepted(&id("z"), &plan("spring", &["x"]), at(0)),
        accepted(&id("a"), &plan("spring", &["x"]), at(60)),
    ];
    journal.append(&batch).await.expect("written");
    let mut way = journey(&id("z"), "x", 10);
    way.push(rollout(&id("z"), at(500), RolloutChange::Finished));
    journal.append(&way).await.expect("written");
    let heads = journal.rollouts().await.expect("rollouts");
    let brief: Vec<_> = heads.iter().map(|head| (head.id.as_str(), head.ended)).collect();
    assert_eq!(brief, [("z", true), ("a", false)]);
    assert_eq!((heads[0].name.as_str(), heads[0].accepted_at), ("spring", at(0)));
}

async fn an_ended_rollout_is_taken_up_by_retry(journal: &dyn Journal) {
    begin(journal, "a", &["x"]).await;
    let end = [
        member(&id("a"), at(1), "x", failed(Step::Preflight)),
        rollout(&id("a"), at(2), RolloutChange::Finished),
    ];
    journal.append(&end).await.expect("written");
    begin(journal, "b", &["x"]).await;
    let retry = decided(&id("a"), at(3), Decision::Retry { appliances: vec![name("x")] });
    journal.append(&[retry]).await.expect("allowed after the end");
    let again = member(&id("a"), at(4), "x", ApplianceChange::StepStarted(Step::Preflight));
    journal.append(&[again]).await.expect("it goes on");
    let run = fold(journal, "a").await;
    assert_eq!((run.has_ended(), run.appliances[&name("x")].retries), (false, 1));
    let heads = journal.rollouts().await.expect("rollouts");
    assert!(heads.iter().all(|head| !head.ended));
}

async fn logins_are_remembered_until_retry(journal: &dyn Journal) {
    begin(journal, "a", &["x", "y"]).await;
    let say = async |who: &str, change: ApplianceChange| {
        journal.append(&[member(&id("a"), at(1), who, change)]).await.expect("written");
    };
    say("x", login("one", 1, false)).await;
    say("x", login("two", 2, false)).await;
    say("y", login("one", 1, false)).await;
    let one = (CredentialId::new("one"), Fingerprint(1));
    let two = (CredentialId::new("two"), Fingerprint(2));
    let memory = journal.logins().await.expect("logins");
    assert_eq!(memory.refused[&name("x")], [one.clone(), two.clone()]);
    assert_eq!(memory.refused[&name("y")], [one]);
    assert!(memory.proven.is_empty());
    // Taken at one appliance: proven, and no longer refused there.
    say("x", login("one", 9, true)).await;
    say("x", login("one", 9, true)).await;
    let memory = journal.logins().await.expect("logins");
    assert_eq!(memory.refused[&name("x")], [two]);
    assert_eq!(memory.proven, [CredentialId::new("one")]);
    // A person's retry forgets the refusals of the appliances it names.
    say("x", failed(Step::Preflight)).await;
    let retry = decided(&id("a"), at(2), Decision::Retry { appliances: vec![name("x")] });
    journal.append(&[retry]).await.expect("retried");
    let memory = journal.logins().await.expect("logins");
    assert_eq!(memory.refused.keys().collect::<Vec<_>>(), [&name("y")]);
    assert_eq!(memory.proven.len(), 1);
}

async fn durations_are_kept_in_order(journal: &dyn Journal) {
    begin(journal, "a", &["x", "y"]).await;
    journal.append(&journey(&id("a"), "x", 10)).await.expect("written");
    journal.append(&journey(&id("a"), "y", 1000)).await.expect("written");
    let durations = journal.durations().await.expect("durations");
    let one: Vec<(Step, f64)> =
        durations.iter().take(6).map(|took| (took.step, took.took.as_secs_f64())).collect();
    let expected = [
        (Step::Preflight, 20.0),
        (Step::Stage, 10.0),
        (Step::Test, 10.0),
        (Step::Activate, 20.0),
        (Step::Return, 10.0),
        (Step::Verify, 10.0),
    ];
    assert_eq!(one, expected);
    assert_eq!(durations.len(), 12);
    assert_eq!((durations[0].appliance.as_str(), durations[0].site.as_str()), ("x", "ams"));
    assert_eq!(durations[6].appliance.as_str(), "y");
}

async fn a_new_plan_brings_and_removes_members(journal: &dyn Journal) {
    begin(journal, "a", &["x", "y"]).await;
    let replanned = RolloutChange::Replanned {
        plan: plan("spring", &["x", "z"]),
        actor: crate::sample::actor(),
    };
    journal.append(&[rollout(&id("a"), at(5), replanned)]).await.expect("planned anew");
    let gone = member(&id("a"), at(6), "y", ApplianceChange::StepStarted(Step::Preflight));
    assert!(journal.append(&[gone]).await.is_err());
    journal.append(&journey(&id("a"), "z", 10)).await.expect("the new one");
    let run = fold(journal, "a").await;
    assert_eq!(run.appliances.keys().map(|n| n.as_str()).collect::<Vec<_>>(), ["x", "z"]);
}

async fn concurrent_appends_each_get_their_own_events(journal: &dyn Journal) {
    begin(journal, "a", &["x"]).await;
    let one = async |number: u64| {
        // Every fifth cannot happen; the others must not notice.
        let draft = if number.is_multiple_of(5) {
            member(&id("a"), at(1), "x", ApplianceChange::Permitted)
        } else {
            progress(&id("a"), 1, "x", number)
        };
        let result = journal.append(std::slice::from_ref(&draft)).await;
        if number.is_multiple_of(5) {
            assert!(result.expect_err("impossible").illegal);
            return None;
        }
        let events = result.expect("written");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].change, draft.change);
        Some(events[0].seq)
    };
    let mut given: Vec<u64> =
        futures::future::join_all((0..100).map(one)).await.into_iter().flatten().collect();
    given.sort_unstable();
    assert_eq!(given, (2..=81).collect::<Vec<u64>>());
    assert_eq!(all(journal, "a").await.len(), 81);
}
