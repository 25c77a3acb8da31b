//! The program's exit codes (contract: semantics.md, "Holds, `run`, ends, exit codes").

/// How a command ended. The number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done: every selected appliance is at the target.
    Done = 0,
    /// The program could not go on, or the rollout was aborted.
    Stopped = 1,
    /// The command line or a file is invalid.
    Usage = 2,
    /// Something waits for a person.
    Held = 3,
    /// Finished, but not every appliance was upgraded.
    Partial = 4,
    /// No daemon answers.
    NoDaemon = 5,
    /// The caller may not do this.
    NotPermitted = 6,
    /// Ended by Ctrl-C or SIGTERM, state safe.
    Interrupted = 130,
}

impl Exit {
    /// The number for the operating system.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}
