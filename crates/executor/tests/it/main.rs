//! The executor against simulated appliances, in virtual time.

mod clusters;
mod coverage;
mod faults;
mod fleets;
mod gates;
mod journals;
mod losses;
mod pairs;
mod prefixes;
mod random;
mod reference;
mod single;
mod waits;
mod world;
