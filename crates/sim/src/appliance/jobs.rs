//! Fetch jobs (sps-api.md, "Fetch"): one runs at a time, records stay until they are removed.

use std::time::Duration;

use model::digest::Sha256Hex;
use model::names::{FetchKey, SlotKey};
use model::observed::{FetchJob, FetchStatus};

use super::calls::JobView;
use super::logins::uuid;
use super::state::{Shared, State};
use crate::images::SimImage;
use crate::ledger::{ChangedBy, Life};

/// A fetch job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: FetchKey,
    url: String,
    sha256: Sha256Hex,
    queued: Duration,
    started: Option<Duration>,
    downloaded: u64,
    total: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Queued,
    /// The bytes come by the clock.
    Timed {
        image: SimImage,
        fails: Option<String>,
        corrupt: bool,
    },
    /// The bytes come from a real server; somebody else reports them.
    Real,
    /// No more bytes come.
    Stuck,
    Verifying {
        until: Duration,
        version: Option<String>,
        sum_is_right: bool,
    },
    Installing {
        until: Duration,
        version: String,
    },
    Finished {
        slot: SlotKey,
    },
    Failed {
        error: String,
    },
    Cancelled,
}

impl Stage {
    fn is_live(&self) -> bool {
        !matches!(self, Self::Finished { .. } | Self::Failed { .. } | Self::Cancelled)
    }
}

/// A download that somebody must really do.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) key: FetchKey,
    pub(crate) url: String,
    /// Stop half-way with this error.
    pub(crate) fails: Option<String>,
    pub(crate) corrupt: bool,
}

/// What a real download ended with.
#[derive(Debug)]
pub(crate) struct Downloaded {
    pub(crate) sha256: Sha256Hex,
    pub(crate) version: Option<String>,
}

/// What a `DELETE` of a fetch job did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    Cancelled,
    Removed,
    TooLate,
    NoSuch,
}

pub(super) const BROKEN: &str =
    "<class 'requests.exceptions.ConnectionError'>: connection broken while downloading";

impl State {
    pub(super) fn queue_fetch(
        &mut self,
        shared: &Shared,
        now: Duration,
        url: &str,
        sha256: Sha256Hex,
        by: ChangedBy,
    ) -> FetchKey {
        let key = FetchKey::new(&uuid(&self.random));
        self.jobs.push(Job {
            key: key.clone(),
            url: url.to_owned(),
            sha256,
            queued: now,
            started: None,
            downloaded: 0,
            total: 0,
            stage: Stage::Queued,
        });
        shared.ledger.life(&self.spec.name, now, Life::FetchQueued { job: key.clone(), by });
        self.advance_jobs(shared, now);
        key
    }

    /// Lets the jobs run until `now`, as far as they run by the clock.
    pub(super) fn advance_jobs(&mut self, shared: &Shared, now: Duration) {
        while self.is_up()
            && let Some(index) = self.jobs.iter().position(|job| job.stage.is_live())
            && let Some(at) = self.next_of_job(index)
            && at <= now
        {
            self.step_job(shared, index, at);
        }
        self.count_bytes(now);
    }

    /// When the running job next changes by itself.
    pub(super) fn next_job_change(&self) -> Option<Duration> {
        let index = self.jobs.iter().position(|job| job.stage.is_live())?;
        if self.is_up() { self.next_of_job(index) } else { None }
    }

    fn next_of_job(&self, index: usize) -> Option<Duration> {
        let job = self.jobs.get(index)?;
        match &job.stage {
            Stage::Queued => Some(job.queued.max(self.jobs_free_at)),
            Stage::Timed { image, fails, .. } => {
                let bytes = if fails.is_some() { image.size / 2 } else { image.size };
                Some(job.started? + self.transfer_time(bytes))
            }
            Stage::Verifying { until, .. } | Stage::Installing { until, .. } => Some(*until),
            _ => None,
        }
    }

    fn transfer_time(&self, bytes: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a transfer's duration")]
        let seconds = bytes as f64 / self.spec.timings.fetch_bytes_per_second.max(1) as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
    }

    fn count_bytes(&mut self, now: Duration) {
        let rate = self.spec.timings.fetch_bytes_per_second;
        for job in &mut self.jobs {
            if let (Stage::Timed { image, .. }, Some(started)) = (&job.stage, job.started) {
                let passed = now.saturating_sub(started).as_micros();
                let bytes = u128::from(rate).saturating_mul(passed) / 1_000_000;
                job.downloaded = u64::try_from(bytes).unwrap_or(u64::MAX).min(image.size);
            }
        }
    }

