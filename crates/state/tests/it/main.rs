//! The journal on disk against the one in memory, and against what disks and people do.

mod conformance;
mod files;
mod history;
mod reads;
mod sample;
mod storage;
mod writes;
