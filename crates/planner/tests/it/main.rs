//! The planner from the outside: files in, plans or faults out.

mod contract;
mod example_files;
mod faults;
mod files;
mod forecast;
mod lint;
mod plans;
mod properties;
mod samples;
mod size;
mod support;
mod warnings;
mod wholes;
