//! The scheduler core without I/O, and what must hold of it.

mod drive;
mod plans;
mod steps;
mod stories;
mod words;
