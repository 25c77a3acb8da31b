//! What the parts of the program log, as a person reads it who did not ask for logs: a warning
//! like any other, without time, module and field names.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::printer::{Printer, Style};

/// Formats log lines as talk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsTalk(pub(crate) Printer);

/// A message, and what belongs to it.
#[derive(Debug, Default)]
struct Said {
    message: String,
    details: Vec<String>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.details.push(text) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = value.to_owned();
        if field.name() == "message" { self.message = text } else { self.details.push(text) }
    }
}

impl Said {
    fn text(&self) -> String {
        match self.details.as_slice() {
            [] => self.message.clone(),
            details => format!("{} ({})", self.message, details.join(", ")),
        }
    }
}

impl<S, N> FormatEvent<S, N> for AsTalk
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let (word, style) = match *event.metadata().level() {
            Level::ERROR => ("error:", Style::Bad),
            _ => ("warning:", Style::Warn),
        };
        // A line of counts may stand where this line begins.
        let start = if self.0.talk_is_terminal { "\r\u{1b}[K" } else { "" };
        writer.write_str(start)?;
        writeln!(writer, "{} {}", self.0.talk.on(style, word), said.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_stand_behind_the_message() {
        let mut said =
            Said { message: "the journal cannot be written".to_owned(), details: Vec::new() };
        assert_eq!(said.text(), "the journal cannot be written");
        said.details.push("no space left".to_owned());
        assert_eq!(said.text(), "the journal cannot be written (no space left)");
    }
}
