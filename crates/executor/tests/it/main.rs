//! The executor against simulated appliances, in virtual time.

mod coverage;
mod faults;
mod fleets;
mod gates;
mod journals;
mod losses;
mod prefixes;
mod random;
mod reference;
mod single;
mod world;
