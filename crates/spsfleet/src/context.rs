//! What every command gets.

use std::sync::Arc;

use jiff::Timestamp;
use model::ports::Clock;

use crate::printer::Printer;
use crate::system::SystemClock;

/// The terminal and the time.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where output goes.
    pub(crate) printer: Printer,
    /// The system's clocks.
    pub(crate) clock: Arc<SystemClock>,
}

impl Context {
    /// The wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
