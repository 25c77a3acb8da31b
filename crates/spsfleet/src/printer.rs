//! The door to the terminal: data goes to standard output, talk to standard error.

use std::io::{self, IsTerminal, Write};

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    Plain,
    /// Stands out.
    Bold,
    /// Stands back.
    Dim,
    /// Well.
    Good,
    /// Needs a look.
    Warn,
    /// Went wrong.
    Bad,
    /// Goes on.
    Busy,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Busy => "36",
        }
    }
}

/// Puts colour on text, or leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    /// The text in a style.
    pub(crate) fn on(self, style: Style, text: &str) -> String {
        match style.code() {
            code if self.0 && !code.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }
}

/// Where everything that a command prints goes through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    /// Colours of the data.
    pub(crate) data: Paint,
    /// Colours of the talk.
    pub(crate) talk: Paint,
    /// Whether the talk is read on a terminal.
    pub(crate) talk_is_terminal: bool,
}

impl Printer {
    /// Asks the environment once.
    pub(crate) fn new(color: ColorWhen) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let paint = |is_terminal: bool| {
            Paint(match color {
                ColorWhen::Auto => is_terminal && !no_color && !dumb,
                ColorWhen::Always => true,
                ColorWhen::Never => false,
            })
        };
        let talk_is_terminal = io::stderr().is_terminal();
        Self {
            data: paint(io::stdout().is_terminal()),
            talk: paint(talk_is_terminal),
            talk_is_terminal,
        }
    }

    /// Prints data, with a newline at its end.
    ///
    /// # Errors
    /// When standard output cannot be written; a reader that has gone is
    /// [`io::ErrorKind::BrokenPipe`], which `main` takes for success.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        write_line(&mut io::stdout().lock(), text)
    }

    /// Prints talk, with a newline at its end. Nothing depends on it, so a standard error that
    /// cannot be written is left alone.
    pub(crate) fn say(&self, text: &str) {
        drop(write_line(&mut io::stderr().lock(), text));
    }

    /// Prints talk as it is, for lines that are rewritten.
    pub(crate) fn say_raw(&self, text: &str) {
        let mut to = io::stderr().lock();
        drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
    }

    /// A warning to a person.
    pub(crate) fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.talk.on(Style::Warn, "warning:")));
    }

    /// An error to a person.
    pub(crate) fn error(&self, text: &str) {
        self.say(&format!("{} {text}", self.talk.on(Style::Bad, "error:")));
    }
}

fn write_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        to.write_all(b"\n")?;
    }
    to.flush()
}

/// The terminal's width in columns, or 80.
pub(crate) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { 80 } else { columns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paints_only_when_asked() {
        assert_eq!(Paint(false).on(Style::Bad, "no"), "no");
        assert_eq!(Paint(true).on(Style::Bad, "no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(Paint(true).on(Style::Plain, "no"), "no");
    }

    #[test]
    fn every_text_ends_its_line_once() {
        for text in ["a", "a\n"] {
            let mut written = Vec::new();
            write_line(&mut written, text).expect("memory is written");
            assert_eq!(written, b"a\n");
        }
    }
}
