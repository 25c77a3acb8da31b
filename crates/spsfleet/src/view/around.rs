//! What concerns a rollout as a whole, beside its appliances: alarms, waves and their gates,
//! clusters, debts, decisions that still hold.

use control::wire::{ClusterState, ClusterView, NoticeView, RolloutView, WaveState, WaveView};
use jiff::{SignedDuration, Timestamp};

use super::table::{paragraph, wrap};
use super::words;
use crate::printer::{Paint, Style};

/// Lines above the table; nothing where there is nothing to say.
pub(crate) fn around(status: &RolloutView, now: Timestamp, paint: Paint, width: usize) -> String {
    let mut text = String::new();
    for NoticeView { code, text: why, .. } in &status.alarms {
        text.push_str(&paragraph(&format!("ALARM {code}"), why, paint, Style::Bad, width));
    }
    if status.at_work == Some(false) {
        let why = "no `spsfleet run` is at work on it: nothing goes on until the next one";
        text.push_str(&paragraph("note", why, paint, Style::Warn, width));
    }
    if let Some(pause) = status.paused {
        let also = match (pause.all, pause.now) {
            (false, false) => "nothing new goes down; staging goes on",
            (true, false) => "nothing new goes down, nothing new is staged",
            (false, true) => "nothing new goes down, inside clusters too; staging goes on",
            (true, true) => "nothing new goes down, inside clusters too, nothing new is staged",
        };
        text.push_str(&paragraph("paused", also, paint, Style::Warn, width));
    }
    if let Some(name) = &status.soak_failed {
        let why = format!("{name} fell ill while it was watched; look into it, then `resume`");
        text.push_str(&paragraph("stopped", &why, paint, Style::Warn, width));
    }
    text.push_str(&waves(&status.waves, paint, width));
    for cluster in &status.clusters {
        text.push_str(&one_cluster(cluster, now, paint, width));
    }
    for debt in &status.debts {
        let since = debt.since.map_or_else(String::new, |since| {
            let open = now.duration_since(since).max(SignedDuration::ZERO);
            format!(" (open for {})", words::duration(open))
        });
        let style = if debt.stuck.is_some() { Style::Bad } else { Style::Warn };
        let head = format!("debt of {}", debt.appliance);
        text.push_str(&paragraph(&head, &format!("{}{since}", debt.text), paint, style, width));
    }
    for approval in &status.approvals {
        text.push_str(&paragraph(
            "approved",
            &words::approval(approval),
            paint,
            Style::Good,
            width,
        ));
    }
    for lifted in &status.freeze_overrides {
        let why = format!("{} until {}", lifted.site, words::moment(lifted.until));
        text.push_str(&paragraph("freezes lifted", &why, paint, Style::Warn, width));
    }
    for NoticeView { text: why, .. } in &status.warnings {
        text.push_str(&paragraph("warning", why, paint, Style::Warn, width));
    }
    text
}

/// One line of all waves, and why the one that is over lets no other begin.
fn waves(waves: &[WaveView], paint: Paint, width: usize) -> String {
    let mut text = String::new();
    if waves.len() > 1 {
        let all: Vec<String> =
            waves.iter().map(|wave| format!("{} {}", wave.name, wave.state.name())).collect();
        for line in wrap(&format!("waves: {}", all.join(", ")), width) {
            text.push_str(&format!("{line}\n"));
        }
    }
    let gates = waves.iter().filter_map(|wave| wave.reason.as_ref().map(|why| (wave, why)));
    for (wave, reason) in gates {
        let style = match wave.state {
            WaveState::AwaitingApproval => Style::Warn,
            _ => Style::Busy,
        };
        let head = format!("wave {} ({})", wave.name, reason.code);
        text.push_str(&paragraph(&head, &reason.text, paint, style, width));
    }
    text
}

fn one_cluster(cluster: &ClusterView, now: Timestamp, paint: Paint, width: usize) -> String {
    let style = match cluster.state {
        ClusterState::HalfUpgraded | ClusterState::Failed => Style::Bad,
        ClusterState::Upgrading | ClusterState::Started => Style::Busy,
        ClusterState::Succeeded => Style::Good,
        ClusterState::Pending => Style::Plain,
    };
    let mut parts = vec![cluster.state.name().to_owned()];
    parts.extend(gap(cluster, now));
    let head = format!("cluster {}", cluster.name);
    paragraph(&head, &parts.join(", "), paint, style, width)
}

/// How long a cluster does not audit, did not, or is expected not to.
pub(crate) fn gap(cluster: &ClusterView, now: Timestamp) -> Option<String> {
    let seconds = |count: u64| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        words::duration(SignedDuration::from_secs(count))
    };
    let expected = cluster.audit_gap_expected_seconds.filter(|expected| *expected > 0).map(seconds);
    match (cluster.audit_gap_since, cluster.audit_gap_seconds) {
        (Some(since), so_far) => {
            // A view that was made a while ago is not the truth of now.
            let open = u64::try_from(now.duration_since(since).as_secs()).unwrap_or_default();
            let expected = expected.map_or_else(String::new, |all| format!(" of about {all}"));
            Some(format!("minions do not audit: {}{expected}", seconds(so_far.max(open))))
        }
        (None, 0) => expected.map(|all| format!("expected not to audit for {all}")),
        (None, was) => Some(format!("did not audit for {}", seconds(was))),
    }
}
