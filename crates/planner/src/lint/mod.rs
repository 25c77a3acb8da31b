//! Checks any plan, wherever it comes from, against what must always hold (design: section 6).
//! It shares no code with the making of plans but the types, so that one slip is not made twice.

mod clusters;
mod parts;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use model::fleet::{Appliance, HaMode, PowerTarget, Reboot, Trust, UpgradeCall};
use model::plan::{PLAN_SCHEMA, Plan};
use model::rollout::{FailureBudget, Firmware};
use model::safety::{Claim, Membership, Occupancy};
use model::{ApplianceName, FirmwareVersion, RolloutId};

/// Something that must not be in a plan that is run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LintFinding {
    /// A stable name of the kind, such as `in-two-waves`.
    pub code: &'static str,
    /// What is wrong, where.
    pub text: String,
}

impl std::fmt::Display for LintFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

/// Everything that is wrong with a plan; nothing for a good one.
#[must_use]
pub fn lint(plan: &Plan) -> Vec<LintFinding> {
    let mut findings = Findings(Vec::new());
    head(plan, &mut findings);
    waves(plan, &mut findings);
    members(plan, &mut findings);
    bystanders(plan, &mut findings);
    endpoints(plan, &mut findings);
    numbers(plan, &mut findings);
    safety(plan, &mut findings);
    clusters::check(plan, &mut findings);
    parts::check(plan, &mut findings);
    findings.0
}

struct Findings(Vec<LintFinding>);

impl Findings {
    fn unless(&mut self, good: bool, code: &'static str, text: impl FnOnce() -> String) {
        if !good {
            self.0.push(LintFinding { code, text: text() });
        }
    }
}

fn head(plan: &Plan, findings: &mut Findings) {
    findings.unless(plan.schema == PLAN_SCHEMA, "schema", || {
        format!("the plan has shape {}, this program runs shape {PLAN_SCHEMA}", plan.schema)
    });
    findings.unless(plan.digest == plan.content_digest(), "digest", || {
        "the digest is not that of the content: the plan was changed".to_owned()
    });
    findings.unless(!plan.message.trim().is_empty(), "empty-message", || {
        "the message of the upgrade call is empty; the appliance refuses that".to_owned()
    });
    for firmware in plan.hops() {
        image(firmware, findings);
    }
    let mut below: Option<&FirmwareVersion> = None;
    for version in plan.hops().map(|hop| &hop.version) {
        findings.unless(below.is_none_or(|below| below < version), "hop-order", || {
            format!("{version} does not come after an older version")
        });
        below = Some(version);
    }
    let insecure = plan.appliances.values().any(|appliance| trusts_anybody(appliance));
    let warned = plan.warnings.iter().any(|warning| warning.code == "insecure");
    findings.unless(!insecure || warned, "silent-insecure", || {
        "an appliance's identity is not proven, and no warning says so".to_owned()
    });
}

/// Whether a password for the appliance, or for its hardware where the program acts on that, would
/// be sent to anybody.
fn trusts_anybody(appliance: &Appliance) -> bool {
    let by_program = appliance.upgrade_call != UpgradeCall::Reboots
        && appliance.ha.as_ref().is_none_or(|ha| ha.mode != HaMode::Attended);
    let power = appliance.ha.as_ref().and_then(|ha| ha.secondary_power.as_ref());
    let hardware = match (&appliance.reboot, power) {
        (Reboot::Redfish(redfish), _) if redfish.trust == Trust::Insecure => true,
        (_, Some(PowerTarget::Redfish(redfish))) => {
            appliance.upgrade_call == UpgradeCall::Arms && redfish.trust == Trust::Insecure
        }
        _ => false,
    };
    appliance.endpoint.trust == Trust::Insecure || by_program && hardware
}

fn image(firmware: &Firmware, findings: &mut Findings) {
    findings.unless(firmware.fetch.is_some() || firmware.upload.is_some(), "no-image", || {
        format!("of {} there is neither a URL to fetch nor an image to upload", firmware.version)
    });
    if let Some(url) = &firmware.fetch {
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let authority = host.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
        findings.unless(!authority.is_empty() && !authority.contains('@'), "bad-url", || {
            "the URL to fetch is not http or https, has no host, or holds user information"
                .to_owned()
        });
    }
    if let Some(image) = &firmware.upload {
        findings.unless(image.path.starts_with('/'), "relative-path", || {
            format!("the image's path `{}` is not absolute", image.path)
        });
    }
}

