//! Reads only: who it is, what it runs, whether it can be upgraded. The answers are the baseline.

use std::collections::BTreeSet;
use std::time::Duration;

use model::event::{ApplianceChange, FailureCode, SkipReason, Step};
use model::failure::ApplianceError;
use model::hold::HoldReason;
use model::observed::{Baseline, FetchJob, Info, SetupStatus, Slot, describe_slots};

use super::ask::{Answering, TWO_LOOKS, is_silence, not_ready, set_aside};
use super::checks::{health_faults, room};
use super::context::{Context, Deadline, unsigned};
use super::questions;
use super::{Done, Stop, fail, hold, refused};
use crate::pacing;

const STEP: Step = Step::Preflight;

/// How long the reads of one preflight may take in all. An appliance that answers its first
/// question but not the others for so long is set aside.
const READS: Duration = Duration::from_mins(2);

pub(super) async fn preflight(context: &mut Context) -> Done {
    reach(context).await?;
    let deadline = reads_deadline(context);
    let info = read(context, deadline, questions::info()).await?;
    check_identity(context, &info)?;
    check_hostname(context, &info)?;
    check_roles(context, &info)?;
    let target = context.plan.firmware.version.clone();
    let version = info.firmware_version.clone();
    let before = context.run.version.as_ref();
    if let Some(before) = before.filter(|before| **before != version) {
        let detail =
            format!("it ran {before} and now runs {version}, which this rollout did not do");
        return Err(hold(HoldReason::ChangedByOthers { detail }));
    }
    if version > target {
        return Err(Box::new(ApplianceChange::Skipped(SkipReason::Newer { version })));
    }
    if version == target {
        context.record(ApplianceChange::UpToDate { version });
        return Ok(());
    }
    // What it is on its way to follows from what it runs.
    context.run.hop = context.plan.next_hop(&version);
    let offered = read(context, deadline, questions::offered()).await?;
    let slots = read(context, deadline, questions::slots()).await?;
    let jobs = if offered.fetch {
        read(context, deadline, questions::fetch_jobs()).await?
    } else {
        Vec::new()
    };
    let health = read(context, deadline, questions::health()).await?;

    check_armed(context, &slots)?;
    check_jobs(context, &jobs)?;
    let faults = health_faults(&health, &context.plan);
    if !faults.is_empty() {
        return Err(fail(
            STEP,
            FailureCode::Unhealthy,
            format!("{}; settle that, then `retry`", faults.join("; ")),
        ));
    }
    let firmware = context.firmware();
    if !(offered.fetch && firmware.fetch.is_some()) && firmware.upload.is_none() {
        let text = "this appliance's release cannot fetch firmware by URL; give the rollout `firmware.upload`";
        return Err(fail(STEP, FailureCode::FetchNotOffered, text));
    }
    if !brings_own_room(context, &slots, &jobs) {
        room(&slots, &context.plan, &context.firmware().version)
            .map_err(|(code, text)| fail(STEP, code, text))?;
    }
    let fetch_jobs = jobs.into_iter().map(|job| job.key).collect();
    let node = own_node(context, deadline).await?;
    let baseline = Baseline {
        version,
        hostname: info.hostname,
        offered,
        slots,
        health,
        fetch_jobs,
        leaf: context.port.leaf(),
        node,
    };
    context.record(ApplianceChange::Preflighted(Box::new(baseline)));
    Ok(())
}

/// Waits for the first answer. Silence for two looks sets the appliance aside; silence over the
/// whole of `unreachable.wait` is a failure.
async fn reach(context: &mut Context) -> Done {
    let mut answering = Answering::default();
    let began = context.monotonic();
    let mut looks = 0;
    loop {
        let silence = match context.port.setup().await {
            Ok(SetupStatus::Completed) => {
                answering.answered(context);
                return Ok(());
            }
            Ok(SetupStatus::Uninitialized) => {
                let text = not_ready(&SetupStatus::Uninitialized);
                return Err(fail(STEP, FailureCode::NotReady, text));
            }
            Ok(other) => not_ready(&other),
            Err(error) if error.is_passing() => error.to_string(),
            Err(error) => return Err(refused(STEP, FailureCode::Refused, &error)),
        };
        answering.silent(context);
        // A set-aside appliance was silent for long already: one look is enough.
        if context.run.set_aside_at.is_some() || context.monotonic() - began >= TWO_LOOKS {
            return Err(set_aside(context, STEP, silence));
        }
        let pause = pacing::back_off(looks, &context.shared.random);
        looks += 1;
        let to_second_look = (began + TWO_LOOKS).saturating_sub(context.monotonic());
        context.sleep(pause.min(to_second_look).max(Duration::from_millis(50))).await;
    }
}

/// The time for the reads: once it is set aside an appliance that answers only its first question
/// gets no more than what is left of its wait, and no less than two looks.
fn reads_deadline(context: &Context) -> Deadline {
    let wait = unsigned(context.plan.unreachable_wait);
    let used = context
        .run
        .set_aside_at
        .map_or(Duration::ZERO, |since| unsigned(context.now().duration_since(since)));
    let left = wait.saturating_sub(used);
    Deadline(context.monotonic() + READS.min(left).max(TWO_LOOKS))
}

/// A read of preflight: what does not answer in time is set aside, not failed.
async fn read<T>(
    context: &mut Context,
    deadline: Deadline,
    question: questions::Question<T>,
) -> Done<T> {
    match context.try_ask(deadline, question).await {
        Ok(answer) => Ok(answer),
        Err(error) if is_silence(&error) => Err(set_aside(context, STEP, error.to_string())),
        Err(error) => Err(given_up(&error)),
    }
}

