//! The executor against simulated appliances, in virtual time.

mod anything;
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
mod rules;
mod single;
mod stories;
mod waits;
mod world;
