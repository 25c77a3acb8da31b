//! Walks a file's tree and collects faults: unknown, missing and repeated keys, wrong shapes.

use std::collections::HashMap;
use std::fmt;

use crate::fault::{Draft, Faults};
use crate::near::nearest;
use crate::source::{At, Field, Role, Source, Span};
use crate::tree::{Entry, Node, Value};

/// Why a text is not a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Bad {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// One file that is being read.
pub(crate) struct Reader<'a> {
    pub(crate) role: Role,
    pub(crate) source: &'a Source,
    pub(crate) faults: &'a mut Faults,
}

/// A map whose keys are known and checked.
pub(crate) struct Map<'n, 't> {
    what: &'static str,
    keys: &'static [&'static str],
    entries: &'n [Entry<'t>],
    span: Span,
}

impl<'n, 't> Map<'n, 't> {
    /// Where the map begins.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// All keys that it may have.
    pub(crate) fn keys(&self) -> &'static [&'static str] {
        self.keys
    }

    /// The keys that are there and not empty, in the order in which they may be.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &'n Node<'t>)> {
        self.keys.iter().filter_map(|key| self.get(key).map(|node| (*key, node)))
    }

    /// The value of a key; nothing when it is absent or empty.
    pub(crate) fn get(&self, key: &'static str) -> Option<&'n Node<'t>> {
        debug_assert!(self.keys.contains(&key), "{key} is not a key of {}", self.what);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if matches!(entry.node.value, Value::Null) { None } else { Some(&entry.node) }
    }

    /// The value of a key that must be there.
    pub(crate) fn require(
        &self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<&'n Node<'t>> {
        let found = self.get(key);
        if found.is_none() {
            let empty = self.entries.iter().find(|entry| entry.key == key);
            let span =
                empty.map_or(self.span, |entry| entry.extent(&reader.source.text).of(reader.role));
            let message = format!("{} needs `{key}`", self.what);
            reader.fault("missing-key", span, message).label(if empty.is_some() {
                "this is empty"
            } else {
                "not given here"
            });
        }
        found
    }

    /// Reads the value of a key that may be absent.
    pub(crate) fn field<T>(
        &self,
        reader: &mut Reader<'_>,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'_>, &'n Node<'t>) -> Option<At<T>>,
    ) -> Field<T> {
        self.get(key).map_or(Field::Absent, |node| Field::read(read(reader, node)))
    }
}

