//! Columns of text. The last column is wrapped to the width that is left.

use crate::printer::{Paint, Style};

/// A cell: text and how it looks.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

/// A cell in a style.
pub(crate) fn styled(style: Style, text: impl Into<String>) -> Cell {
    Cell { text: text.into(), style }
}

/// A plain cell.
pub(crate) fn cell(text: impl Into<String>) -> Cell {
    styled(Style::Plain, text)
}

/// A table with a head.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// Between two columns.
const GAP: usize = 2;
/// Wrapped text is never narrower than this, whatever the terminal is.
pub(crate) const NARROWEST: usize = 24;

impl Table {
    /// An empty table.
    pub(crate) fn new(head: impl Into<Vec<&'static str>>) -> Self {
        Self { head: head.into(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// Lays the table out for `width` columns.
    pub(crate) fn render(&self, paint: Paint, width: usize) -> String {
        let columns = self.head.len();
        let mut widths: Vec<usize> = self.head.iter().map(|title| length(title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(length(&cell.text));
            }
        }
        let before: usize = widths.iter().take(columns.saturating_sub(1)).map(|w| w + GAP).sum();
        if let Some(last) = widths.last_mut() {
            *last = (*last).min(width.saturating_sub(before).max(NARROWEST));
        }
        let head: Vec<Cell> = self.head.iter().map(|title| styled(Style::Dim, *title)).collect();
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            push_row(&mut text, row, &widths, before, paint);
        }
        text
    }
}

fn push_row(text: &mut String, row: &[Cell], widths: &[usize], before: usize, paint: Paint) {
    let mut line = String::new();
    for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
        if column + 1 < widths.len() {
            line.push_str(&paint.on(cell.style, &cell.text));
            line.push_str(&" ".repeat(width.saturating_sub(length(&cell.text)) + GAP));
            continue;
        }
        for (number, part) in wrap(&cell.text, *width).iter().enumerate() {
            if number > 0 {
                text.push_str(line.trim_end());
                text.push('\n');
                line = " ".repeat(before);
            }
            line.push_str(&paint.on(cell.style, part));
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// The number of columns a text takes. Our texts are Latin; a wide letter only unsettles a column.
fn length(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text between words, and inside a word only when it is longer than a line.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let Some(line) = lines.last_mut() else { return lines };
            let space = usize::from(!line.is_empty());
            if length(line) + space + length(word) <= width {
                if space == 1 {
                    line.push(' ');
                }
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                let cut = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
                let (part, rest) = word.split_at(cut);
                line.push_str(part);
                word = rest;
            }
            lines.push(String::new());
            if word.is_empty() {
                break;
            }
        }
    }
    lines
}

/// A paragraph that hangs behind its head: `head: text`, later lines moved in by two.
pub(crate) fn paragraph(
    head: &str,
    text: &str,
    paint: Paint,
    style: Style,
    width: usize,
) -> String {
    hanging(0, head, text, paint, style, width)
}

/// The same, moved in as a whole.
pub(crate) fn hanging(
    margin: usize,
    head: &str,
    text: &str,
    paint: Paint,
    style: Style,
    width: usize,
) -> String {
    let mut lines = Vec::new();
    for line in wrap(&format!("{head}: {text}"), width.saturating_sub(margin + 2).max(NARROWEST)) {
        let indent = " ".repeat(if lines.is_empty() { margin } else { margin + 2 });
        // The head is painted only where it stands whole on the first line.
        let line = match line.strip_prefix(head).filter(|_| lines.is_empty()) {
            Some(rest) => format!("{}{rest}", paint.on(style, head)),
            None => line,
        };
        lines.push(format!("{indent}{line}\n"));
    }
    lines.concat()
}

/// A paragraph that is moved in as a whole, later lines under its text.
pub(crate) fn indented(
    indent: usize,
    head: &str,
    text: &str,
    paint: Paint,
    style: Style,
    width: usize,
) -> String {
    let margin = indent + length(head) + 2;
    let mut start = format!("{}{}: ", " ".repeat(indent), paint.on(style, head));
    let mut lines = String::new();
    for line in wrap(text, width.saturating_sub(margin).max(NARROWEST)) {
        lines.push_str(&format!("{start}{line}\n"));
        start = " ".repeat(margin);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_is_wrapped() {
        let mut table = Table::new(["NAME", "STATE", "REASON"]);
        table.row([
            cell("ams-1"),
            cell("failed"),
            cell("the firmware test failed: not enough room"),
        ]);
        table.row([cell("a"), cell("ok"), cell("")]);
        insta::assert_snapshot!(table.render(Paint(false), 40), @r"
        NAME   STATE   REASON
        ams-1  failed  the firmware test failed:
                       not enough room
        a      ok
        ");
    }

    #[test]
    fn a_paragraph_hangs_behind_its_head() {
        let text = paragraph("ams-1", "the appliance did not do it", Paint(false), Style::Bad, 26);
        assert_eq!(text, "ams-1: the appliance did\n  not do it\n");
        let painted = paragraph("a", "b", Paint(true), Style::Bad, 26);
        assert_eq!(painted, "\u{1b}[31ma\u{1b}[0m: b\n");
    }

    #[test]
    fn an_indented_paragraph_stands_under_its_text() {
        let text = indented(2, "then", "it is watched for 30m, long", Paint(false), Style::Dim, 32);
        assert_eq!(text, "  then: it is watched for 30m,\n        long\n");
    }

    #[test]
    fn words_longer_than_a_line_are_cut() {
        assert_eq!(wrap("abcdef gh", 4), ["abcd", "ef", "gh"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
