//! From the fleet file as it stands to appliances with all their defaults applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::fleet::{
    Appliance, Endpoint, Ha, HaMode, Login, PasswordSource, PowerTarget, Reboot, Redfish, Trust,
    UpgradeCall,
};
use model::{ApplianceName, ClusterName, GroupName, SiteName};

use crate::access::{RawLogin, Switch};
use crate::facts::FileKind;
use crate::fault::Faults;
use crate::fleet_file::{Access, Cluster, FleetFile, Group, RawAppliance, RawHa, Site};
use crate::source::{At, Field, Span};

/// The inventory, ready to be selected from.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// All appliances, by name.
    pub(crate) entries: Vec<Entry>,
    pub(crate) sites: BTreeMap<SiteName, Site>,
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
    pub(crate) groups: BTreeMap<GroupName, Group>,
    /// Every name that the file gives, also of entries with faults.
    pub(crate) names: BTreeMap<ApplianceName, Span>,
    /// Whether what is not here is not in the file either.
    pub(crate) whole: bool,
}

/// One appliance and where its parts stand.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) appliance: Arc<Appliance>,
    pub(crate) trust: Option<Span>,
    pub(crate) password: Span,
    /// The files that its Redfish services need, as far as a rollout would use them.
    pub(crate) hardware: Vec<(FileKind, String, Span)>,
}

/// Applies the defaults. Appliances with faults are left out; what they lack is added to `faults`.
pub(crate) fn resolve(file: FleetFile, faults: &mut Faults) -> Fleet {
    let mut names: BTreeMap<ApplianceName, Span> = BTreeMap::new();
    let mut entries = Vec::with_capacity(file.appliances.len());
    let mut lacking = Lacking::default();
    let mut whole = file.whole;
    for raw in file.appliances {
        if let Some(name) = raw.name.given() {
            if let Some(first) = names.get(&name.value) {
                faults
                    .add("duplicate-name", name.span, format!("`{}` is there twice", name.value))
                    .label("given again here")
                    .related(*first, "first given here");
            } else {
                names.insert(name.value.clone(), name.span);
            }
        }
        whole &= !raw.name.is_faulty() && !raw.cluster.is_faulty();
        entries.extend(entry(raw, &file.defaults, &mut lacking, faults));
    }
    lacking.report(faults);
    entries.sort_by(|a: &Entry, b| a.appliance.name.cmp(&b.appliance.name));
    Fleet { entries, sites: file.sites, clusters: file.clusters, groups: file.groups, names, whole }
}

fn entry(
    raw: RawAppliance,
    defaults: &Access,
    lacking: &mut Lacking,
    faults: &mut Faults,
) -> Option<Entry> {
    let login = login(&raw, defaults, lacking);
    let upgrade_call = raw.access.upgrade_call.or(&defaults.upgrade_call);
    let ha = match (&raw.ha, raw.name.given()) {
        (Field::Given(at), Some(name)) => pair_rules(name, at, upgrade_call, faults).map(Some),
        (Field::Absent, _) => Some(None),
        _ => None,
    };
    let trust = raw.access.tls.or(&defaults.tls);
    let reboot = raw.access.reboot.or(&defaults.reboot);
    let site = match raw.access.site.or(&defaults.site) {
        Field::Given(at) => Some(at.value.clone()),
        Field::Absent => SiteName::new("default").ok(),
        Field::Faulty => None,
    };
    let (login, password) = login?;
    let ha = ha?;
    let name = raw.name.given()?;
    let call = upgrade_call.value().copied().unwrap_or(UpgradeCall::Detect);
    let hardware = hardware(&raw, reboot.value().map(Box::as_ref), call, ha.as_ref());
    Some(Entry {
        appliance: Arc::new(Appliance {
            name: name.value.clone(),
            endpoint: Endpoint {
                address: raw.address.value()?.clone(),
                port: raw.access.port.or(&defaults.port).value().copied().unwrap_or(443),
                trust: trust.value().cloned().unwrap_or(Trust::System),
                login,
            },
            hostname: raw.hostname.value().cloned(),
            site: site?,
            labels: raw.access.labels.or(&defaults.labels).value().cloned().unwrap_or_default(),
            group: raw.group.value().cloned(),
            cluster: raw.cluster.value().cloned(),
            ha,
            upgrade_call: call,
            reboot: reboot.value().map_or(Reboot::Operator, |switch| switch.target.clone()),
        }),
        trust: trust.span(),
        password,
        hardware,
    })
}

/// The files of the Redfish services that a rollout would use here: of a reboot by the program,
/// and of a secondary that is switched by it.
fn hardware(
    raw: &RawAppliance,
    reboot: Option<&Switch<Reboot>>,
    call: UpgradeCall,
    ha: Option<&Ha>,
) -> Vec<(FileKind, String, Span)> {
    let mut files = Vec::new();
    let mut of = |redfish: &Redfish, password: Option<Span>, trust: Option<Span>| {
        let wanted = match &redfish.login.password {
            PasswordSource::Credential(name) => Some((FileKind::Credential, name)),
            PasswordSource::File(path) => Some((FileKind::PasswordFile, path)),
            PasswordSource::Env(_) | PasswordSource::Command(_) => None,
        };
        if let (Some((kind, path)), Some(span)) = (wanted, password) {
            files.push((kind, path.clone(), span));
        }
        if let (Trust::Ca(path), Some(span)) = (&redfish.trust, trust) {
            files.push((FileKind::Ca, path.clone(), span));
        }
    };
    if let Some(Switch { target: Reboot::Redfish(redfish), password, trust }) = reboot
        && uses_reboot(call, ha)
    {
        of(redfish, *password, *trust);
    }
    let power = raw.ha.value().and_then(|ha| ha.secondary_power.value());
    if let Some(Switch { target: PowerTarget::Redfish(redfish), password, trust }) = power
        && uses_power(call, ha)
    {
        of(redfish, *password, *trust);
    }
    files
}