impl Reader<'_> {
    pub(crate) fn fault(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
    ) -> &mut Draft {
        self.faults.add(code, span, message)
    }

    pub(crate) fn span(&self, node: &Node<'_>) -> Span {
        node.extent(&self.source.text).of(self.role)
    }

    /// A map with these keys and no others; `what` names it in messages, such as `an appliance`.
    pub(crate) fn map<'n, 't>(
        &mut self,
        node: &'n Node<'t>,
        what: &'static str,
        keys: &'static [&'static str],
    ) -> Option<Map<'n, 't>> {
        let entries = self.entries(node, what)?;
        for entry in entries.iter().filter(|entry| !keys.contains(&&*entry.key)) {
            let span = entry.extent(&self.source.text).of(self.role);
            let near = nearest(&entry.key, keys.iter().copied());
            let draft = self
                .fault("unknown-key", span, format!("{what} has no key `{}`", entry.key))
                .label("unknown key")
                .did_you_mean(near);
            if near.is_none() {
                draft.help(format!("it has: {}", keys.join(", ")));
            }
        }
        Some(Map { what, keys, entries, span: self.span(node) })
    }

    /// A map with free keys.
    pub(crate) fn entries<'n, 't>(
        &mut self,
        node: &'n Node<'t>,
        what: &str,
    ) -> Option<&'n [Entry<'t>]> {
        let Value::Map(entries) = &node.value else {
            self.wrong_shape(node, what, "a map of keys and values");
            return None;
        };
        if entries.len() <= 16 {
            for (at, entry) in entries.iter().enumerate() {
                if let Some(first) = entries.iter().take(at).find(|first| first.key == entry.key) {
                    self.repeated(first, entry);
                }
            }
        } else {
            let mut seen = HashMap::with_capacity(entries.len());
            for entry in entries {
                if let Some(first) = seen.insert(&*entry.key, entry) {
                    self.repeated(first, entry);
                }
            }
        }
        Some(entries)
    }

    fn repeated(&mut self, first: &Entry<'_>, second: &Entry<'_>) {
        let place = |entry: &Entry<'_>| entry.extent(&self.source.text).of(self.role);
        let (first, span) = (place(first), place(second));
        if first == span {
            return; // One anchor merged in twice: the same text, so nothing contradicts.
        }
        self.fault("duplicate-key", span, format!("`{}` is given twice", second.key))
            .label("given again here")
            .related(first, "first given here");
    }

    /// A list.
    pub(crate) fn list<'n, 't>(
        &mut self,
        node: &'n Node<'t>,
        what: &str,
    ) -> Option<&'n [Node<'t>]> {
        if let Value::List(nodes) = &node.value {
            return Some(nodes);
        }
        self.wrong_shape(node, what, "a list");
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Plain => node.extent(&self.source.text).slice(&self.source.text),
            Value::Null | Value::List(_) | Value::Map(_) => return None,
        };
        if let Some(last) = self.faults.last() {
            last.help(format!("write [{text}]"));
        }
        None
    }

    fn wrong_shape(&mut self, node: &Node<'_>, what: &str, wanted: &str) {
        let is = match &node.value {
            Value::Null => "empty",
            Value::Text(_) => "a text",
            Value::Plain => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        let span = self.span(node);
        self.fault("wrong-shape", span, format!("{what} must be {wanted}, but is {is}"))
            .label(format!("{wanted} belongs here"));
    }

    /// A single value, read from its text.
    pub(crate) fn parse<T>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Option<At<T>> {
        let span = self.span(node);
        let outcome = match &node.value {
            Value::Text(text) => parse(text),
            Value::Plain => parse(node.extent(&self.source.text).slice(&self.source.text)),
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.wrong_shape(node, what, "a single value");
                return None;
            }
        };
        match outcome {
            Ok(value) => Some(At { value, span }),
            Err(bad) => {
                self.bad(what, span, bad);
                None
            }
        }
    }

    fn bad(&mut self, what: &str, span: Span, bad: Bad) {
        let draft = self.fault(bad.code, span, format!("{what}: {}", bad.message));
        draft.help = bad.help;
    }

    /// A text as it stands, not empty.
    pub(crate) fn text(&mut self, node: &Node<'_>, what: &str) -> Option<At<String>> {
        self.parse(node, what, |text| {
            if text.trim().is_empty() {
                Err(Bad::new("empty-text", "this is empty"))
            } else {
                Ok(text.to_owned())
            }
        })
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, node: &Node<'_>, what: &str) -> Option<At<bool>> {
        self.choice(node, what, &[("true", true), ("false", false)])
    }

    /// One of some words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        words: &[(&'static str, T)],
    ) -> Option<At<T>> {
        self.parse(node, what, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| {
                let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let all = all.join(", ");
                let bad = Bad::new("unknown-word", format!("`{text}` is none of: {all}"));
                match nearest(text, words.iter().map(|(word, _)| *word)) {
                    Some(near) => bad.help(format!("did you mean `{near}`?")),
                    None => bad,
                }
            })
        })
    }

    /// A whole number in a range.
    pub(crate) fn number(
        &mut self,
        node: &Node<'_>,
        what: &str,
        least: u32,
        most: u32,
    ) -> Option<At<u32>> {
        self.parse(node, what, |text| match text.parse::<u32>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            Ok(0) => Err(Bad::new("zero", format!("0 is too little; the least is {least}"))),
            _ => Err(Bad::new(
                "bad-number",
                if most == u32::MAX {
                    format!("`{text}` is not a whole number of at least {least}")
                } else {
                    format!("`{text}` is not a whole number from {least} to {most}")
                },
            )),
        })
    }

    /// A name of some kind, checked by its own rule.
    pub(crate) fn name<T, E: fmt::Display>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        new: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        self.parse(node, what, |text| {
            new(text).map_err(|error| {
                let bad = Bad::new("bad-name", error.to_string());
                let lower = text.trim().to_lowercase().replace([' ', '/'], "-");
                if lower != text && !lower.is_empty() && lower.is_ascii() {
                    bad.help(format!("`{lower}` would do"))
                } else {
                    bad
                }
            })
        })
    }

    /// A list that is read entry by entry; entries with faults are left out.
    pub(crate) fn each<T>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        mut read: impl FnMut(&mut Self, &Node<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let nodes = self.list(node, what)?;
        let mut all = Vec::with_capacity(nodes.len());
        all.extend(nodes.iter().filter_map(|node| read(self, node)));
        Some(all)
    }

    /// A list of texts that is not empty.
    pub(crate) fn words(&mut self, node: &Node<'_>, what: &str) -> Option<At<Vec<String>>> {
        let span = self.span(node);
        let nodes = self.list(node, what)?;
        if nodes.is_empty() {
            self.fault("empty-list", span, format!("{what} is an empty list"));
            return None;
        }
        let words: Vec<At<String>> = nodes
            .iter()
            .enumerate()
            .filter_map(|(at, node)| {
                if at == 0 {
                    self.text(node, what)
                } else {
                    self.parse(node, what, |t| Ok(t.to_owned()))
                }
            })
            .collect();
        let whole = words.len() == nodes.len();
        whole.then(|| At { value: words.into_iter().map(|word| word.value).collect(), span })
    }
}
