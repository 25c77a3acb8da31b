//! Ctrl-C and its kin.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whatever asks this program to end: Ctrl-C, `kill`, or a terminal that went away.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on these signals no longer end the program by themselves.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. May be dropped and called again.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
