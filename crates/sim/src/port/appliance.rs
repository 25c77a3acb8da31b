//! The port's calls, each one request of a [`Link`].

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use model::digest::Sha256Hex;
use model::names::{FetchKey, SlotKey};
use model::observed::{
    ClusterNode, FetchJob, Health, Info, Offered, SetupStatus, Slot, TestReport, Uploaded,
};
use model::ports::{Answer, Appliance};
use model::rollout::Image;

use super::Link;
use super::classify::{self, Failed};
use crate::appliance::{Call, Message, Reply};

impl Appliance for Link {
    fn setup(&self) -> Answer<'_, SetupStatus> {
        Box::pin(async {
            match self.send(Call::Setup, None, self.settings.timeout).await? {
                Reply::Setup { completed: true } => Ok(SetupStatus::Completed),
                _ => Ok(SetupStatus::Booting),
            }
        })
    }

    fn info(&self) -> Answer<'_, Info> {
        Box::pin(self.ask_info())
    }

    fn offered(&self) -> Answer<'_, Offered> {
        Box::pin(self.simple(Call::Firmware, |reply| match reply {
            Reply::Firmware { fetch } => Some(Offered { fetch }),
            _ => None,
        }))
    }

    fn slots(&self) -> Answer<'_, Vec<Slot>> {
        Box::pin(self.simple(Call::Slots, |reply| match reply {
            Reply::Slots(slots) => Some(slots),
            _ => None,
        }))
    }

    fn slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, Slot> {
        Box::pin(self.simple(Call::Slot(key.clone()), |reply| match reply {
            Reply::Slot(slot) => Some(slot),
            _ => None,
        }))
    }

    fn delete_slot<'a>(&'a self, key: &'a SlotKey) -> Answer<'a, ()> {
        Box::pin(self.simple(Call::DeleteSlot(key.clone()), |_| Some(())))
    }

    fn start_fetch<'a>(&'a self, url: &'a str, sha256: &'a Sha256Hex) -> Answer<'a, FetchKey> {
        let call = Call::StartFetch { url: Some(url.to_owned()), sha256: Some(Ok(sha256.clone())) };
        Box::pin(self.simple(call, |reply| match reply {
            Reply::FetchStarted(key) => Some(key),
            _ => None,
        }))
    }

    fn fetch_jobs(&self) -> Answer<'_, Vec<FetchJob>> {
        Box::pin(self.simple(Call::FetchJobs, |reply| match reply {
            Reply::Jobs(jobs) => Some(jobs.into_iter().map(|view| view.job).collect()),
            _ => None,
        }))
    }

    fn fetch_job<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, Option<FetchJob>> {
        Box::pin(async move {
            let asked = self.simple(Call::FetchJob(key.clone()), |reply| match reply {
                Reply::Job(view) => Some(view.job),
                _ => None,
            });
            match asked.await {
                Ok(job) => Ok(Some(job)),
                Err(error) if classify::is_missing(&error) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn delete_fetch<'a>(&'a self, key: &'a FetchKey) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.simple(Call::DeleteFetch(key.clone()), |_| Some(())).await {
                Err(error) if classify::is_missing(&error) => Ok(()),
                other => other,
            }
        })
    }

    fn upload<'a>(
        &'a self,
        image: &'a Image,
        stall: Duration,
        sent: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Answer<'a, Uploaded> {
        Box::pin(self.send_image(image, stall, sent))
    }

    fn test<'a>(&'a self, slot: &'a SlotKey, limit: Duration) -> Answer<'a, TestReport> {
        Box::pin(async move {
            let call = Call::Test { slot: Some(slot.clone()) };
            let failed = Failed::of(&call, &self.host);
            match self.ask(call, limit).await? {
                Reply::Tested { summary, .. } => Ok(TestReport { summary }),
                _ => Err(failed.malformed("it carries no `test_summary`")),
            }
        })
    }

    fn upgrade<'a>(
        &'a self,
        slot: &'a SlotKey,
        message: &'a str,
        limit: Duration,
    ) -> Answer<'a, TestReport> {
        Box::pin(async move {
            let call = Call::Upgrade {
                slot: Some(slot.clone()),
                message: Message::Text(message.to_owned()),
            };
            let failed = Failed::of(&call, &self.host);
            match self.ask(call, limit).await? {
                Reply::Upgraded { summary, .. } => Ok(TestReport { summary }),
                _ => Err(failed.unknown("it carries no `test_summary`")),
            }
        })
    }

    fn health(&self) -> Answer<'_, Health> {
        Box::pin(self.simple(Call::Health, |reply| match reply {
            Reply::Health { spec, ha_other } => Some(classify::health(&spec, ha_other)),
            _ => None,
        }))
    }

    fn cluster_status(&self) -> Answer<'_, Vec<ClusterNode>> {
        Box::pin(self.simple(Call::ClusterStatus, |reply| match reply {
            Reply::Cluster(nodes) => Some(nodes),
            _ => None,
        }))
    }

    fn start_bundle(&self) -> Answer<'_, String> {
        Box::pin(self.simple(Call::StartBundle, |reply| match reply {
            Reply::Bundle { key, .. } => Some(key),
            _ => None,
        }))
    }

    fn bundle_is_ready<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(self.simple(Call::Bundle(key.to_owned()), |reply| match reply {
            Reply::Bundle { finished, .. } => Some(finished),
            _ => None,
        }))
    }

    fn download_bundle<'a>(&'a self, key: &'a str, into: &'a Path, limit: u64) -> Answer<'a, u64> {
        Box::pin(self.keep_bundle(key, into, limit))
    }

    fn delete_bundle<'a>(&'a self, key: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.simple(Call::DeleteBundle(key.to_owned()), |_| Some(())).await {
                Err(error) if classify::is_missing(&error) => Ok(()),
                other => other,
            }
        })
    }

    fn leaf(&self) -> Option<Sha256Hex> {
        self.leaf.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn uploaded_sum(&self) -> Option<model::Sha256Hex> {
        self.uploaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
