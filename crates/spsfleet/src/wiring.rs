//! Where everything is joined: the executor with the real appliances, the journal on disk, the
//! system's clock and programs, and the socket.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use control::wire::DecisionRequest;
use control::{Client, ClientError, Socket};
use executor::{Handle, Ports};
use model::decision::Decision;
use model::event::{Change, Draft, RolloutChange};
use model::plan::Plan;
use model::ports::Journal;
use model::run::Run;
use model::{Chain, RolloutId};
use sps::redfish::RedfishConnector;
use sps::{Options, SpsConnector};
use state::SqliteJournal;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::context::Context;
use crate::service::Running;
use crate::spawn::SystemCommands;
use crate::{database, system};

/// The world as the executor sees it.
pub(crate) fn ports(
    journal: Arc<SqliteJournal>,
    plan: &Plan,
    context: &Context,
) -> anyhow::Result<Ports> {
    let commands = Arc::new(SystemCommands);
    let options = Options::from_env();
    let connector = SpsConnector::new(context.clock.clone(), commands.clone(), options.clone());
    let power = RedfishConnector::new(context.clock.clone(), commands.clone(), options);
    let wanted = plan.checks.support_bundle;
    let bundles = wanted.then(|| bundles_of(journal.reader().path()));
    Ok(Ports {
        journal,
        connector: Arc::new(connector),
        clock: context.clock.clone(),
        commands,
        power: Arc::new(power),
        bundles,
        random: Arc::new(system::random()?),
    })
}

/// The folder beside a database for support bundles: only its owner may look into it, since a
/// bundle tells a lot about an appliance.
fn bundles_of(database: &Path) -> PathBuf {
    let folder = database.with_file_name("bundles");
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    if let Err(error) = made {
        // Nothing of a rollout hangs on a bundle; the event says that there is none, and why.
        tracing::warn!(%error, folder = %folder.display(), "there is no folder for support bundles");
    }
    folder
}

/// Takes a new plan over for what has not begun.
pub(crate) async fn replan(
    journal: &SqliteJournal,
    rollout: &RolloutId,
    plan: Arc<Plan>,
    context: &Context,
) -> anyhow::Result<()> {
    let change = RolloutChange::Replanned { plan, actor: system::actor() };
    let draft =
        Draft { rollout: rollout.clone(), at: context.now(), change: Change::Rollout(change) };
    journal.append(&[draft]).await?;
    Ok(())
}
/// The socket of a running rollout. Dropped without [`Serving::close`] it ends at once.
pub(crate) struct Serving {
    tasks: JoinSet<()>,
    end: oneshot::Sender<()>,
}

/// Lets decisions reach a running rollout, at a socket beside its journal.
pub(crate) async fn serve(
    journal: &Arc<SqliteJournal>,
    handle: Handle,
    run: &Run,
    context: &Context,
) -> anyhow::Result<Serving> {
    let socket = Socket::bind(&database::socket_of(journal.reader().path())).await?;
    let (end, ended) = oneshot::channel();
    let clock = context.clock.clone();
    let service = Arc::new(Running::new(handle, run, Arc::clone(journal), clock));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let until = async { drop(ended.await) };
        if let Err(error) = socket.serve(service, until).await {
            tracing::warn!(error = %Chain(&error), "decisions can no longer reach this process");
        }
    });
    Ok(Serving { tasks, end })
}

impl Serving {
    /// Finishes what is under way and removes the socket.
    pub(crate) async fn close(mut self) {
        drop(self.end);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Sends a decision to the process that runs the rollout. `key` makes it safe to repeat.
///
/// # Errors
/// [`ClientError::NoDaemon`] when nobody listens there, or the refusal in the process's words.
pub(crate) async fn send(
    socket: &Path,
    rollout: &RolloutId,
    reason: &str,
    decision: &Decision,
    key: &str,
) -> Result<(), ClientError> {
    let client = Client::connect(socket).await?;
    let request = DecisionRequest::new(decision.clone(), reason, key);
    client.decide(rollout.as_str(), &request).await.map(drop)
}
