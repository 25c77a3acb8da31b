//! The migrations are embedded at build: a new file among them must build this crate anew.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