fn waves(plan: &Plan, findings: &mut Findings) {
    let mut names = BTreeSet::new();
    let mut seen: BTreeSet<&ApplianceName> = BTreeSet::new();
    let mut clusters = BTreeMap::new();
    for wave in &plan.waves {
        findings.unless(names.insert(&wave.name), "duplicate-wave", || {
            format!("the wave `{}` is there twice", wave.name)
        });
        findings.unless(!wave.appliances.is_empty(), "empty-wave", || {
            format!("the wave `{}` is empty", wave.name)
        });
        for name in &wave.appliances {
            findings.unless(seen.insert(name), "in-two-waves", || {
                format!("`{name}` is in more than one wave, or twice in one")
            });
            let Some(appliance) = plan.appliances.get(name) else {
                findings.unless(false, "unknown-member", || {
                    format!("`{name}` of the wave `{}` is not in the plan", wave.name)
                });
                continue;
            };
            if let Some(member) = &appliance.cluster {
                let first = *clusters.entry(&member.name).or_insert(&wave.name);
                findings.unless(first == &wave.name, "split-cluster", || {
                    format!("the cluster `{}` is split over waves", member.name)
                });
            }
        }
        findings.unless(wave.soak >= SignedDuration::ZERO, "negative-soak", || {
            format!("the soak of the wave `{}` is less than nothing", wave.name)
        });
        if let Some(own) = &wave.failure_budget {
            budget(own, &format!("the wave `{}`", wave.name), findings);
        }
    }
    findings
        .unless(!plan.appliances.is_empty(), "nobody", || "no appliance is selected".to_owned());
    for name in plan.appliances.keys() {
        findings.unless(seen.contains(name), "in-no-wave", || format!("`{name}` is in no wave"));
    }
}

fn members(plan: &Plan, findings: &mut Findings) {
    for (key, appliance) in plan.appliances.iter().chain(&plan.bystanders) {
        findings.unless(*key == appliance.name, "wrong-key", || {
            format!("`{}` stands under the name `{key}`", appliance.name)
        });
        findings.unless(plan.sites.contains_key(&appliance.site), "no-site", || {
            format!("the site `{}` of `{key}` is not in the plan", appliance.site)
        });
        if let Some(group) = &appliance.group {
            findings.unless(plan.groups.contains_key(group), "no-group", || {
                format!("the redundancy group `{group}` of `{key}` is not in the plan")
            });
        }
    }
}

fn bystanders(plan: &Plan, findings: &mut Findings) {
    let touched: BTreeSet<_> =
        plan.appliances.values().filter_map(|appliance| appliance.group.as_ref()).collect();
    for (name, appliance) in &plan.bystanders {
        findings.unless(!plan.appliances.contains_key(name), "bystander-selected", || {
            format!("`{name}` is selected, and a bystander too")
        });
        let partner = appliance.group.as_ref().is_some_and(|group| touched.contains(group));
        findings.unless(partner, "no-partner", || {
            format!("the bystander `{name}` is in no redundancy group of a selected appliance")
        });
    }
}

fn endpoints(plan: &Plan, findings: &mut Findings) {
    let mut seen: BTreeMap<(&str, u16), &ApplianceName> = BTreeMap::new();
    for appliance in plan.appliances.values().chain(plan.bystanders.values()) {
        let endpoint = &appliance.endpoint;
        findings.unless(!endpoint.address.is_empty() && endpoint.port > 0, "no-address", || {
            format!("`{}` has no address or no port", appliance.name)
        });
        let first = seen.insert((&endpoint.address, endpoint.port), &appliance.name);
        if let Some(first) = first.filter(|first| **first != appliance.name) {
            findings.unless(false, "duplicate-address", || {
                format!("`{first}` and `{}` answer at {}", appliance.name, endpoint.authority())
            });
        }
    }
}

