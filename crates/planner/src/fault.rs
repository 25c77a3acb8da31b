//! What is wrong with the files: plain data, drawn by the program.

use std::fmt;

use crate::source::{Lines, Place, Role, Source, Span};

/// More faults than this are counted, not listed: nobody reads them.
const LISTED: usize = 1_000;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A stable name of the kind, such as `unknown-key`.
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to write under the marked text.
    pub label: String,
    /// What to do, when there is something more to say.
    pub help: Option<String>,
    /// The text that is wrong.
    pub place: Place,
    /// Other text that belongs to it, such as the first of two equal names.
    pub related: Vec<Related>,
}

/// Text that belongs to a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What to write under it.
    pub label: String,
}

impl fmt::Display for Fault {
    /// One line: `file:line:column code: message (help)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column, .. } = &self.place;
        write!(f, "{file}:{line}:{column} {}: {}", self.code, self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// A fault while it is being collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) code: &'static str,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
    pub(crate) related: Vec<(Span, String)>,
}

impl Draft {
    pub(crate) fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            span,
            message: message.into(),
            label: "here".to_owned(),
            help: None,
            related: Vec::new(),
        }
    }

    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Adds "did you mean" when there is a near word.
    pub(crate) fn did_you_mean(&mut self, near: Option<&str>) -> &mut Self {
        if let Some(near) = near {
            self.help = Some(format!("did you mean `{near}`?"));
        }
        self
    }

    pub(crate) fn related(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.related.push((span, label.into()));
        self
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Draft>);

impl Faults {
    /// Adds a fault; what is returned takes label, help and related places.
    pub(crate) fn add(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Draft {
        self.0.push(Draft::new(code, span, message));
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// The fault added last.
    pub(crate) fn last(&mut self) -> Option<&mut Draft> {
        self.0.last_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All faults with their places, by file and place.
    pub(crate) fn finish(mut self, fleet: &Source, rollout: Option<&Source>) -> Vec<Fault> {
        self.0.sort_by(|a, b| {
            (a.span.role, a.span.start, a.code, &a.message).cmp(&(
                b.span.role,
                b.span.start,
                b.code,
                &b.message,
            ))
        });
        self.0.dedup();
        let more = self.0.len().saturating_sub(LISTED);
        self.0.truncate(LISTED);
        let fleet = Lines::new(Role::Fleet, fleet);
        let rollout = rollout.map(|source| Lines::new(Role::Rollout, source));
        let place = |span: Span| match (&rollout, span.role) {
            (Some(lines), Role::Rollout) => lines.place(span),
            _ => fleet.place(span),
        };
        let mut faults: Vec<Fault> = self
            .0
            .into_iter()
            .map(|draft| Fault {
                code: draft.code,
                message: draft.message,
                label: draft.label,
                help: draft.help,
                place: place(draft.span),
                related: draft
                    .related
                    .into_iter()
                    .map(|(span, label)| Related { place: place(span), label })
                    .collect(),
            })
            .collect();
        if more > 0
            && let Some(last) = faults.last().cloned()
        {
            faults.push(Fault {
                code: "more-faults",
                message: format!("{more} more faults are not listed"),
                label: "the last listed fault".to_owned(),
                help: Some("correct the listed ones first".to_owned()),
                related: Vec::new(),
                ..last
            });
        }
        faults
    }
}