fn given_up(error: &ApplianceError) -> Stop {
    refused(STEP, FailureCode::Refused, error)
}

fn check_identity(context: &Context, info: &Info) -> Done {
    let (Some(expected), Some(found)) = (&context.appliance.hostname, &info.hostname) else {
        return match &context.appliance.hostname {
            None => Ok(()),
            Some(expected) => Err(hold(HoldReason::WrongHostname {
                expected: expected.clone(),
                found: "nothing".to_owned(),
            })),
        };
    };
    if expected.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    let (expected, found) = (expected.clone(), found.clone());
    Err(hold(HoldReason::WrongHostname { expected, found }))
}

/// Without a declared host name, one that changed since the last rollout may be another appliance.
fn check_hostname(context: &Context, info: &Info) -> Done {
    let before = context.shared.hostnames.get(&context.name);
    let (None, Some(before), Some(found)) = (&context.appliance.hostname, before, &info.hostname)
    else {
        return Ok(());
    };
    let accepted = context.run.accepted_hostname.as_ref() == Some(found);
    if accepted || before.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    let (before, found) = (before.clone(), found.clone());
    Err(hold(HoldReason::HostnameChanged { before, found }))
}

/// The roles of a cluster's member decide when it goes down: they must be as declared.
fn check_roles(context: &Context, info: &Info) -> Done {
    let Some(member) = &context.appliance.cluster else { return Ok(()) };
    let declared: BTreeSet<&str> = member.roles.iter().map(|role| role.name()).collect();
    let found: BTreeSet<&str> = info.roles.iter().map(String::as_str).collect();
    if declared == found {
        return Ok(());
    }
    let list = |roles: &BTreeSet<&str>| match roles.len() {
        0 => "no roles".to_owned(),
        _ => roles.iter().copied().collect::<Vec<_>>().join(", "),
    };
    let detail =
        format!("{} has {}, the inventory says {}", context.name, list(&found), list(&declared));
    Err(hold(HoldReason::ClusterDiffers { cluster: member.name.clone(), detail }))
}

/// Its id as a node of its cluster, where it can say so: only central management does.
async fn own_node(context: &mut Context, deadline: Deadline) -> Done<Option<String>> {
    let manager = context.plan.cluster_of(&context.name).map(|(_, cluster)| &cluster.manager);
    if manager != Some(&context.name) {
        return Ok(None);
    }
    match context.try_ask(deadline, questions::cluster_status()).await {
        Ok(nodes) => Ok(nodes.into_iter().find(|node| node.is_self).map(|node| node.key)),
        Err(error) if is_silence(&error) => Err(set_aside(context, STEP, error.to_string())),
        // What central management has to say is asked for again when the cluster begins.
        Err(_) => Ok(None),
    }
}

/// A slot that is booted next was selected by somebody else: we have made no call yet.
fn check_armed(context: &Context, slots: &[Slot]) -> Done {
    let Some(armed) = slots.iter().find(|slot| slot.is_armed()) else { return Ok(()) };
    let listed = describe_slots(slots);
    Err(hold(if armed.holds(&context.firmware().version) {
        HoldReason::AlreadyArmed { slots: listed }
    } else {
        HoldReason::OtherFirmwareArmed { slots: listed }
    }))
}

/// A fetch that is under way, of another URL than ours, is another hand at work.
pub(super) fn check_jobs(context: &Context, jobs: &[FetchJob]) -> Done {
    let ours = context.firmware().fetch.as_deref();
    let known = |job: &FetchJob| context.run.stage.jobs.iter().any(|mine| mine.key == job.key);
    let strange =
        |job: &&FetchJob| job.status.is_live() && Some(job.url.as_str()) != ours && !known(job);
    let Some(job) = jobs.iter().find(strange) else { return Ok(()) };
    let detail = format!(
        "it is fetching {} (job {}), which this rollout did not start",
        host_and_path(&job.url),
        job.key
    );
    Err(hold(HoldReason::ChangedByOthers { detail }))
}

/// A URL without what may be secret in it: user information and query.
fn host_and_path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let from =
        rest.get(..authority_end).and_then(|authority| authority.rfind('@')).map_or(0, |at| at + 1);
    let rest = rest.get(from..).unwrap_or_default();
    rest.split(['?', '#']).next().unwrap_or_default()
}

/// Whether the target is in a slot already, or on its way into one.
fn brings_own_room(context: &Context, slots: &[Slot], jobs: &[FetchJob]) -> bool {
    let firmware = context.firmware();
    let stage = &context.run.stage;
    let usable = |slot: &Slot| {
        let ours =
            stage.slot.as_ref() == Some(&slot.key) || stage.filled.as_ref() == Some(&slot.key);
        (firmware.adopt || ours)
            && slot.holds(&firmware.version)
            && !stage.bad_slots.contains(&slot.key)
    };
    let coming = |job: &FetchJob| job.status.is_live() && Some(&job.url) == firmware.fetch.as_ref();
    slots.iter().any(usable) || jobs.iter().any(coming)
}

#[cfg(test)]
mod tests {
    use super::host_and_path;

    #[test]
    fn urls_are_shown_without_secrets() {
        assert_eq!(
            host_and_path("https://u:p@repo.example/a/b.iso?token=x"),
            "repo.example/a/b.iso"
        );
        assert_eq!(host_and_path("http://repo.example"), "repo.example");
        assert_eq!(host_and_path("https://repo.example/a@b.iso"), "repo.example/a@b.iso");
    }
}
