//! Uploads of the in-process client: an image known by its path moves by the clock, any other is
//! read for real.

use std::io::Read;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use model::digest::Sha256Hex;
use model::failure::ApplianceError;
use model::observed::Uploaded;
use model::rollout::Image;
use sha2::{Digest, Sha256};

use super::Link;
use super::classify::Failed;
use crate::appliance::{Call, Received, Reply};
use crate::images::HEAD_BYTES;

/// So often the sender is told how far it is.
const STEPS: u32 = 20;

/// Size, sum and first bytes of a file.
struct Weighed {
    size: u64,
    sha256: Sha256Hex,
    head: Vec<u8>,
}

fn weigh(path: &str) -> std::io::Result<Weighed> {
    let mut file = std::fs::File::open(path)?;
    let (mut sum, mut head, mut size) = (Sha256::new(), Vec::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        sum.update(bytes);
        size += bytes.len() as u64;
        if head.len() < HEAD_BYTES {
            head.extend(bytes.iter().take(HEAD_BYTES - head.len()));
        }
    }
    Ok(Weighed { size, sha256: Sha256Hex::from_bytes(&sum.finalize()), head })
}

impl Link {
    pub(super) async fn send_image(
        &self,
        image: &Image,
        _stall: Duration,
        sent: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<Uploaded, ApplianceError> {
        let arrived = self.clock.monotonic();
        let empty = Received { bytes: 0, version: None, arrived };
        let failed = Failed::of(&Call::Upload(empty), &self.host);
        let Some(target) = &self.target else {
            return Err(failed.unreachable("no such simulated appliance"));
        };
        let images = &target.shared().images;
        let (size, sha256, version) = match images.at(&image.path) {
            Some(known) => (known.size, known.sha256, Some(known.version)),
            None => {
                let path = image.path.clone();
                let weighed = tokio::task::spawn_blocking(move || weigh(&path))
                    .await
                    .map_err(std::io::Error::other)
                    .and_then(std::convert::identity)
                    .map_err(|error| failed.local(&format!("{}: {error}", image.path)))?;
                let version = images.version(&weighed.head, &weighed.sha256);
                (weighed.size, weighed.sha256, version)
            }
        };
        let rate = target.spec().timings.fetch_bytes_per_second.max(1);
        for step in 1..=STEPS {
            let bytes = size / u64::from(STEPS) * u64::from(step);
            let micros = u128::from(size) * 1_000_000 / u128::from(rate) / u128::from(STEPS);
            let pause = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
            self.clock.sleep(pause).await;
            if target.phase() != crate::Phase::Up {
                return Err(failed.unknown("the connection broke while sending"));
            }
            sent(if step == STEPS { size } else { bytes });
        }
        *self.uploaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(sha256.clone());
        let received = Received { bytes: size, version, arrived };
        let limit = self.settings.timeout + target.spec().timings.install;
        match self.ask(Call::Upload(received), limit).await? {
            Reply::Uploaded { slot, .. } => Ok(Uploaded { slot, sha256 }),
            _ => Err(failed.unknown("it does not name a slot")),
        }
    }
}
