//! The door to other programs: no shell, cleared environment, own process group, time limit.

use std::process::Stdio;
use std::time::Duration;

use futures::future::BoxFuture;
use model::ports::{Command, CommandError, CommandOutput, CommandRunner, ProcessId};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;

/// Standard output kept; the rest is read and dropped, so that the program is not blocked.
const OUT_CAP: usize = 64 * 1024;
/// The end of standard error kept.
const ERR_CAP: usize = 4 * 1024;
/// Between asking a program that took too long to end, and ending it.
const GRACE: Duration = Duration::from_secs(2);
/// How long output may still come once the program has ended: a child that it left behind may
/// hold the pipe for ever.
const DRAIN: Duration = Duration::from_secs(1);
/// What a program sees as `PATH` when we have none ourselves.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs programs on this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemCommands;

impl CommandRunner for SystemCommands {
    fn run<'a>(
        &'a self,
        command: &'a Command,
        started: Box<dyn FnOnce(ProcessId) + Send + 'a>,
    ) -> BoxFuture<'a, Result<CommandOutput, CommandError>> {
        Box::pin(run(command, started))
    }

    fn await_leftover(&self, process: ProcessId, limit: Duration) -> BoxFuture<'_, bool> {
        Box::pin(await_leftover(process, limit))
    }
}

/// How often a process that is not our child is looked at: nobody tells us of its end.
const LOOK: Duration = Duration::from_millis(100);

async fn await_leftover(process: ProcessId, limit: Duration) -> bool {
    let lives = || start_time(process.pid).is_some_and(|started| started == process.started);
    if !lives() {
        return false;
    }
    let mut ticks = tokio::time::interval(LOOK);
    let gone = async {
        while lives() {
            ticks.tick().await;
        }
    };
    if tokio::time::timeout(limit, gone).await.is_err() && lives() {
        Group::led_by(process.pid).signal(Signal::KILL);
    }
    true
}

async fn run(
    command: &Command,
    started: Box<dyn FnOnce(ProcessId) + Send + '_>,
) -> Result<CommandOutput, CommandError> {
    let program = command.words.first().cloned().unwrap_or_default();
    let not_started =
        |detail: String| CommandError::NotStarted { program: program.clone(), detail };
    let mut child = spawn(command).map_err(|error| not_started(error.to_string()))?;
    let pid = child.id().ok_or_else(|| not_started("it has no process id".to_owned()))?;
    let mut group = Group::led_by(pid);
    started(ProcessId { pid, started: start_time(pid).unwrap_or_default() });

    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut reading = Box::pin(async {
        tokio::join!(
            read(out, OUT_CAP, Keep::Start, &mut stdout),
            read(err, ERR_CAP, Keep::End, &mut stderr)
        )
    });
    let mut all_read = false;
    let ended = tokio::time::timeout(command.limit, async {
        loop {
            tokio::select! {
                ended = child.wait() => break ended,
                _ = &mut reading, if !all_read => all_read = true,
            }
        }
    });
    let Ok(ended) = ended.await else {
        end(&mut child, &mut group).await;
        return Err(CommandError::TimedOut { program, limit: command.limit });
    };
    group.release();
    if !all_read && tokio::time::timeout(DRAIN, &mut reading).await.is_err() {
        tracing::debug!(program, "it has ended, but something it started holds its output");
    }
    drop(reading);
    let status = ended.map_err(|error| not_started(error.to_string()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(CommandOutput { code: status.code(), stdout: text(&stdout), stderr: text(&stderr) })
}

#[expect(clippy::disallowed_methods, reason = "the door to other programs")]
fn spawn(command: &Command) -> std::io::Result<Child> {
    let (program, arguments) = command.words.split_first().ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "no program is named")
    })?;
    let mut child = tokio::process::Command::new(program);
    child
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()))
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    child.spawn()
}

/// Asks the group to end, then ends it. The leader is not waited for before, so that its number
/// cannot have been given to another process.
async fn end(child: &mut Child, group: &mut Group) {
    group.signal(Signal::TERM);
    let in_time = tokio::time::timeout(GRACE, child.wait()).await.is_ok();
    group.signal(Signal::KILL);
    group.release();
    if !in_time && let Err(error) = child.wait().await {
        tracing::debug!(%error, "an ended program could not be waited for");
    }
}

/// A process group that is ended when this is dropped before [`Group::release`].
struct Group(Option<Pid>);