    fn step_job(&mut self, shared: &Shared, index: usize, at: Duration) {
        let verify = self.spec.timings.verify;
        let install = self.spec.timings.install;
        let Some(job) = self.jobs.get_mut(index) else { return };
        match std::mem::replace(&mut job.stage, Stage::Cancelled) {
            Stage::Queued => self.start_job(shared, index, at),
            Stage::Timed { image, fails, corrupt } => {
                if let Some(error) = fails {
                    job.downloaded = image.size / 2;
                    self.end_job(shared, index, at, Stage::Failed { error });
                } else {
                    job.downloaded = image.size;
                    job.stage = Stage::Verifying {
                        until: at + verify,
                        sum_is_right: !corrupt && image.sha256 == job.sha256,
                        version: Some(image.version),
                    };
                }
            }
            Stage::Verifying { sum_is_right: false, .. } => {
                let error = "The checksum of the downloaded file does not match".to_owned();
                self.end_job(shared, index, at, Stage::Failed { error });
            }
            Stage::Verifying { version: None, .. } => {
                let error = "The downloaded file is not a firmware image".to_owned();
                self.end_job(shared, index, at, Stage::Failed { error });
            }
            Stage::Verifying { version: Some(version), .. } => {
                job.stage = Stage::Installing { until: at + install, version };
            }
            Stage::Installing { version, .. } => {
                let ended = match self.fill_empty_slot(shared, at, &version) {
                    Some(slot) => Stage::Finished { slot },
                    None => Stage::Failed { error: "There is no empty firmware slot".to_owned() },
                };
                let filled = matches!(ended, Stage::Finished { .. });
                self.end_job(shared, index, at, ended);
                if filled {
                    self.after_fetch(shared, at);
                }
            }
            other => job.stage = other,
        }
    }

    fn start_job(&mut self, shared: &Shared, index: usize, at: Duration) {
        let stuck = self.moods.take_stuck();
        let fails = self.moods.take_fetch_failure();
        let corrupt = self.moods.take_corrupt();
        let Some(job) = self.jobs.get_mut(index) else { return };
        job.started = Some(at);
        let known = shared.images.at(&job.url);
        if stuck {
            job.total = known.map_or(1_521_614_848, |image| image.size);
            job.downloaded = job.total / 3;
            job.stage = Stage::Stuck;
        } else if shared.real_transfers {
            job.stage = Stage::Real;
            let (key, url) = (job.key.clone(), job.url.clone());
            self.orders.push(Order { key, url, fails, corrupt });
        } else if let Some(image) = known {
            job.total = image.size;
            job.stage = Stage::Timed { image, fails, corrupt };
        } else {
            let error = format!(
                "<class 'requests.exceptions.ConnectionError'>: Failed to establish a new \
                 connection to {}",
                job.url
            );
            self.end_job(shared, index, at, Stage::Failed { error });
        }
    }

    fn end_job(&mut self, shared: &Shared, index: usize, at: Duration, ended: Stage) {
        let Some(job) = self.jobs.get_mut(index) else { return };
        let status = match &ended {
            Stage::Finished { .. } => "finished",
            Stage::Failed { .. } => "failed",
            _ => "canceled",
        };
        job.stage = ended;
        let ended = Life::FetchEnded { job: job.key.clone(), status: status.into() };
        shared.ledger.life(&self.spec.name, at, ended);
        self.jobs_free_at = self.jobs_free_at.max(at);
    }

    /// The first `DELETE` cancels a live job, the next removes its record.
    pub(super) fn delete_fetch(
        &mut self,
        shared: &Shared,
        now: Duration,
        key: &FetchKey,
    ) -> Deletion {
        let Some(index) = self.jobs.iter().position(|job| job.key == *key) else {
            return Deletion::NoSuch;
        };
        match self.jobs.get(index).map(|job| &job.stage) {
            Some(Stage::Installing { .. }) => Deletion::TooLate,
            Some(stage) if stage.is_live() => {
                self.end_job(shared, index, now, Stage::Cancelled);
                self.advance_jobs(shared, now);
                Deletion::Cancelled
            }
            _ => {
                self.forget_job(shared, index, now);
                Deletion::Removed
            }
        }
    }