/// Whether the program may reboot it: never where the call does, nor where a person does the
/// pair's steps.
pub(crate) fn uses_reboot(call: UpgradeCall, ha: Option<&Ha>) -> bool {
    call != UpgradeCall::Reboots && ha.is_none_or(|ha| ha.mode == HaMode::Automatic)
}

/// Whether the program switches the secondary.
pub(crate) fn uses_power(call: UpgradeCall, ha: Option<&Ha>) -> bool {
    call == UpgradeCall::Arms && ha.is_some_and(|ha| ha.mode == HaMode::Automatic)
}

/// Merges a login key by key: the only value that does not replace the default's as a whole.
fn login(raw: &RawAppliance, defaults: &Access, lacking: &mut Lacking) -> Option<(Login, Span)> {
    let nothing = RawLogin::default();
    let of = |access: &Access| access.login.is_faulty();
    if of(&raw.access) || of(defaults) {
        return None;
    }
    let own = raw.access.login.value().unwrap_or(&nothing);
    let default = defaults.login.value().unwrap_or(&nothing);
    let username: &Field<String> = own.username.or(&default.username);
    let password: &Field<PasswordSource> = own.password.or(&default.password);
    if username.is_absent() {
        lacking.username.push(raw.span);
    }
    if password.is_absent() {
        lacking.password.push(raw.span);
    }
    let password = password.given()?;
    let login = Login {
        username: username.value()?.clone(),
        method: own.method.or(&default.method).value().cloned(),
        password: password.value.clone(),
    };
    Some((login, password.span))
}

/// Appliances without a login. Nearly always the default is missing, so they share one fault.
#[derive(Default)]
struct Lacking {
    username: Vec<Span>,
    password: Vec<Span>,
}

impl Lacking {
    fn report(self, faults: &mut Faults) {
        for (key, mut spans) in [("username", self.username), ("password", self.password)] {
            spans.sort_unstable();
            let Some((first, others)) = spans.split_first() else { continue };
            let message = match others.len() {
                0 => format!("this appliance has no `login.{key}`"),
                more => format!("{} appliances have no `login.{key}`", more + 1),
            };
            let draft = faults
                .add("missing-login", *first, message)
                .label("neither here nor in `defaults`")
                .help(format!("give `login.{key}` in `defaults`, or here"));
            for span in others.iter().take(3) {
                draft.related(*span, "nor here");
            }
        }
    }
}

/// The rules of an HA pair (contract: semantics.md, `ha`).
fn pair_rules(
    name: &At<ApplianceName>,
    at: &At<Box<RawHa>>,
    upgrade_call: &Field<UpgradeCall>,
    faults: &mut Faults,
) -> Option<Ha> {
    let raw = &at.value;
    let optional = [raw.peer_sync.is_faulty(), raw.force_off_after.is_faulty()];
    let faulty = optional.contains(&true)
        || raw.secondary_check.is_faulty()
        || raw.secondary_power.is_faulty()
        || raw.reboots_both.is_faulty()
        || upgrade_call.is_faulty();
    let mode = *raw.mode.value()?;
    if faulty {
        return None;
    }
    let call = upgrade_call.value().copied().unwrap_or(UpgradeCall::Detect);
    let mut good = true;
    let mut need = |code, message: String, help: &str| {
        good = false;
        faults.add(code, at.span, message).label("of this pair").help(help);
    };
    match (call, mode) {
        (UpgradeCall::Detect, _) => need(
            "ha-upgrade-call",
            format!("the HA pair `{}` must say what the upgrade call does", name.value),
            "add `upgrade_call: arms` or `upgrade_call: reboots`; the order of its steps depends on it",
        ),
        (UpgradeCall::Arms, HaMode::Automatic) => {
            if raw.peer_sync.is_absent() {
                need(
                    "ha-incomplete",
                    format!("the automatic HA pair `{}` needs `peer_sync`", name.value),
                    "how long the firmware may take to reach the secondary, such as 10m",
                );
            }
            if raw.secondary_power.is_absent() {
                need(
                    "ha-incomplete",
                    format!("the automatic HA pair `{}` needs `secondary_power`", name.value),
                    "how the secondary is switched off and on; or `mode: attended`",
                );
            }
        }
        (UpgradeCall::Reboots, HaMode::Automatic) if raw.reboots_both.value() != Some(&true) => {
            need(
                "ha-incomplete",
                format!("the automatic HA pair `{}` needs `reboots_both: true`", name.value),
                "only when you have seen the upgrade call handle both nodes; or `mode: attended`",
            );
        }
        (UpgradeCall::Reboots, _) | (UpgradeCall::Arms, HaMode::Attended) => {}
    }
    good.then(|| Ha {
        mode,
        peer_sync: raw.peer_sync.value().copied(),
        secondary_check: raw.secondary_check.value().cloned(),
        secondary_power: raw.secondary_power.value().map(|switch| switch.target.clone()),
        force_off_after: raw.force_off_after.value().copied(),
        reboots_both: raw.reboots_both.value().copied().unwrap_or(false),
    })
}
