//! What is read and checked, but not acted on yet: refused, never ignored. Each part goes away
//! when the program learns it; nothing else knows of it.

use std::collections::{BTreeMap, BTreeSet};

use model::SiteName;
use model::fleet::Reboot;

use crate::fault::Faults;
use crate::resolve::{Entry, Fleet};
use crate::rollout_file::RolloutFile;
use crate::select::some;
use crate::source::Span;
use crate::window;

/// Refuses what a rollout file asks for and cannot have yet.
pub(crate) fn rollout(file: &RolloutFile, faults: &mut Faults) {
    let via = file.firmware.as_ref().and_then(|firmware| {
        firmware.via.given().filter(|at| !at.value.is_empty()).map(|at| at.span)
    });
    let mut refused = vec![
        ("hops (`firmware.via`)", via),
        ("`drain`", file.drain.span()),
        ("`checks.support_bundle`", file.support_bundle),
        ("windows of a rollout", window::given(&file.windows)),
        ("freezes of a rollout", window::given(&file.freezes)),
    ];
    refused.extend(file.hooks.iter().map(|hook| ("`hooks`", Some(hook.span))));
    for wave in &file.waves {
        let soaks = wave.soak.given().filter(|at| !at.value.is_zero()).map(|at| at.span);
        let waits = wave.approval.given().filter(|at| at.value).map(|at| at.span);
        refused.extend([("`soak` of a wave", soaks), ("`approval` of a wave", waits)]);
    }
    for (what, span) in refused {
        if let Some(span) = span {
            refuse(faults, what, span, "remove it or comment it out");
        }
    }
}

/// Refuses what the appliances of a rollout, their partners and their sites ask for.
pub(crate) fn fleet(fleet: &Fleet, concerned: &[&Entry], faults: &mut Faults) {
    let leave_out = "leave these appliances out of the rollout, or remove it from the fleet file";
    let mut kinds: BTreeMap<&str, Vec<(Span, &Entry)>> = BTreeMap::new();
    for entry in concerned {
        let redfish = matches!(entry.appliance.reboot, Reboot::Redfish(_));
        for (what, span) in [
            ("a central cluster", entry.cluster),
            ("an HA pair", entry.ha),
            ("a reboot by Redfish", entry.reboot.filter(|_| redfish)),
        ] {
            kinds.entry(what).or_default().extend(span.map(|span| (span, *entry)));
        }
    }
    for (what, mut asked) in kinds {
        asked.sort_by_key(|(span, _)| *span);
        let names: Vec<_> = asked.iter().map(|(_, entry)| &entry.appliance.name).collect();
        let Some(((first, _), others)) = asked.split_first() else { continue };
        let draft = refuse(faults, what, *first, leave_out);
        draft.message = format!("{} (used by {})", draft.message, some(&names));
        for (span, _) in others.iter().filter(|(span, _)| span != first).take(3) {
            draft.related(*span, "used here too");
        }
    }
    let sites: BTreeSet<&SiteName> = concerned.iter().map(|entry| &entry.appliance.site).collect();
    for site in sites.into_iter().filter_map(|name| fleet.sites.get(name)) {
        for (what, span) in [
            ("windows of a site", window::given(&site.windows)),
            ("freezes of a site", window::given(&site.freezes)),
        ] {
            if let Some(span) = span {
                refuse(faults, what, span, "remove them or comment them out");
            }
        }
    }
}

fn refuse<'f>(
    faults: &'f mut Faults,
    what: &str,
    span: Span,
    help: &str,
) -> &'f mut crate::fault::Draft {
    faults
        .add("not-yet", span, format!("this version of spsfleet cannot act on {what} yet"))
        .label("read and checked, but not acted on yet")
        .help(help)
}
