//! Does the downloads that appliances order, for real.

use std::sync::Arc;

use model::chain::Chain;
use model::digest::Sha256Hex;
use sha2::{Digest, Sha256};

use crate::appliance::{Downloaded, Order, SimAppliance};
use crate::images::HEAD_BYTES;

/// Progress is written down after so many bytes.
const STEP: u64 = 1 << 20;

/// The client for downloads. The certificate of an HTTPS source is not validated: that is why a
/// checksum is required (sps-api.md, "Fetch").
#[expect(clippy::disallowed_methods, reason = "this is the crate's door to HTTP clients")]
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .user_agent("SPS")
        .no_proxy()
        .build()
}

/// Downloads until it is done, fails, or the appliance no longer wants it.
pub(super) async fn download(
    client: reqwest::Client,
    appliance: Arc<SimAppliance>,
    order: Order,
    mut rate: u64,
) {
    rate = rate.max(1);
    match run(&client, &appliance, &order, rate).await {
        Ok(Some(downloaded)) => appliance.download_ended(&order.key, Ok(downloaded)),
        Ok(None) => {}
        Err(error) => appliance.download_ended(&order.key, Err(error)),
    }
}

fn failure(error: &reqwest::Error) -> String {
    format!("<class 'requests.exceptions.ConnectionError'>: {}", Chain(error))
}

/// `None`: it is no longer wanted.
async fn run(
    client: &reqwest::Client,
    appliance: &SimAppliance,
    order: &Order,
    rate: u64,
) -> Result<Option<Downloaded>, String> {
    let clock = Arc::clone(&appliance.shared().clock);
    let began = clock.monotonic();
    let request = client.get(&order.url).send().await.map_err(|error| failure(&error))?;
    let mut response = request.error_for_status().map_err(|error| failure(&error))?;
    let total = response.content_length().unwrap_or(0);
    if !appliance.download_moved(&order.key, 0, total) {
        return Ok(None);
    }
    let (mut sum, mut head, mut bytes, mut noted) = (Sha256::new(), Vec::new(), 0_u64, 0_u64);
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        sum.update(&chunk);
        if head.len() < HEAD_BYTES {
            head.extend(chunk.iter().take(HEAD_BYTES - head.len()));
        }
        bytes += chunk.len() as u64;
        if let Some(error) = order.fails.as_ref().filter(|_| bytes >= total / 2) {
            return Err(error.clone());
        }
        let due = due_after(bytes, rate);
        let ahead = due.saturating_sub(clock.monotonic().saturating_sub(began));
        if bytes - noted >= STEP || bytes == total || ahead > std::time::Duration::ZERO {
            noted = bytes;
            if !appliance.download_moved(&order.key, bytes, total) {
                return Ok(None);
            }
        }
        if ahead > std::time::Duration::ZERO {
            clock.sleep(ahead).await;
        }
    }
    if order.corrupt {
        sum.update(b"corrupt");
    }
    let sha256 = Sha256Hex::from_bytes(&sum.finalize());
    let version = appliance.shared().images.version(&head, &sha256);
    Ok(Some(Downloaded { sha256, version }))
}

fn due_after(bytes: u64, rate: u64) -> std::time::Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(rate);
    std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}