    fn forget_job(&mut self, shared: &Shared, index: usize, now: Duration) {
        let job = self.jobs.remove(index);
        shared.ledger.life(&self.spec.name, now, Life::FetchForgotten { job: job.key });
    }

    pub(super) fn forget_ended_jobs(&mut self, shared: &Shared, now: Duration) {
        while let Some(index) = self.jobs.iter().position(|job| !job.stage.is_live()) {
            self.forget_job(shared, index, now);
        }
    }

    /// Power goes, or a restart begins: what runs breaks off; what is queued waits, if records
    /// outlive a reboot at all.
    pub(super) fn jobs_over_reboot(&mut self, shared: &Shared, at: Duration) {
        for index in 0..self.jobs.len() {
            let broken = self
                .jobs
                .get(index)
                .is_some_and(|job| job.stage.is_live() && !matches!(job.stage, Stage::Queued));
            if broken {
                let error = "The download was interrupted by a restart".to_owned();
                self.end_job(shared, index, at, Stage::Failed { error });
            }
        }
        if !self.spec.quirks.jobs_survive_reboot {
            while let Some(index) = self.jobs.len().checked_sub(1) {
                if self.jobs.get(index).is_some_and(|job| job.stage.is_live()) {
                    self.end_job(shared, index, at, Stage::Cancelled);
                }
                self.forget_job(shared, index, at);
            }
        }
    }

    /// Whether a real download is still wanted; takes note of its bytes.
    pub(super) fn download_moved(&mut self, key: &FetchKey, bytes: u64, total: u64) -> bool {
        let Some(job) = self.jobs.iter_mut().find(|job| job.key == *key) else { return false };
        let wanted = matches!(job.stage, Stage::Real);
        if wanted {
            job.downloaded = bytes;
            job.total = total;
        }
        wanted
    }

    pub(super) fn download_ended(
        &mut self,
        shared: &Shared,
        now: Duration,
        key: &FetchKey,
        result: Result<Downloaded, String>,
    ) {
        let verify = self.spec.timings.verify;
        let Some(index) = self.jobs.iter().position(|job| job.key == *key) else { return };
        let Some(job) = self.jobs.get_mut(index) else { return };
        if !matches!(job.stage, Stage::Real) {
            return;
        }
        match result {
            Ok(got) => {
                job.stage = Stage::Verifying {
                    until: now + verify,
                    sum_is_right: got.sha256 == job.sha256,
                    version: got.version,
                };
            }
            Err(error) => self.end_job(shared, index, now, Stage::Failed { error }),
        }
        self.advance_jobs(shared, now);
    }

    pub(super) fn job_views(&self, shared: &Shared) -> Vec<JobView> {
        self.jobs.iter().map(|job| self.view(shared, job)).collect()
    }

    pub(super) fn job_view(&self, shared: &Shared, key: &FetchKey) -> Option<JobView> {
        self.jobs.iter().find(|job| job.key == *key).map(|job| self.view(shared, job))
    }

    fn view(&self, shared: &Shared, job: &Job) -> JobView {
        let (status, info) = match &job.stage {
            Stage::Queued => (FetchStatus::Queued, None),
            Stage::Timed { .. } | Stage::Real | Stage::Stuck => {
                (FetchStatus::InProgress, Some("Downloading"))
            }
            Stage::Verifying { .. } => (FetchStatus::InProgress, Some("Verifying checksum")),
            Stage::Installing { .. } => (FetchStatus::InProgress, Some("Installing")),
            Stage::Finished { .. } => (FetchStatus::Finished, None),
            Stage::Failed { .. } => (FetchStatus::Failed, Some("Firmware fetching failed")),
            Stage::Cancelled => (FetchStatus::Cancelled, None),
        };
        let counted = !matches!(job.stage, Stage::Failed { .. } | Stage::Queued);
        JobView {
            job: FetchJob {
                key: job.key.clone(),
                url: job.url.clone(),
                status,
                info: info.map(str::to_owned),
                error: match &job.stage {
                    Stage::Failed { error } => Some(error.clone()),
                    _ => None,
                },
                slot: match &job.stage {
                    Stage::Finished { slot } => Some(slot.clone()),
                    _ => None,
                },
                downloaded: if counted { job.downloaded } else { 0 },
                total: if counted { job.total } else { 0 },
            },
            start_time: job.started.map(|started| shared.wall(started)),
            cancelled_word: self.spec.quirks.cancelled_word,
        }
    }
}
