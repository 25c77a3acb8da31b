//! The doors to the system's time, randomness, user and limits.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::future::BoxFuture;
use jiff::Timestamp;
use model::RolloutId;
use model::decision::Actor;
use model::ports::Clock;
use model::random::Random;
use rustix::process::{Resource, Rlimit};

/// The system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Its monotonic time starts now.
    #[expect(clippy::disallowed_methods, reason = "the door to the monotonic clock")]
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the door to the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "the door to waiting")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Random numbers, seeded by the operating system.
pub(crate) fn random() -> anyhow::Result<Random> {
    let mut seed = [0; 8];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .context("reading /dev/urandom")?;
    Ok(Random::seeded(u64::from_le_bytes(seed)))
}

/// A new rollout's id: a UUID of version 7, so that ids sort by time.
pub(crate) fn rollout_id(now: Timestamp, random: &Random) -> RolloutId {
    let mut bytes = [0; 10];
    for (byte, random) in bytes
        .iter_mut()
        .zip(random.next_u64().to_le_bytes().into_iter().chain(random.next_u64().to_le_bytes()))
    {
        *byte = random;
    }
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
    RolloutId::new(&id.to_string())
}

/// Who runs this program. The name comes from /etc/passwd; users of other databases show as
/// their number.
pub(crate) fn actor() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = user_name(&passwd, uid).unwrap_or_else(|| uid.to_string());
    Actor { uid, name, pid: std::process::id() }
}

fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse::<u32>().ok()? == uid).then(|| name.to_owned())
    })
}

/// Raises the soft limit on open files to the hard one: a connection per appliance, and the usual
/// soft limit is 1,024. What the system refuses is left as it is.
pub(crate) fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.maximum.is_none() {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = rustix::process::setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit on open files was not raised");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_user_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nops:x:1000:1000::/home/ops:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ops"));
        assert_eq!(user_name(passwd, 7), None);
    }

    #[test]
    fn rollout_ids_sort_by_time_and_differ() {
        let random = Random::seeded(1);
        let at = |second| Timestamp::from_second(second).expect("a time");
        let early = rollout_id(at(1_000), &random);
        let late = rollout_id(at(2_000), &random);
        assert!(early < late);
        assert_ne!(late, rollout_id(at(2_000), &random));
        assert_eq!(early.as_str().len(), 36);
    }

    #[test]
    fn the_seed_is_not_always_the_same() {
        let (one, two) = (random().expect("a seed"), random().expect("a seed"));
        assert_ne!(one.next_u64(), two.next_u64());
    }
}
