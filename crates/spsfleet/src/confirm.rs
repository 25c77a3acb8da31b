//! Asks a person.

use std::io::{self, IsTerminal};

use anyhow::Context as _;

use crate::printer::Printer;

/// Whether somebody sits there who can be asked.
pub(crate) fn somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question; only `y` and `yes` are a yes.
pub(crate) async fn ask(printer: Printer, question: &str) -> anyhow::Result<bool> {
    printer.say_raw(&format!("{question} [y/N] "));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await.context("asking")?.context("reading the answer")?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", "Yes\n", " YES "] {
            assert!(is_yes(yes));
        }
        for no in ["", "\n", "n\n", "yep\n", "да\n"] {
            assert!(!is_yes(no));
        }
    }
}
