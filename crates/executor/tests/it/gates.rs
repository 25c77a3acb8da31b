//! The journal as a gate: what cannot be written is not done.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use executor::{Ending, Executor, Options, Ports};
use futures::future::BoxFuture;
use model::event::{Draft, Event};
use model::memory::MemoryJournal;
use model::plan::Plan;
use model::ports::{Clock, Journal, JournalError};
use model::rollout::Image;
use model::run::Phase;
use sim::{ApplianceSpec, Behaviour, FaultPlan, UpgradeMode};

use crate::journals::read_from_inner;
use crate::prefixes::tell;
use crate::world::{IMAGE, SIZE, World, reboot_by_command, spec, specs};

const DONE: Ending = Ending::Finished { upgraded_all: true };

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_stops_new_acts_and_loses_nothing() {
    let world = World::new(specs(4), FaultPlan::default(), |_| {}).await;
    let ending = world
        .run_beside(|handle| {
            let world = &world;
            async move {
                let mut events = handle.subscribe();
                loop {
                    let event = events.recv().await.expect("an event");
                    if format!("{:?}", event.change).contains("RestartSeen") {
                        break;
                    }
                }
                world.journal.break_with(Some("disk full"));
                world.ports.clock.sleep(std::time::Duration::from_hours(1)).await;
                let (run, _, halted) = handle.snapshot().await.expect("it runs");
                assert!(halted);
                assert_eq!(run.state(halted).name(), "halted");
                let back = world.fleet.appliances().filter(|a| a.version() == "7.5.1").count();
                assert_eq!(back, 1, "what was in flight came back, nobody else went down");
                world.journal.break_with(None);
            }
        })
        .await;
    assert_eq!(ending, Ending::Finished { upgraded_all: true });
    world.check_all_upgraded();
    assert!(world.folded().appliances.values().all(|run| run.phase == Phase::Succeeded));
}

/// A journal that takes so many events, then refuses all for a while, as a full disk does.
struct Refusing {
    inner: Arc<MemoryJournal>,
    clock: Arc<dyn Clock>,
    left: AtomicUsize,
    /// How long it refuses; the moment when that is over.
    lasts: Duration,
    over: Mutex<Option<Duration>>,
}

impl Refusing {
    /// Whether so many events are refused now.
    fn refuses(&self, events: usize) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        if events < left {
            self.left.store(left - events, Ordering::Relaxed);
            return false;
        }
        self.left.store(0, Ordering::Relaxed);
        let now = self.clock.monotonic();
        let mut over = self.over.lock().expect("no panic");
        now < *over.get_or_insert(now + self.lasts)
    }
}

impl Journal for Refusing {
    fn append<'a>(&'a self, batch: &'a [Draft]) -> BoxFuture<'a, Result<Vec<Event>, JournalError>> {
        if self.refuses(batch.len()) {
            let (doing, detail) = ("writing to the journal".to_owned(), "disk full".to_owned());
            return Box::pin(std::future::ready(Err(JournalError {
                illegal: false,
                doing,
                detail,
            })));
        }
        self.inner.append(batch)
    }

    read_from_inner!();
}

/// Wherever the disk fills up, and for however long: when it is freed the rollout goes on by
/// itself to the same end, and nothing is done twice or left behind.
#[tokio::test(start_paused = true)]
async fn a_journal_that_refuses_after_any_event_is_waited_for() {
    fn keep(_: &mut Plan) {}
    fn upload(plan: &mut Plan) {
        plan.firmware.upload = Some(Image { path: IMAGE.to_owned(), size: SIZE });
    }
    let arms = || {
        let mut arms = spec("a");
        arms.upgrade_call = UpgradeMode::Arms;
        vec![arms]
    };
    type Story = (&'static str, Vec<ApplianceSpec>, FaultPlan, fn(&mut Plan));
    let stories: Vec<Story> = vec![
        ("fetch", specs(2), FaultPlan::default(), keep),
        ("upload", specs(2), FaultPlan::default().where_("*", Behaviour::NoFetch {}), upload),
        ("armed", arms(), FaultPlan::default(), reboot_by_command),
        (
            "fetch fails once",
            specs(1),
            FaultPlan::default().where_("*", Behaviour::FetchFails { times: 1, error: None }),
            keep,
        ),
    ];
    let mut runs = 0;
    for (story, specs, faults, tune) in stories {
        let whole = World::new(specs.clone(), faults.clone(), tune).await;
        assert_eq!(whole.run().await, DONE, "{story}");
        for events in 1..whole.journal.all().len() {
            for lasts in
                [Duration::from_millis(700), Duration::from_secs(45), Duration::from_hours(1)]
            {
                let world = World::new(specs.clone(), faults.clone(), tune).await;
                let journal = Refusing {
                    inner: Arc::clone(&world.journal),
                    clock: Arc::clone(&world.ports.clock),
                    left: AtomicUsize::new(events),
                    lasts,
                    over: Mutex::new(None),
                };
                let ports = Ports { journal: Arc::new(journal), ..world.ports.clone() };
                let executor = Executor::load(ports, &world.id, Options::default()).await;
                let run = executor.expect("loaded").run();
                let ending = tokio::time::timeout(Duration::from_hours(48), run).await;
                let told = format!("{story}, event {events}, for {lasts:?}\n{}", world.story());
                assert_eq!(ending.expect(&told), DONE, "{told}");
                world.check_all_upgraded();
                world.check_nothing_left();
                runs += 1;
            }
        }
    }
    assert!(runs > 300, "{runs}");
    tell(&format!("{runs} runs, each with a journal that refused after another event"));
}
