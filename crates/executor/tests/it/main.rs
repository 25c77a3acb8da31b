//! The executor against simulated appliances, in virtual time.

mod faults;
mod fleets;
mod gates;
mod losses;
mod prefixes;
mod random;
mod reference;
mod single;
mod world;
