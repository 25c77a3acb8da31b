//! The executor against simulated appliances, in virtual time.

mod faults;
mod fleets;
mod gates;
mod losses;
mod prefixes;
mod single;
mod world;
