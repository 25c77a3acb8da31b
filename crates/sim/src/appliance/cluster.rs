//! What central management says of its cluster (sps-api.md, section 6, "Central cluster").

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use jiff::Timestamp;
use model::digest::Sha256Hex;
use model::observed::ClusterNode;

use super::SimAppliance;
use super::calls::{Refusal, Reply};
use super::logins::uuid;
use super::state::{Phase, Shared, State};

impl SimAppliance {
    /// The status of all nodes; an error from who is not central management.
    pub(super) fn cluster_status(&self) -> Result<Reply, Refusal> {
        let spec = self.spec();
        let central = spec.roles.iter().any(|role| role == "central-management");
        let Some(cluster) = spec.cluster.filter(|_| central) else {
            let why = "This node does not manage a cluster";
            return Err(Refusal::plain(404, "NotFound", why));
        };
        let members: Vec<Arc<Self>> = {
            let clusters = self.shared.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.get(&cluster).into_iter().flatten().filter_map(Weak::upgrade).collect()
        };
        let mut nodes = Vec::new();
        for member in members {
            let (now, state) = member.now();
            if !state.moods.cluster.missing {
                nodes.push(state.as_node(&self.shared, now, member.name == self.name));
            }
            let strangers = &state.moods.cluster.strangers;
            nodes.extend(strangers.iter().map(|fqdn| stranger(fqdn, self.shared.wall(now))));
        }
        Ok(Reply::Cluster(nodes))
    }
}

/// A node that the simulator does not have.
fn stranger(fqdn: &str, seen: Timestamp) -> ClusterNode {
    ClusterNode {
        key: node_key(fqdn),
        fqdn: Some(fqdn.to_owned()),
        last_seen: Some(seen.to_string()),
        healthy: true,
        sync_status: Some("n/a".to_owned()),
        warnings: Vec::new(),
        is_self: false,
    }
}

/// A stable identifier of a cluster node.
fn node_key(name: &str) -> String {
    let sum = Sha256Hex::of(name.as_bytes());
    let seed = u64::from_str_radix(&sum.as_str()[..16], 16).unwrap_or_default();
    uuid(&model::random::Random::seeded(seed))
}

impl State {
    /// This appliance as central management sees it.
    fn as_node(&self, shared: &Shared, now: Duration, is_self: bool) -> ClusterNode {
        let mood = &self.moods.cluster;
        let (up_since, went_down) = self.up;
        let restarted = up_since.is_some();
        let unseen = mood.unseen.is_some_and(|after_restart| restarted || !after_restart);
        let up = self.phase == Phase::Up;
        let pending = !up
            || up_since.is_some_and(|since| {
                self.spec.cluster_sync.is_none_or(|takes| now < since + takes)
            });
        let seen = if up { now } else { went_down.unwrap_or(now) };
        let hostname = &self.spec.hostname;
        let fqdn = if hostname.contains('.') {
            hostname.clone()
        } else {
            format!("{hostname}.sim.invalid")
        };
        ClusterNode {
            key: node_key(self.spec.name.as_str()),
            fqdn: Some(fqdn),
            last_seen: Some(shared.wall(seen).to_string()),
            healthy: up && !unseen,
            // The managing node has nobody to take its configuration from.
            sync_status: Some(if pending && !is_self { "pending" } else { "n/a" }.to_owned()),
            warnings: mood
                .warnings
                .iter()
                .filter(|(_, after_restart)| restarted || !after_restart)
                .map(|(message, _)| message.clone())
                .collect(),
            is_self,
        }
    }
}
