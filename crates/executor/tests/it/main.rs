//! The executor against simulated appliances, in virtual time.

mod faults;
mod fleets;
mod gates;
mod single;
mod world;
