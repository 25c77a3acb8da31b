//! Errors that carry an exit code. Every other error ends the program with 1.

use std::fmt;
use std::io;

use model::Chain;
use model::exit::Exit;

/// An error with its exit code.
#[derive(Debug)]
pub(crate) struct Coded {
    exit: Exit,
    text: String,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Coded {}

/// The command line or a file is invalid: exit code 2.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    Coded { exit: Exit::Usage, text: text.into() }.into()
}

/// An error of ours, with all its causes, under an exit code.
pub(crate) fn with(exit: Exit, error: impl std::error::Error) -> anyhow::Error {
    Coded { exit, text: Chain(&error).to_string() }.into()
}

/// The exit code of an error, and whether it is worth a word: a reader that closed the pipe
/// (`spsfleet events | head`) got what it wanted.
pub(crate) fn exit_of(error: &anyhow::Error) -> (Exit, bool) {
    for cause in error.chain() {
        if let Some(coded) = cause.downcast_ref::<Coded>() {
            return (coded.exit, true);
        }
        if let Some(io) = cause.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::BrokenPipe
        {
            return (Exit::Done, false);
        }
    }
    (Exit::Stopped, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_code_is_found_under_context() {
        let error = Err::<(), _>(usage("no such file")).context("reading").expect_err("an error");
        assert_eq!(exit_of(&error), (Exit::Usage, true));
        assert_eq!(exit_of(&anyhow::anyhow!("broken")), (Exit::Stopped, true));
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(exit_of(&gone.context("printing")), (Exit::Done, false));
    }
}
