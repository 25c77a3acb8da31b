//! How things are shown: JSON documents (contract: cli.md) and text.

pub(crate) mod around;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod observed;
pub(crate) mod plan;
pub(crate) mod procedure;
pub(crate) mod reasons;
pub(crate) mod report;
pub(crate) mod simulation;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod words;
