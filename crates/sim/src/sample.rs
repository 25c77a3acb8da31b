//! Inventory entries and plans as tests want them: all defaults, nothing that surprises.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ledger::Node;
use jiff::SignedDuration;
use model::fleet::{
    Appliance, Endpoint, Ha, HaMode, Login, PasswordSource, PowerTarget, Reboot, Redfish, Trust,
    UpgradeCall,
};
use model::plan::{PLAN_SCHEMA, Plan, PlannedWave};
use model::rollout::{
    Checks, FailureBudget, Firmware, MakeRoom, OnBreach, RolloutLimits, StageMode, Timeouts,
};
use model::{ApplianceName, FirmwareVersion, RolloutName, Sha256Hex, SiteName, WaveName};

/// A single appliance at the site `default`, reached by its name.
///
/// # Panics
/// Never: the texts are names.
#[must_use]
#[expect(clippy::expect_used, reason = "the texts are names")]
pub fn appliance(name: &ApplianceName) -> Appliance {
    Appliance {
        name: name.clone(),
        endpoint: Endpoint {
            address: format!("{name}.sim.invalid"),
            port: 443,
            trust: Trust::System,
            login: Login {
                username: "fleet-upgrader".to_owned(),
                method: None,
                password: PasswordSource::Credential("sps-password".to_owned()),
            },
        },
        hostname: None,
        site: SiteName::new("default").expect("a name"),
        labels: BTreeMap::new(),
        group: None,
        cluster: None,
        ha: None,
        upgrade_call: UpgradeCall::Detect,
        reboot: Reboot::Operator,
    }
}

/// The Redfish target of a node, as [`crate::SimFleet::power`] understands it: the system is `NAME-a` for
/// the primary (or the only node) of NAME and `NAME-b` for the secondary.
#[must_use]
pub fn redfish(name: &ApplianceName, node: Node) -> Redfish {
    let system = crate::power::system(name, node);
    Redfish {
        url: format!("https://{system}.bmc.sim.invalid"),
        system,
        login: Login {
            username: "fleet".to_owned(),
            method: None,
            password: PasswordSource::Credential("bmc-password".to_owned()),
        },
        trust: Trust::System,
    }
}

/// An HA pair. With [`HaMode::Automatic`] and [`UpgradeCall::Arms`] both nodes have Redfish targets
/// of [`redfish`] and 10 minutes of `peer_sync`; an attended pair has no power switch.
#[must_use]
pub fn pair(name: &ApplianceName, mode: HaMode, upgrade_call: UpgradeCall) -> Appliance {
    let automatic = mode == HaMode::Automatic;
    let switched = automatic && upgrade_call != UpgradeCall::Reboots;
    let mut entry = appliance(name);
    entry.upgrade_call = upgrade_call;
    entry.ha = Some(Ha {
        mode,
        peer_sync: switched.then(|| SignedDuration::from_mins(10)),
        secondary_check: None,
        secondary_power: switched.then(|| PowerTarget::Redfish(redfish(name, Node::Secondary))),
        force_off_after: None,
        reboots_both: automatic && upgrade_call == UpgradeCall::Reboots,
    });
    if switched {
        entry.reboot = Reboot::Redfish(redfish(name, Node::Primary));
    }
    entry
}

/// One wave of a plan.
///
/// # Panics
/// When the text is no name.
#[must_use]
#[expect(clippy::expect_used, reason = "for plans in tests, as documented")]
pub fn wave(name: &str, members: &[ApplianceName]) -> PlannedWave {
    PlannedWave {
        name: WaveName::new(name).expect("a name"),
        appliances: members.to_vec(),
        failure_budget: None,
        soak: SignedDuration::ZERO,
        approval: false,
    }
}

/// A plan that takes these appliances to 7.5.1 in one wave `all`, with the contract's defaults;
/// its digest is right.
///
/// # Panics
/// When the text is no name.
#[must_use]
#[expect(clippy::expect_used, reason = "for plans in tests, as documented")]
pub fn plan(rollout: &str, appliances: impl IntoIterator<Item = Appliance>) -> Plan {
    let entries: Vec<Arc<Appliance>> = appliances.into_iter().map(Arc::new).collect();
    let names: Vec<ApplianceName> = entries.iter().map(|entry| entry.name.clone()).collect();
    let sites = entries.iter().map(|entry| (entry.site.clone(), Default::default())).collect();
    let mut plan = Plan {
        schema: PLAN_SCHEMA,
        rollout: RolloutName::new(rollout).expect("a name"),
        digest: Sha256Hex::of(b""),
        firmware: Firmware {
            version: FirmwareVersion::parse("7.5.1").expect("a version"),
            sha256: Sha256Hex::of(b"image"),
            fetch: Some("https://repo.example/sps-7.5.1.iso".to_owned()),
            upload: None,
            adopt: true,
        },
        via: Vec::new(),
        message: "CHG1".to_owned(),
        waves: vec![wave("all", &names)],
        appliances: names.into_iter().zip(entries).collect(),
        bystanders: BTreeMap::new(),
        limits: RolloutLimits { transfers: 10, unavailable: 1, requests_per_second: 50 },
        sites,
        groups: BTreeMap::new(),
        calendars: BTreeMap::new(),
        clusters: BTreeMap::new(),
        stage: StageMode::Ahead,
        drain: None,
        hooks: BTreeMap::new(),
        failure_budget: FailureBudget { count: Some(1), percent: None, on_breach: OnBreach::Pause },
        checks: Checks { disk_used_max: 90, require_untainted: true, support_bundle: false },
        make_room: MakeRoom::Never,
        unreachable_wait: SignedDuration::from_hours(2),
        timeouts: Timeouts::default(),
        warnings: Vec::new(),
    };
    plan.digest = plan.content_digest();
    plan
}
