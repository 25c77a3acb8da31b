//! The commands, one file each: what they take, and what they do with it.

pub(crate) mod abort;
pub(crate) mod approve;
pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod db;
pub(crate) mod demo;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod freeze;
pub(crate) mod pause;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod resolve;
pub(crate) mod resume;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod skip;
pub(crate) mod status;
