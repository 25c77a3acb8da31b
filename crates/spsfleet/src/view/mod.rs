//! How things are shown: JSON documents (contract: cli.md) and text.

pub(crate) mod events;
pub(crate) mod plan;
pub(crate) mod reasons;
pub(crate) mod report;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod words;
