//! From YAML text and facts about files to a plan, or to every fault at once with its place.
//!
//! Pure: no file is read, no clock is asked, no dice are thrown. The caller reads the files, and
//! looks at what [`Inputs::files`] wants to know of the world:
//!
//! 1. [`read`] parses both files ([`Source`]), applies defaults, checks the rules of the
//!    contract, selects, and forms waves. All faults of both files come back together.
//! 2. [`Inputs::files`] lists files to look at; the caller fills in [`Facts`].
//! 3. [`plan`] makes the plan; [`check`] only says whether it could be made.
//! 4. [`forecast()`] foresees when it is carried out.
//! 5. [`lint`] checks any plan, wherever it comes from, against what must always hold.

mod access;
mod assemble;
mod calendars;
mod check;
mod clusters;
mod duration;
mod facts;
mod fault;
mod fit;
mod fleet_file;
pub mod forecast;
mod inputs;
mod lint;
mod near;
mod reader;
mod resolve;
mod rollout_file;
mod select;
mod source;
mod tree;
mod values;
mod warn;
mod waves;
mod window;
pub mod yaml;

pub use assemble::{check, plan};
pub use facts::{Facts, FileFact, FileKind, FileWanted};
pub use fault::{Fault, Related};
pub use forecast::forecast;
pub use inputs::{Inputs, read};
pub use lint::{LintFinding, lint};
pub use source::{Place, Role, Source};
pub use tree::LARGEST_FILE;
