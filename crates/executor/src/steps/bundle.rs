//! Fetches a support bundle of a failed appliance (sps-api.md, section 5, "Diagnostics"). It is
//! worth having and never worth a loop: whatever goes wrong is said once.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::event::ApplianceChange;
use model::failure::{ApplianceError, Became};

use super::Done;
use super::context::{Context, Deadline};
use crate::pacing;

/// How long the appliance may take to make it (sps-api.md, section 5).
const MAKING: Duration = Duration::from_mins(10);

/// How long an appliance that does not answer is asked.
const ASKING: Duration = Duration::from_mins(3);

/// The largest bundle that is kept.
const LARGEST: u64 = 1 << 30;

pub(super) async fn bundle(context: &mut Context) -> Done {
    if context.run.bundled {
        return Ok(());
    }
    let change = match keep(context).await {
        Ok((path, saw)) => ApplianceChange::Bundled { path: Some(path.display().to_string()), saw },
        Err(why) => ApplianceChange::Bundled { path: None, saw: why },
    };
    context.record(change);
    Ok(())
}

async fn keep(context: &Context) -> Result<(PathBuf, String), String> {
    let Some(folder) = &context.shared.bundles else {
        return Err("there is no folder to put support bundles in".to_owned());
    };
    let folder = folder.join(file_name(context.shared.rollout.as_str()));
    // It tells much of the appliance: for us alone.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
    let key = start(context).await?;
    let path = folder.join(format!("{}-{}.bundle", context.name, context.now().as_second()));
    let kept = match until_ready(context, &key).await {
        Ok(()) => download(context, &key, &path).await,
        Err(why) => Err(why),
    };
    // It takes room there, whether we have it or not.
    let left = match context.port.delete_bundle(&key).await {
        Ok(()) => String::new(),
        Err(error) => format!("; it is still on the appliance as {key}: {error}"),
    };
    match kept {
        Ok(size) => Ok((path, format!("{size} bytes{left}"))),
        Err(why) => Err(format!("{why}{left}")),
    }
}

/// Asks for one. A request whose reply was lost may have begun one: there is no second.
async fn start(context: &Context) -> Result<String, String> {
    let deadline = Deadline(context.monotonic() + ASKING);
    let mut failures = 0;
    loop {
        let error = match context.port.start_bundle().await {
            Ok(key) => return Ok(key),
            Err(error) => error,
        };
        let left = context.left(deadline);
        if error.class.became() != Became::NotSent || left.is_zero() {
            return Err(error.to_string());
        }
        rest(context, &mut failures, &error, left).await;
    }
}

async fn until_ready(context: &Context, key: &str) -> Result<(), String> {
    let began = context.monotonic();
    let deadline = Deadline(began + MAKING);
    loop {
        let state = match context.port.bundle_is_ready(key).await {
            Ok(true) => return Ok(()),
            Ok(false) => "it was not finished".to_owned(),
            Err(error) if error.is_passing() => error.to_string(),
            Err(error) => return Err(error.to_string()),
        };
        let left = context.left(deadline);
        if left.is_zero() {
            return Err(format!("{state}, {} minutes after it was begun", MAKING.as_secs() / 60));
        }
        let pause = pacing::by_elapsed(context.monotonic() - began).max(Duration::from_secs(1));
        context.sleep(pause.min(left)).await;
    }
}

/// Downloads it. A download that broke changes nothing and leaves no file: it is repeated.
async fn download(context: &Context, key: &str, path: &Path) -> Result<u64, String> {
    let deadline = Deadline(context.monotonic() + ASKING);
    let mut failures = 0;
    loop {
        let error = match context.port.download_bundle(key, path, LARGEST).await {
            Ok(size) => return Ok(size),
            Err(error) => error,
        };
        let left = context.left(deadline);
        if !error.is_passing() || left.is_zero() {
            return Err(error.to_string());
        }
        rest(context, &mut failures, &error, left).await;
    }
}

async fn rest(context: &Context, failures: &mut u32, error: &ApplianceError, left: Duration) {
    let pause = pacing::back_off(*failures, &context.shared.random);
    *failures += 1;
    context.sleep(pause.max(error.retry_after.unwrap_or_default()).min(left)).await;
}

/// A name for a folder, whatever the rollout's id is made of.
fn file_name(id: &str) -> String {
    let tame = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = id.chars().map(tame).collect();
    if name.trim_matches('.').is_empty() { "rollout".to_owned() } else { name }
}