impl Group {
    fn led_by(pid: u32) -> Self {
        Self(i32::try_from(pid).ok().and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0
            && let Err(error) = kill_process_group(pid, signal)
        {
            tracing::debug!(%error, "a process group could not be signalled");
        }
    }

    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Field 22 of `/proc/PID/stat`: the start in clock ticks since boot. The second field is the
/// program's name in parentheses and may hold anything, so fields are counted from its end.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_start_time(&stat)
}

fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[derive(Clone, Copy)]
enum Keep {
    Start,
    End,
}

/// Reads a pipe to its end and keeps a part.
async fn read(pipe: Option<impl AsyncRead + Unpin>, cap: usize, keep: Keep, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..length) else { return };
        match keep {
            Keep::Start => {
                let room = cap.saturating_sub(kept.len());
                kept.extend(bytes.iter().take(room));
            }
            Keep::End => {
                kept.extend(bytes);
                let surplus = kept.len().saturating_sub(cap);
                kept.drain(..surplus);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;
    use model::ports::Clock;

    fn sh(script: &str, limit: Duration) -> Command {
        Command {
            words: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec![("SPSFLEET_STEP".to_owned(), "reboot".to_owned())],
            limit,
        }
    }

    async fn output(script: &str) -> CommandOutput {
        SystemCommands
            .run(&sh(script, Duration::from_secs(20)), Box::new(|_| ()))
            .await
            .expect("it runs")
    }

    #[tokio::test]
    async fn gives_code_and_output() {
        let output = output("echo out; echo err >&2; exit 3").await;
        assert_eq!(output.code, Some(3));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    }

    #[tokio::test]
    async fn the_environment_is_cleared_and_standard_input_is_empty() {
        let output = output("cat; env | cut -d= -f1 | sort").await;
        let seen: Vec<&str> = output.stdout.lines().filter(|name| !name.starts_with('_')).collect();
        assert_eq!(seen, ["PATH", "PWD", "SPSFLEET_STEP"], "PWD is made by the shell");
    }

    #[tokio::test]
    async fn output_is_capped_and_the_program_is_not_blocked() {
        let output = output(
            "head -c 300000 /dev/zero | tr '\\0' a; head -c 300000 /dev/zero | tr '\\0' b >&2; echo >&2; echo end >&2",
        )
        .await;
        assert_eq!(output.code, Some(0));
        assert_eq!(output.stdout.len(), OUT_CAP);
        assert_eq!(output.stderr.len(), ERR_CAP);
        assert!(output.stderr.ends_with("bbb\nend\n"), "its end is kept");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_all_it_started() {
        let seen = std::sync::Mutex::new(None);
        let command = sh("sleep 600 & sleep 600", Duration::from_millis(300));
        let error = SystemCommands
            .run(&command, Box::new(|process| *seen.lock().expect("a lock") = Some(process)))
            .await
            .expect_err("it takes too long");
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        let process = seen.into_inner().expect("a lock").expect("it was told");
        assert!(process.started > 0);
        assert!(group_is_gone(process.pid).await);
    }

    #[tokio::test]
    async fn dropping_the_run_ends_the_group() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let command = sh("sleep 600 & sleep 600", Duration::from_secs(600));
        let run = SystemCommands.run(
            &command,
            Box::new(move |process| tell.send(process.pid).expect("somebody listens")),
        );
        let pid = tokio::select! {
            _ = run => panic!("it cannot have ended"),
            pid = told => pid.expect("it was told"),
        };
        assert!(group_is_gone(pid).await);
    }

    #[tokio::test]
    async fn a_child_that_holds_the_output_does_not_hold_us() {
        let clock = SystemClock::new();
        let output = output("sleep 30 & echo done").await;
        assert_eq!(output.stdout, "done\n");
        assert!(clock.monotonic() < Duration::from_secs(15));
    }

    #[tokio::test]
    async fn a_program_of_a_dead_process_is_waited_for_and_then_ended() {
        let (tell, told) = tokio::sync::oneshot::channel();
        let command = sh("sleep 600 & sleep 600", Duration::from_secs(600));
        let started = Box::new(move |process| tell.send(process).expect("somebody listens"));
        let run = SystemCommands.run(&command, started);
        tokio::pin!(run);
        let process = tokio::select! {
            _ = &mut run => panic!("it cannot have ended"),
            process = told => process.expect("it was told"),
        };
        let other = ProcessId { started: process.started + 1, ..process };
        assert!(
            !SystemCommands.await_leftover(other, Duration::ZERO).await,
            "not the same process"
        );
        let limit = Duration::from_millis(300);
        let (lived, ended) = tokio::join!(SystemCommands.await_leftover(process, limit), run);
        assert!(lived);
        assert_eq!(ended.expect("it ran").code, None, "a signal ended it");
        assert!(!SystemCommands.await_leftover(process, limit).await, "it is gone");
    }

    #[tokio::test]
    async fn what_does_not_exist_is_named() {
        let command = Command {
            words: vec!["/nonexistent/program".to_owned()],
            env: Vec::new(),
            limit: Duration::from_secs(1),
        };
        let error = SystemCommands
            .run(&command, Box::new(|_| panic!("nothing was started")))
            .await
            .expect_err("it does not exist");
        assert!(error.to_string().contains("/nonexistent/program"), "{error}");
    }

    #[test]
    fn the_start_time_is_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("42 (a (b) c) {}", fields.join(" "));
        assert_eq!(parse_start_time(&stat), Some(22));
        assert_eq!(parse_start_time("42"), None);
    }

    /// Waits until nobody is left in the group but, at most, unreaped remains.
    async fn group_is_gone(pid: u32) -> bool {
        for _ in 0..500 {
            if !alive_in_group(pid) {
                return true;
            }
            SystemClock::new().sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn alive_in_group(group: u32) -> bool {
        let processes = std::fs::read_dir("/proc").expect("/proc");
        processes.filter_map(Result::ok).any(|process| {
            let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            let Some((_, fields)) = stat.rsplit_once(')') else { return false };
            let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
            fields.first() != Some(&"Z") && fields.get(2) == Some(&group.to_string().as_str())
        })
    }
}
