//! An accepted rollout, run in the foreground: live lines, signals, the socket, and the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use executor::{Executor, Handle, Options};
use jiff::Timestamp;
use model::RolloutId;
use model::event::Event;
use model::exit::Exit;
use model::run::Run;
use state::{SqliteJournal, SqliteReader};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinSet;

use crate::advice::what_to_type;
use crate::context::Context;
use crate::live::Live;
use crate::printer::width;
use crate::signals::Signals;
use crate::view::report::{Log, ReportFacts, brief};
use crate::{coded, database, wiring};

/// What is run, and how.
pub(crate) struct Rolling {
    /// The journal, held by this process.
    pub(crate) journal: Arc<SqliteJournal>,
    /// Where it is, as the person wrote it.
    pub(crate) database: PathBuf,
    /// Which rollout.
    pub(crate) id: RolloutId,
    /// What to wait for.
    pub(crate) options: Options,
    /// Whether a person is told at the end what to type.
    pub(crate) advise: bool,
}

/// Runs a rollout until it ends or can only go on with a person, then reports.
pub(crate) async fn roll(rolling: Rolling, context: &Context) -> anyhow::Result<Exit> {
    let Rolling { journal, database, id, options, advise } = rolling;
    let stays = options.stay_for_person;
    let run = snapshot(journal.reader(), &id).await?;
    let ports = wiring::ports(Arc::clone(&journal), &run.plan, context)?;
    let executor = Executor::load(ports, &id, options).await?;
    let handle = executor.handle();
    let mut events = handle.subscribe();
    let socket = wiring::serve(&journal, handle.clone(), &run, context).await;
    let socket = socket.inspect_err(|error| {
        context.printer.warn(&format!("decisions cannot reach this process: {error:#}"));
    });
    let mut live = Live::new(context.printer, run);

    let mut helpers = JoinSet::new();
    helpers.spawn(stop_on_signals(Signals::take()?, handle.clone(), context.clone()));
    // The executor has its own task: a terminal that is held (Ctrl-S) must not hold the rollout.
    let mut running = JoinSet::new();
    running.spawn(executor.run());
    let mut more = true;
    let ended = loop {
        tokio::select! {
            Some(ended) = running.join_next() => break ended,
            received = events.recv(), if more => {
                more = take(received, &mut live, &journal, &id).await;
                if more && stays {
                    say_what_to_type(&mut live, &database, context);
                }
            }
        }
    };
    show_the_rest(&mut events, &mut live);
    live.end();
    helpers.shutdown().await;
    if let Ok(socket) = socket {
        socket.close().await;
    }

    let ending = ended.context("the executor broke off")?;
    let exit = ending.exit();
    // How the rollout ended is told by the exit code, whoever still listens.
    if let Err(error) =
        tell(journal.reader(), &id, &database, advise.then_some(exit), context).await
        && coded::exit_of(&error).1
    {
        context.printer.warn(&format!("there is no report: {error:#}"));
    }
    drop(handle);
    if let Some(journal) = Arc::into_inner(journal) {
        journal.close().await;
    }
    Ok(exit)
}

async fn snapshot(reader: &SqliteReader, id: &RolloutId) -> anyhow::Result<Run> {
    let run = reader.snapshot(id).await.map_err(database::explain)?;
    run.with_context(|| format!("there is no rollout {id}"))
}

/// The first signal asks for a safe stop, the second for an end at once.
async fn stop_on_signals(mut signals: Signals, handle: Handle, context: Context) {
    let mut before = 0_u32;
    loop {
        signals.next().await;
        handle.stop();
        context.printer.say(match before {
            0 => "\nstopping: nothing new is begun; once more ends at once",
            _ => "\nending at once; the next run looks at what was under way",
        });
        before += 1;
    }
}

async fn take(
    received: Result<Event, RecvError>,
    live: &mut Live,
    journal: &SqliteJournal,
    id: &RolloutId,
) -> bool {
    match received {
        Ok(event) => live.show(&event),
        // Events came faster than they could be shown. Nothing of the rollout hangs on the view.
        Err(RecvError::Lagged(missed)) => match snapshot(journal.reader(), id).await {
            Ok(run) => live.catch_up(run, missed),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the view is behind"),
        },
        Err(RecvError::Closed) => return false,
    }
    true
}

fn show_the_rest(events: &mut Receiver<Event>, live: &mut Live) {
    loop {
        match events.try_recv() {
            Ok(event) => live.show(&event),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

fn say_what_to_type(live: &mut Live, database: &Path, context: &Context) {
    if live.begins_to_wait() {
        // The other terminal may be in another folder.
        let database = std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
        let lines = what_to_type(live.run(), None, &database, context.printer.talk);
        if !lines.is_empty() {
            live.say(&format!(
                "waiting for a person; in another terminal:\n  {}",
                lines.join("\n").replace('\n', "\n  ")
            ));
        }
    }
}

/// The facts of a report, from the whole log of a rollout.
pub(crate) async fn report(
    reader: &SqliteReader,
    id: &RolloutId,
    now: Timestamp,
) -> anyhow::Result<ReportFacts> {
    const PAGE: usize = 10_000;
    let mut log = Log::default();
    let mut after = 0;
    loop {
        let events = reader.page(id, after, PAGE).await.map_err(database::explain)?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        for event in &events {
            log.add(event).context("reading the log")?;
        }
    }
    let history = database::history(reader).await?;
    let reasons = match log.run() {
        Some(run) => {
            database::reasons(reader, run, &history, now).await.map_err(database::explain)?
        }
        None => Default::default(),
    };
    ReportFacts::of(&log, &reasons, now).with_context(|| format!("there is no rollout {id}"))
}

/// Prints what a rollout came to, and, when an exit code is given to go by, what a person can type.
pub(crate) async fn tell(
    reader: &SqliteReader,
    id: &RolloutId,
    database: &Path,
    exit: Option<Exit>,
    context: &Context,
) -> anyhow::Result<()> {
    let facts = report(reader, id, context.now()).await?;
    let printer = context.printer;
    printer.say("");
    printer.print(&brief(&facts, printer.data, width()))?;
    let run = snapshot(reader, id).await?;
    if matches!(exit, Some(Exit::Held | Exit::Partial)) {
        let mut lines = what_to_type(&run, None, database, printer.talk);
        lines.push("then run the same command again".to_owned());
        printer.say(&format!("\n{}", lines.join("\n")));
    }
    Ok(())
}

/// The exit code of a rollout that has ended.
pub(crate) fn exit_of_ended(run: &Run) -> Exit {
    if run.aborted {
        Exit::Stopped
    } else if run.appliances.values().all(|member| member.phase.is_upgraded()) {
        Exit::Done
    } else {
        Exit::Partial
    }
}
