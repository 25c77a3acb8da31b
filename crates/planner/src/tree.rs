//! YAML text to a tree of nodes that know their places. Nothing is judged here but YAML itself:
//! the readers of the two files walk the tree and so find every fault at once, where a derived
//! reader would stop at the first.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::budget::BudgetBreach;
use serde_yaml::{
    DuplicateKeyPolicy, Error, Location, MessageFormatter, NonFiniteFloatPolicy, Options, Spanned,
    UserMessageFormatter,
};

use crate::fault::Faults;
use crate::source::{Role, Source, Span};

/// Larger files are refused unread.
pub const LARGEST_FILE: usize = 32 * 1024 * 1024;

/// A part of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    start: u32,
    len: u32,
}

impl Extent {
    pub(crate) fn of(self, role: Role) -> Span {
        Span { role, start: self.start, len: self.len }
    }

    pub(crate) fn slice(self, text: &str) -> &str {
        let start = self.start as usize;
        text.get(start..start + self.len as usize).unwrap_or("")
    }
}

/// One node of the tree.
#[derive(Debug)]
pub(crate) struct Node<'t> {
    extent: Extent,
    pub(crate) value: Value<'t>,
}

impl Node<'_> {
    /// Where it stands in the text that it was read from. A block map or list has no characters of
    /// its own: its first key or entry stands for it.
    pub(crate) fn extent(&self, text: &str) -> Extent {
        let first = match &self.value {
            Value::Map(entries) if self.extent.len == 0 => {
                entries.first().map(|entry| entry.extent(text))
            }
            Value::List(nodes) if self.extent.len == 0 => {
                nodes.first().map(|node| node.extent(text))
            }
            _ => None,
        };
        first.unwrap_or(self.extent)
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}

/// What a node holds.
#[derive(Debug)]
pub(crate) enum Value<'t> {
    Null,
    /// A text, with quotes and escapes undone.
    Text(Cow<'t, str>),
    /// Something that YAML would take for a number or a truth value. Which it is, the reader of
    /// the field decides from the text at its place: `7.5` may be a version.
    Plain,
    List(Vec<Node<'t>>),
    Map(Vec<Entry<'t>>),
}

/// One key of a map and its value.
#[derive(Debug)]
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, str>,
    pub(crate) node: Node<'t>,
}

impl Entry<'_> {
    /// Where its key stands in the text that it was read from. A key that is not as it stands
    /// there, with an escape in it for one, has the place of its value.
    pub(crate) fn extent(&self, text: &str) -> Extent {
        // Keys are half of all words, and asked for their places only where something is wrong.
        let start = (self.key.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        let borrowed = matches!(self.key, Cow::Borrowed(_));
        let place = start.filter(|start| {
            borrowed && text.get(*start..).is_some_and(|rest| rest.starts_with(&*self.key))
        });
        let Some(start) = place else { return self.node.extent(text) };
        let end = start + self.key.len();
        let around = |quote: &str| {
            text.get(..start).is_some_and(|before| before.ends_with(quote))
                && text.get(end..).is_some_and(|after| after.starts_with(quote))
        };
        let quoted = u32::from(around("\"") || around("'"));
        let narrow = |wide: usize| u32::try_from(wide).unwrap_or(0);
        Extent { start: narrow(start) - quoted, len: narrow(self.key.len()) + 2 * quoted }
    }
}

/// Reads a file's tree; a syntax error is a fault, and the only one of that file.
pub(crate) fn parse<'t>(role: Role, source: &'t Source, faults: &mut Faults) -> Option<Node<'t>> {
    if source.text.len() > LARGEST_FILE {
        let span = Span { role, start: 0, len: 0 };
        let size = source.text.len() / (1024 * 1024);
        faults
            .add("file-too-large", span, format!("the file has {size} MB; at most 32 MB are read"))
            .label("the file begins here");
        return None;
    }
    match serde_yaml::from_str_with_options::<Node<'t>>(&source.text, options()) {
        Ok(node) => Some(node),
        Err(error) => {
            let (code, message) = told(error.without_snippet());
            faults
                .add(code, place_of(role, &source.text, &error), message)
                .label("reading stopped here")
                .help("the rest of this file is checked once this is corrected");
            None
        }
    }
}

/// Room for 100,000 appliances with all their fields, and little for tricks.
pub(crate) fn options() -> Options {
    let budget = serde_yaml::budget! {
        max_events: 12_000_000,
        max_nodes: 6_000_000,
        max_depth: 24,
        flow_nesting_limit: 24,
        max_documents: 1,
        max_anchors: 1_000,
        max_aliases: 200_000,
        max_merge_keys: 200_000,
        max_recorded_anchor_events: 100_000,
        max_total_scalar_bytes: LARGEST_FILE,
        enforce_alias_anchor_ratio: false,
    };
    serde_yaml::options! {
        budget: budget,
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: 4_000_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

fn told(error: &Error) -> (&'static str, String) {
    if let Error::Budget { breach, .. } = error {
        let why = match breach {
            BudgetBreach::Documents { .. } => "holds more than one document (`---`)",
            BudgetBreach::Depth { .. } => "is nested too deeply",
            BudgetBreach::Nodes { .. }
            | BudgetBreach::Events { .. }
            | BudgetBreach::ScalarBytes { .. } => "is too large; 100,000 appliances are the most",
            _ => "uses anchors, aliases or merges beyond measure",
        };
        return ("file-too-complex", format!("this file {why}"));
    }
    let words = UserMessageFormatter.format_message(error);
    let words: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    ("yaml-syntax", format!("this cannot be read as YAML: {words}"))
}

/// Errors of the scanner know characters only; those are counted out in bytes.
fn place_of(role: Role, text: &str, error: &Error) -> Span {
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let known = extent(&location);
    if location.span().byte_offset().is_some() || location == Location::UNKNOWN {
        return known.of(role);
    }
    let offset = usize::try_from(location.span().offset()).unwrap_or(0);
    let start = text.char_indices().nth(offset).map_or(text.len(), |(at, _)| at);
    Span { role, start: u32::try_from(start).unwrap_or(0), len: 1 }
}

fn extent(location: &Location) -> Extent {
    let narrow = |wide: Option<u64>| wide.and_then(|wide| u32::try_from(wide).ok()).unwrap_or(0);
    let span = location.span();
    Extent { start: narrow(span.byte_offset()), len: narrow(span.byte_len()) }
}

impl<'de: 't, 't> Deserialize<'de> for Node<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, defined, .. } = Spanned::<Value<'t>>::deserialize(deserializer)?;
        Ok(Self { extent: extent(&defined), value })
    }
}

/// A key's text, borrowed from the file where it can be.
struct Text<'t>(Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Text<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key that is a plain word")
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
        }
        deserializer.deserialize_string(TextVisitor).map(Text)
    }
}

impl<'de: 't, 't> Deserialize<'de> for Value<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a list or a map")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Value::Plain)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Plain)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Plain)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Self::Value, E> {
        Ok(Value::Plain)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Self::Value, E> {
        Ok(Value::Plain)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Plain)
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text)))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Text(key)) = items.next_key()? {
            entries.push(Entry { key, node: items.next_value()? });
        }
        Ok(Value::Map(entries))
    }
}