fn numbers(plan: &Plan, findings: &mut Findings) {
    let limits = &plan.limits;
    for (name, limit) in [
        ("transfers", limits.transfers),
        ("unavailable", limits.unavailable),
        ("requests_per_second", limits.requests_per_second),
    ] {
        findings.unless(limit > 0, "zero-limit", || format!("`{name}` is 0: nothing can go on"));
    }
    for (site, own) in &plan.sites {
        let all = [own.transfers, own.unavailable, own.requests_per_second];
        findings.unless(!all.contains(&Some(0)), "zero-limit", || {
            format!("a limit of the site `{site}` is 0: nothing can go on there")
        });
    }
    for (group, unavailable) in &plan.groups {
        findings.unless(*unavailable > 0, "zero-limit", || {
            format!("`unavailable` of the redundancy group `{group}` is 0")
        });
    }
    budget(&plan.failure_budget, "the rollout", findings);
    findings.unless((1..=100).contains(&plan.checks.disk_used_max), "bad-percent", || {
        format!("`disk_used_max` is {}", plan.checks.disk_used_max)
    });
    let timeouts = &plan.timeouts;
    for (name, timeout) in [
        ("stage", timeouts.stage),
        ("stall", timeouts.stall),
        ("test", timeouts.test),
        ("upgrade", timeouts.upgrade),
        ("armed_grace", timeouts.armed_grace),
        ("return", timeouts.r#return),
        ("verify", timeouts.verify),
        ("blind", timeouts.blind),
        ("unreachable.wait", plan.unreachable_wait),
    ] {
        findings.unless(timeout > SignedDuration::ZERO, "zero-timeout", || {
            format!("`{name}` is not more than nothing")
        });
    }
}

fn budget(budget: &FailureBudget, of: &str, findings: &mut Findings) {
    findings.unless(budget.count.is_some() || budget.percent.is_some(), "no-budget", || {
        format!("the failure budget of {of} is never reached")
    });
    let percent = budget.percent.is_none_or(|percent| (1..=100).contains(&percent));
    findings.unless(budget.count != Some(0) && percent, "bad-budget", || {
        format!("the failure budget of {of} is no number that can be reached")
    });
}

/// With nobody down, everybody may go down: else the rollout would wait for ever. With one of a
/// group of one place down, its partners may not: else two could be down at once.
fn safety(plan: &Plan, findings: &mut Findings) {
    let rollout = RolloutId::new(plan.rollout.as_str());
    let mut places = Occupancy::default();
    places.limit_rollout(&rollout, plan.limits.unavailable);
    for (site, limits) in &plan.sites {
        if let Some(unavailable) = limits.unavailable {
            places.limit_site(site, unavailable);
        }
    }
    for (group, unavailable) in &plan.groups {
        places.limit_group(group, *unavailable);
    }
    let membership = |appliance: &Appliance, rollout: Option<&RolloutId>| Membership {
        name: appliance.name.clone(),
        rollout: rollout.cloned(),
        site: appliance.site.clone(),
        group: appliance.group.clone(),
        cluster: appliance.cluster.as_ref().map(|member| member.name.clone()),
    };
    for appliance in plan.appliances.values() {
        if let Err(reason) = places.may_go_down(&membership(appliance, Some(&rollout))) {
            findings.unless(false, "never-goes-down", || {
                format!("`{}` could never go down: {}", appliance.name, reason.code())
            });
        }
    }
    for (name, cluster) in &plan.clusters {
        if let Err(reason) = places.may_claim(name, &Claim::of(plan, Some(&rollout), cluster)) {
            findings.unless(false, "never-goes-down", || {
                format!("the cluster `{name}` could never begin: {}", reason.code())
            });
        }
    }
    let mut one_of: BTreeMap<_, &Appliance> = BTreeMap::new();
    let everybody = plan.appliances.values().chain(plan.bystanders.values());
    for appliance in everybody {
        let Some(group) = &appliance.group else { continue };
        if plan.groups.get(group) != Some(&1) {
            continue;
        }
        let Some(first) = one_of.get(group) else {
            one_of.insert(group, appliance);
            continue;
        };
        if first.name == appliance.name {
            continue; // A bystander that is selected too has its finding already.
        }
        let first = membership(first, None);
        places.take(&first);
        let refused = places.may_go_down(&membership(appliance, Some(&rollout))).is_err();
        places.free(&first);
        findings.unless(refused, "two-down", || {
            format!("`{}` and `{}` could be down at once", first.name, appliance.name)
        });
    }
}
