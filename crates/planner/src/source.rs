//! The two files, and places in them.

use std::sync::Arc;

/// A YAML file that was read by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What the file is called in messages, such as `fleet.yaml`.
    pub name: String,
    /// The absolute path of the folder it stands in: relative paths in it start here.
    pub folder: String,
    /// What it holds.
    pub text: String,
}

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The inventory.
    Fleet,
    /// The rollout.
    Rollout,
}

/// Some text in one of the two files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which file.
    pub role: Role,
    /// Where it begins, in bytes from the start of the file.
    pub offset: usize,
    /// How long it is, in bytes; 0 for a point.
    pub len: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column, in characters from 1.
    pub column: usize,
    /// What the file is called in messages.
    pub file: Arc<str>,
}

/// A place that is not yet counted out in lines and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    pub(crate) role: Role,
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> At<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }
}

/// An optional field of a file. A faulty one has its fault already, so nothing more is said of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    Faulty,
    Given(At<T>),
}

impl<T> Field<T> {
    /// The field of a key that is there: given when it could be read.
    pub(crate) fn read(read: Option<At<T>>) -> Self {
        read.map_or(Self::Faulty, Self::Given)
    }

    pub(crate) fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Faulty => None,
        }
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.given().map(|at| &at.value)
    }

    pub(crate) fn span(&self) -> Option<Span> {
        self.given().map(|at| at.span)
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(crate) fn is_faulty(&self) -> bool {
        matches!(self, Self::Faulty)
    }

    /// This field, or the other when this one is absent.
    pub(crate) fn or<'a>(&'a self, other: &'a Self) -> &'a Self {
        if self.is_absent() { other } else { self }
    }
}

/// Counts lines and columns of one file.
pub(crate) struct Lines<'a> {
    role: Role,
    file: Arc<str>,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(role: Role, source: &'a Source) -> Self {
        let breaks = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { role, file: source.name.as_str().into(), text: &source.text, starts }
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        let mut offset = usize::try_from(span.start).unwrap_or(usize::MAX).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        let len = usize::try_from(span.len).unwrap_or(usize::MAX);
        let mut end = offset.saturating_add(len).min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Place {
            role: self.role,
            offset,
            len: end - offset,
            line: line.max(1),
            column: before.chars().count() + 1,
            file: Arc::clone(&self.file),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_in_characters() {
        let source = Source {
            name: "f".to_owned(),
            folder: String::new(),
            text: "a: ü\nbé: 1\n".to_owned(),
        };
        let lines = Lines::new(Role::Fleet, &source);
        let at = |start, len| {
            let place = lines.place(Span { role: Role::Fleet, start, len });
            (place.line, place.column, place.offset, place.len)
        };
        assert_eq!(at(0, 1), (1, 1, 0, 1));
        assert_eq!(at(6, 1), (2, 1, 6, 1));
        assert_eq!(at(11, 1), (2, 5, 11, 1), "é is one column and two bytes");
        assert_eq!(at(4, 1), (1, 4, 3, 2), "never inside a character");
        assert_eq!(at(99, 9), (3, 1, 13, 0), "never behind the end");
    }
}
