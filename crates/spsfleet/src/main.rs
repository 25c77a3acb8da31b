//! spsfleet: rolls firmware across many SPS appliances.
mod coded;
mod printer;
mod spawn;
mod system;
mod view;

fn main() {}
