//! What there is: appliances, how to reach them, and what surrounds them. Validated; defaults are
//! already applied (contract: semantics.md, "fleet.yaml").

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Hex;
use crate::names::{ApplianceName, ClusterName, CredentialId, GroupName, SiteName};

/// One appliance of the inventory with all its defaults applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Appliance {
    /// Its name in the inventory.
    pub name: ApplianceName,
    /// How it is reached.
    pub endpoint: Endpoint,
    /// What it must say its host name is, when the inventory says so.
    pub hostname: Option<String>,
    /// Where it is.
    pub site: SiteName,
    /// Free labels for selection.
    pub labels: BTreeMap<String, String>,
    /// Its redundancy group.
    pub group: Option<GroupName>,
    /// Its central cluster and roles in it.
    pub cluster: Option<ClusterMember>,
    /// The pair behind the address; absent means one node.
    pub ha: Option<Ha>,
    /// What `POST /api/firmware/upgrade` does here.
    pub upgrade_call: UpgradeCall,
    /// Who reboots it once it is armed.
    pub reboot: Reboot,
}

/// Where an appliance answers and how both sides prove who they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// IPv4 or IPv6 address (without brackets) or DNS name.
    pub address: String,
    /// TCP port of the REST API.
    pub port: u16,
    /// How its certificate is proven.
    pub trust: Trust,
    /// With what we log in.
    pub login: Login,
}

impl Endpoint {
    /// `host:port` for messages and URLs; IPv6 in brackets, the port left out when it is 443.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.address.contains(':') {
            format!("[{}]", self.address)
        } else {
            self.address.clone()
        };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

/// How an appliance's identity is proven before a credential is sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Only this CA file (an absolute path); name or address is checked.
    Ca(String),
    /// Exactly this leaf certificate (SHA-256 of its DER), whatever its name.
    Pin(Sha256Hex),
    /// The operating system's roots; name or address is checked.
    System,
    /// Anything is believed. The operator said so in plain words.
    Insecure,
}

/// With what we log in to an appliance or a Redfish service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Login {
    /// The user name.
    pub username: String,
    /// SPS `login_method`; sent only when given.
    pub method: Option<String>,
    /// Where the password comes from.
    pub password: PasswordSource,
}

impl Login {
    /// Names this login definition without any secret: equal definitions share one identity, and
    /// unequal ones never do.
    #[must_use]
    pub fn id(&self) -> CredentialId {
        let mut text = format!("{} with {}", self.username, self.password);
        if let Some(method) = &self.method {
            text.push_str(&format!(" by {method}"));
        }
        if let PasswordSource::Command(words) = &self.password {
            // Arguments may be long or telling; their sum is enough to tell definitions apart.
            let sum = Sha256Hex::of(words.join("\0").as_bytes());
            text.push_str(&format!(" {:.8}", sum.as_str()));
        }
        CredentialId::new(&text)
    }
}

/// Where a password comes from. It is read when needed and never stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordSource {
    /// A systemd credential: the file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A file (an absolute path) that only we or root may read.
    File(String),
    /// An environment variable.
    Env(String),
    /// The first line that this program prints.
    Command(Vec<String>),
}

impl std::fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::File(path) => write!(f, "file {path}"),
            Self::Env(variable) => write!(f, "environment variable {variable}"),
            Self::Command(words) => {
                write!(f, "command {}", words.first().map_or("", String::as_str))
            }
        }
    }
}

/// What `POST /api/firmware/upgrade` does here (sps-api.md, "Upgrade": unknown by documentation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeCall {
    /// Find out by watching.
    Detect,
    /// It activates the slot and reboots the node.
    Reboots,
    /// It only selects the slot for the next boot.
    Arms,
}

/// Who reboots an armed appliance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reboot {
    /// A person.
    Operator,
    /// A program; exit code 0 means done.
    Command(Vec<String>),
    /// The Redfish service of its hardware.
    Redfish(Redfish),
}

/// A Redfish service and the system in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redfish {
    /// Base URL, without user information.
    pub url: String,
    /// The `Systems` member.
    pub system: String,
    /// With what we log in.
    pub login: Login,
    /// How the service's certificate is proven.
    pub trust: Trust,
}

/// Membership in a central cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMember {
    /// The cluster.
    pub name: ClusterName,
    /// The roles of this member.
    pub roles: Vec<Role>,
}

/// A role in a central cluster (sps-api.md, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Audits traffic and indexes; searched by the search-master.
    SearchMinion,
    /// Takes its configuration from central management.
    ManagedHost,
    /// Holds the configuration of the cluster.
    CentralManagement,
    /// Searches all minions; upgraded last.
    SearchMaster,
    /// Searches only itself.
    SearchLocal,
}

impl Role {
    /// The word, as the inventory and the appliance write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SearchMinion => "search-minion",
            Self::ManagedHost => "managed-host",
            Self::CentralManagement => "central-management",
            Self::SearchMaster => "search-master",
            Self::SearchLocal => "search-local",
        }
    }
}

/// An HA pair behind one address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ha {
    /// Who does the hardware steps.
    pub mode: HaMode,
    /// How long the firmware may take to reach the secondary after arming.
    pub peer_sync: Option<SignedDuration>,
    /// A program that exits 0 when the node behind the switch is the secondary now.
    pub secondary_check: Option<Vec<String>>,
    /// The secondary's power.
    pub secondary_power: Option<PowerTarget>,
    /// After how long a graceful shutdown may be forced; never when absent.
    pub force_off_after: Option<SignedDuration>,
    /// The operator has seen the call handle both nodes (`upgrade_call: reboots`).
    pub reboots_both: bool,
}

/// Who does an HA pair's hardware steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaMode {
    /// A person, who confirms each.
    Attended,
    /// The program, through a power switch.
    Automatic,
}

/// A power switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerTarget {
    /// Three programs.
    Command {
        /// Switches on.
        on: Vec<String>,
        /// Switches off.
        off: Vec<String>,
        /// Prints `on` or `off`.
        state: Vec<String>,
    },
    /// A Redfish service.
    Redfish(Redfish),
}
