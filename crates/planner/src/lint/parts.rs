//! Calendars, pairs, drain and hooks of a plan.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use model::calendar::{Calendar, Close, Window};
use model::fleet::{Appliance, HaMode, UpgradeCall};
use model::plan::Plan;

use super::Findings;

pub(super) fn check(plan: &Plan, findings: &mut Findings) {
    for (site, calendar) in &plan.calendars {
        findings.unless(plan.sites.contains_key(site), "no-site", || {
            format!("there is a calendar of the site `{site}`, which is not in the plan")
        });
        check_calendar(site.as_str(), calendar, findings);
    }
    for appliance in plan.appliances.values() {
        pair(appliance, findings);
    }
    if let Some(drain) = &plan.drain {
        findings.unless(drain.wait > SignedDuration::ZERO, "zero-timeout", || {
            "`drain.wait` is not more than nothing".to_owned()
        });
    }
    for (kind, hook) in &plan.hooks {
        let program = hook.command.first().is_some_and(|first| !first.trim().is_empty());
        findings.unless(program, "empty-hook", || {
            format!("the hook `{}` names no program", kind.name())
        });
        findings.unless(hook.timeout > SignedDuration::ZERO, "zero-timeout", || {
            format!("the time limit of the hook `{}` is not more than nothing", kind.name())
        });
    }
}

fn check_calendar(site: &str, calendar: &Calendar, findings: &mut Findings) {
    findings.unless(TimeZone::get(&calendar.time_zone).is_ok(), "unknown-zone", || {
        format!("`{}` of the site `{site}` is not a time zone", calendar.time_zone)
    });
    findings.unless(calendar.windows.iter().all(|set| !set.is_empty()), "empty-windows", || {
        format!("a set of windows of the site `{site}` is empty: it would never open")
    });
    for window in calendar.windows.iter().flatten() {
        let opens = match window {
            Window::Once { from, to } => from < to,
            Window::Weekly { days, from, to } => {
                let closes = match to {
                    Close::At(time) => time != from,
                    Close::Midnight => true,
                    Close::On(day, _) => *day < 7,
                };
                days.contains(&true) && closes
            }
        };
        findings.unless(opens, "bad-window", || {
            format!("a window of the site `{site}` never opens, or closes before it opens")
        });
    }
    findings.unless(calendar.freezes.iter().all(|f| f.from < f.to), "bad-freeze", || {
        format!("a freeze of the site `{site}` ends before it begins")
    });
}

/// The order of a pair's steps must be known, and the program must be able to do its part.
fn pair(appliance: &Appliance, findings: &mut Findings) {
    let Some(ha) = &appliance.ha else { return };
    let name = &appliance.name;
    match (appliance.upgrade_call, ha.mode) {
        (UpgradeCall::Detect, _) => findings.unless(false, "pair-unknown-call", || {
            format!("the HA pair `{name}` does not say what the upgrade call does")
        }),
        (UpgradeCall::Arms, HaMode::Automatic) => {
            let whole = ha.peer_sync.is_some_and(|wait| wait > SignedDuration::ZERO)
                && ha.secondary_power.is_some();
            findings.unless(whole, "pair-incomplete", || {
                format!("the automatic HA pair `{name}` lacks `peer_sync` or `secondary_power`")
            });
        }
        (UpgradeCall::Reboots, HaMode::Automatic) => {
            findings.unless(ha.reboots_both, "pair-incomplete", || {
                format!("nobody has seen the upgrade call handle both nodes of `{name}`")
            });
        }
        (UpgradeCall::Arms | UpgradeCall::Reboots, HaMode::Attended) => {}
    }
}
