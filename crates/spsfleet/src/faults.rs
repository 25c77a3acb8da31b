//! Draws what is wrong with the files: every fault with its place, the text marked.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};
use planner::{Fault, Place, Related, Role, Source};
use serde_json::{Value, json};

use crate::mask;
use crate::printer::Paint;

/// The two files, for marking text in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// The inventory.
    pub(crate) fleet: &'a Source,
    /// The rollout.
    pub(crate) rollout: Option<&'a Source>,
}

/// All faults as text.
pub(crate) fn text(faults: &[Fault], sources: Sources<'_>, paint: Paint, width: usize) -> String {
    let theme = match (paint.0, unicode()) {
        (true, true) => GraphicalTheme::unicode(),
        (true, false) => GraphicalTheme::ascii(),
        (false, true) => GraphicalTheme::unicode_nocolor(),
        (false, false) => GraphicalTheme::none(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_context_lines(1);
    let fleet = named(sources.fleet);
    let rollout = sources.rollout.map(named);
    let mut text = String::new();
    for fault in faults {
        let source = match (&rollout, fault.place.role) {
            (Some(rollout), Role::Rollout) => rollout,
            _ => &fleet,
        };
        let drawn = Drawn { fault, source };
        if handler.render_report(&mut text, &drawn).is_err() {
            text.push_str(&format!("{fault}\n"));
        }
        text.push('\n');
    }
    text
}

/// All faults for programs.
pub(crate) fn values(faults: &[Fault]) -> Vec<Value> {
    faults
        .iter()
        .map(|fault| {
            let related: Vec<Value> = fault
                .related
                .iter()
                .map(|related| with_place(&related.place, json!({ "label": related.label })))
                .collect();
            with_place(
                &fault.place,
                json!({
                    "code": fault.code,
                    "message": mask::user_information(&fault.message),
                    "label": mask::user_information(&fault.label),
                    "help": fault.help.as_ref().map(|text| mask::user_information(text)),
                    "related": related,
                }),
            )
        })
        .collect()
}

fn with_place(place: &Place, mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.insert("file".to_owned(), json!(place.file));
        fields.insert("line".to_owned(), json!(place.line));
        fields.insert("column".to_owned(), json!(place.column));
    }
    value
}

fn named(source: &Source) -> NamedSource<String> {
    NamedSource::new(&source.name, mask::file(&source.text))
}

/// Whether the locale's characters are Unicode.
fn unicode() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    set.is_none_or(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-8") || value.contains("utf8")
    })
}

struct Drawn<'a> {
    fault: &'a Fault,
    source: &'a NamedSource<String>,
}

impl Drawn<'_> {
    fn elsewhere(&self) -> impl Iterator<Item = &Related> {
        self.fault.related.iter().filter(|related| related.place.role != self.fault.place.role)
    }
}

impl fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.fault, f)
    }
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", mask::user_information(&self.fault.message), self.fault.code)
    }
}

impl std::error::Error for Drawn<'_> {}

impl Diagnostic for Drawn<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let mut lines: Vec<String> = self.fault.help.iter().cloned().collect();
        lines.extend(self.elsewhere().map(|Related { place, label }| {
            format!("{label}: {}:{}:{}", place.file, place.line, place.column)
        }));
        if lines.is_empty() { None } else { Some(Box::new(lines.join("\n"))) }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Fault { place, label, related, .. } = self.fault;
        let main =
            LabeledSpan::new_primary_with_span(Some(label.clone()), (place.offset, place.len));
        let here = related.iter().filter(|related| related.place.role == place.role);
        let others = here.map(|Related { place, label }| {
            LabeledSpan::new_with_span(Some(label.clone()), (place.offset, place.len))
        });
        Some(Box::new(std::iter::once(main).chain(others)))
    }
}
