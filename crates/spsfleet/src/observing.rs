//! Looks at the appliances of a plan without changing anything: what `plan --observe` shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use executor::limits::RequestLimits;
use executor::logins::Logins;
use futures::StreamExt as _;
use futures::stream;
use model::event::LoginMemory;
use model::fleet;
use model::observed::{Health, Info, Slot};
use model::plan::Plan;
use model::ports::{Appliance, Clock, Connector, LoginGate};
use model::{ApplianceName, Chain, FirmwareVersion};
use serde::Serialize;
use sps::{Options, SpsConnector, USER_AGENT};

use crate::context::Context;
use crate::spawn::SystemCommands;

/// What was seen.
#[derive(Debug, Serialize)]
pub(crate) struct Observed {
    /// Every member of the plan.
    pub(crate) appliances: BTreeMap<ApplianceName, Seen>,
    /// What the image URLs said.
    pub(crate) images: Vec<ImageSeen>,
}

/// What one appliance said.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// What it runs.
    pub(crate) version: Option<FirmwareVersion>,
    /// Its slots.
    pub(crate) slots: Vec<Slot>,
    /// Its health.
    pub(crate) health: Option<Health>,
    /// What could not be read, and why.
    pub(crate) faults: Vec<String>,
}

/// What the server of an image said of its size.
#[derive(Debug, Serialize)]
pub(crate) struct ImageSeen {
    /// Where the image is.
    pub(crate) url: String,
    /// Its size in bytes.
    pub(crate) size: Option<u64>,
    /// Why there is none.
    pub(crate) fault: Option<String>,
}

/// So many appliances are read at a time.
const AT_ONCE: usize = 64;
/// An image server that is asked for a size answers within this.
const IMAGE_LIMIT: Duration = Duration::from_secs(15);

impl Observed {
    /// What each appliance runs that said so.
    pub(crate) fn versions(&self) -> BTreeMap<ApplianceName, FirmwareVersion> {
        let seen = self.appliances.iter();
        seen.filter_map(|(name, seen)| Some((name.clone(), seen.version.clone()?))).collect()
    }

    /// The size of the largest image.
    pub(crate) fn image_size(&self) -> Option<u64> {
        self.images.iter().filter_map(|image| image.size).max()
    }
}

/// Reads every member of a plan, within its request limits, and asks where its images are.
pub(crate) async fn observe(
    plan: &Arc<Plan>,
    memory: &LoginMemory,
    context: &Context,
) -> anyhow::Result<Observed> {
    let clock: Arc<dyn Clock> = context.clock.clone();
    let commands = Arc::new(SystemCommands);
    let connector = SpsConnector::new(clock.clone(), commands, Options::from_env());
    let limits = RequestLimits::of(plan, &clock);
    // What is learnt here has no rollout to be remembered by; within this command it is.
    let logins: Arc<dyn LoginGate> = Arc::new(Logins::new(memory, Arc::new(|_, _| {})));
    let one = |entry: &Arc<fleet::Appliance>| {
        let throttle = limits.throttle(&entry.site);
        let client = connector.connect(entry, throttle, Arc::clone(&logins));
        let name = entry.name.clone();
        async move { (name, look(&*client).await) }
    };
    let looks: Vec<_> = plan.appliances.values().map(one).collect();
    let appliances = stream::iter(looks).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    Ok(Observed { appliances: appliances.into_iter().collect(), images: images(plan).await? })
}

async fn look(client: &dyn Appliance) -> Seen {
    let mut seen = Seen::default();
    match client.info().await {
        Ok(Info { firmware_version, .. }) => seen.version = Some(firmware_version),
        Err(error) => {
            // Whoever does not say what it runs says nothing else either.
            seen.faults.push(Chain(&error).to_string());
            return seen;
        }
    }
    match client.slots().await {
        Ok(slots) => seen.slots = slots,
        Err(error) => seen.faults.push(Chain(&error).to_string()),
    }
    match client.health().await {
        Ok(health) => seen.health = Some(health),
        Err(error) => seen.faults.push(Chain(&error).to_string()),
    }
    seen
}

async fn images(plan: &Plan) -> anyhow::Result<Vec<ImageSeen>> {
    let client = http()?;
    let mut images = Vec::new();
    for url in plan.hops().filter_map(|hop| hop.fetch.as_ref()) {
        let answered = client.head(url).send().await.and_then(reqwest::Response::error_for_status);
        let (size, fault) = match answered {
            Ok(answer) => match length(&answer) {
                Some(size) => (Some(size), None),
                None => (None, Some("the server does not say how large it is".to_owned())),
            },
            Err(error) => (None, Some(Chain(&error.without_url()).to_string())),
        };
        images.push(ImageSeen { url: url.clone(), size, fault });
    }
    Ok(images)
}

/// The header itself: of an answer without a body the body's length is 0.
fn length(answer: &reqwest::Response) -> Option<u64> {
    let header = answer.headers().get(reqwest::header::CONTENT_LENGTH)?;
    header.to_str().ok()?.parse().ok().filter(|size| *size > 0)
}

#[expect(clippy::disallowed_methods, reason = "the door to image servers")]
fn http() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().user_agent(USER_AGENT).timeout(IMAGE_LIMIT);
    Ok(builder.build()?)
}
