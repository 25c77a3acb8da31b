//! From checked inputs and facts to the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Sha256Hex;
use model::fleet::Appliance;
use model::plan::{PLAN_SCHEMA, Plan, Warning};
use model::rollout::{Firmware, Image};
use model::{ApplianceName, GroupName, SiteName};

use crate::facts::{Facts, FileKind};
use crate::fault::{Fault, Faults};
use crate::inputs::{Inputs, Prepared};
use crate::resolve::Entry;
use crate::rollout_file::RawFirmware;
use crate::source::{Role, Span};
use crate::{calendars, clusters, fit, warn};

/// Looks at what was found of the files.
///
/// # Errors
/// Every file that cannot be used, at the place that names it.
pub fn check(inputs: &Inputs, facts: &Facts) -> Result<Vec<Warning>, Vec<Fault>> {
    if inputs.rollout.is_some() {
        return plan(inputs, facts).map(|plan| plan.warnings);
    }
    let mut faults = Faults::default();
    let mut warnings = facts.judge(&inputs.wanted(), &mut faults);
    warnings.extend(warn::appliances(&inputs.fleet.entries.iter().collect::<Vec<_>>()));
    if faults.is_empty() { Ok(warn::sorted(warnings)) } else { Err(finish(inputs, faults)) }
}

/// Makes the plan. The same inputs and facts make the same plan, byte for byte.
///
/// # Errors
/// Every file that cannot be used, at the place that names it; `no-rollout` when the inputs hold
/// no rollout.
pub fn plan(inputs: &Inputs, facts: &Facts) -> Result<Plan, Vec<Fault>> {
    let mut faults = Faults::default();
    let mut warnings = facts.judge(&inputs.wanted(), &mut faults);
    let firmware = inputs.rollout.as_ref().and_then(|prepared| prepared.file.firmware.as_ref());
    for hop in firmware.into_iter().flat_map(RawFirmware::hops) {
        image_sum(hop, facts, &mut faults);
    }
    if !faults.is_empty() {
        return Err(finish(inputs, faults));
    }
    let plan = inputs.rollout.as_ref().and_then(|prepared| {
        warnings.extend(prepared.warnings.iter().cloned());
        assemble(inputs, prepared, facts, warnings)
    });
    plan.ok_or_else(|| {
        let start = Span { role: Role::Fleet, start: 0, len: 0 };
        faults.add("no-rollout", start, "there is no rollout to plan");
        finish(inputs, faults)
    })
}

fn finish(inputs: &Inputs, faults: Faults) -> Vec<Fault> {
    faults.finish(&inputs.fleet_source, inputs.rollout_source.as_ref())
}

/// The image that would be uploaded must be the one that the rollout names.
fn image_sum(firmware: &RawFirmware, facts: &Facts, faults: &mut Faults) {
    let (Some(wanted), Some(upload)) = (&firmware.sha256, firmware.upload.given()) else { return };
    let found = facts.of(FileKind::Image, &upload.value).and_then(|fact| fact.sha256.as_ref());
    if let Some(found) = found.filter(|found| **found != wanted.value) {
        let message = format!("the image `{}` has another SHA-256 sum: {found}", upload.value);
        faults
            .add("image-sha256", wanted.span, message)
            .label("the sum that is asked for")
            .help("the file is not the image that was meant, or was not copied whole")
            .related(upload.span, "the image");
    }
}

/// The firmware of the target or of a hop; what is there already is used in all of them or in none.
fn firmware(raw: &RawFirmware, adopt: bool, facts: &Facts) -> Option<Firmware> {
    let upload = raw.upload.value().map(|path| Image {
        path: path.clone(),
        size: facts.of(FileKind::Image, path).map_or(0, |fact| fact.size),
    });
    Some(Firmware {
        version: raw.version.as_ref()?.value.clone(),
        sha256: raw.sha256.as_ref()?.value.clone(),
        fetch: raw.fetch.value().cloned(),
        upload,
        adopt,
    })
}

fn assemble(
    inputs: &Inputs,
    prepared: &Prepared,
    facts: &Facts,
    warnings: Vec<Warning>,
) -> Option<Plan> {
    let (file, fleet) = (&prepared.file, &inputs.fleet);
    let (selected, bystanders) = (inputs.at(&prepared.selected), inputs.at(&prepared.bystanders));
    let mut sites = BTreeMap::new();
    let mut groups = BTreeMap::new();
    for entry in selected.iter().chain(&bystanders) {
        let Appliance { site, group, .. } = &*entry.appliance;
        if !sites.contains_key(site) {
            let declared = fleet.sites.get::<SiteName>(site);
            sites.insert(site.clone(), declared.map(|s| s.limits.clone()).unwrap_or_default());
        }
        if let Some(group) = group
            && !groups.contains_key(group)
        {
            let declared = fleet.groups.get::<GroupName>(group);
            groups.insert(group.clone(), declared.map_or(1, |group| group.unavailable));
        }
    }
    let target = file.firmware.as_ref()?;
    let hops = target.hops().map(|hop| firmware(hop, target.adopt, facts));
    let mut via = hops.collect::<Option<Vec<_>>>()?;
    let mut plan = Plan {
        schema: PLAN_SCHEMA,
        rollout: file.name.as_ref()?.value.clone(),
        digest: Sha256Hex::from_bytes(&[0; 32]),
        firmware: via.pop()?,
        via,
        message: file.message.as_ref()?.value.clone(),
        waves: prepared.waves.clone(),
        appliances: by_name(&selected),
        bystanders: by_name(&bystanders),
        limits: file.limits.clone(),
        sites,
        groups,
        calendars: calendars::plan(fleet, file, &selected),
        clusters: clusters::plan(fleet, &selected),
        stage: file.stage,
        drain: file.drain.value().cloned(),
        hooks: file.hooks.clone(),
        failure_budget: file.failure_budget.clone(),
        checks: file.checks.clone(),
        make_room: file.make_room,
        unreachable_wait: file.unreachable_wait,
        timeouts: file.timeouts.clone(),
        warnings,
    };
    plan.warnings.extend(fit::warnings(&plan));
    plan.warnings = warn::sorted(plan.warnings);
    plan.digest = plan.content_digest();
    Some(plan)
}

fn by_name(entries: &[&Entry]) -> BTreeMap<ApplianceName, Arc<Appliance>> {
    entries
        .iter()
        .map(|entry| (entry.appliance.name.clone(), Arc::clone(&entry.appliance)))
        .collect()
}
