//! Why appliances are where they are, in paragraphs.

use control::wire::ReasonView;

use super::table::paragraph;
use super::words;
use crate::printer::{Paint, Style};

/// Reasons of many, each said once with everybody whom it concerns.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Vec<(ReasonView, Vec<String>, Style)>);

impl Reasons {
    /// Adds one appliance's reason.
    pub(crate) fn add(&mut self, name: &str, reason: ReasonView, style: Style) {
        match self.0.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, names, _)) => names.push(name.to_owned()),
            None => self.0.push((reason, vec![name.to_owned()], style)),
        }
    }

    /// A paragraph each.
    pub(crate) fn text(&self, paint: Paint, width: usize) -> String {
        let mut text = String::new();
        for (ReasonView { code, text: why, .. }, names, style) in &self.0 {
            let head = words::names(names.iter().map(String::as_str), 5);
            let head = format!("{head} ({code})");
            text.push_str(&paragraph(&head, why, paint, *style, width));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_are_said_once() {
        let reason = ReasonView { code: "c".to_owned(), text: "because".to_owned(), until: None };
        let mut reasons = Reasons::default();
        reasons.add("a", reason.clone(), Style::Plain);
        reasons.add("b", ReasonView { text: "other".to_owned(), ..reason.clone() }, Style::Plain);
        reasons.add("d", reason, Style::Plain);
        assert_eq!(reasons.text(Paint(false), 80), "a, d (c): because\nb (c): other\n");
    }
}
