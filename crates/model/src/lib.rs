//! The nouns of a firmware rollout, their legal transitions, and the ports to the world.
//!
//! This crate does no I/O, reads no clock and needs no async runtime. Everything else in the
//! workspace may know it; it knows nothing of them.
//!
//! - [`names`], [`version`], [`digest`]: validated words and numbers.
//! - [`calendar`], [`history`], [`expect`]: when appliances may go down, how long things took, and
//!   how long they are expected to take.
//! - [`fleet`], [`rollout`], [`plan`]: what there is, what is wanted, what will be done.
//! - [`observed`], [`failure`]: what an appliance said, and what it means when it did not.
//! - [`event`], [`run`]: the journal's facts, and the status that is folded from them.
//! - [`hold`], [`safety`]: why something waits, and whether an appliance may go down now.
//! - [`ports`]: the traits through which the executor reaches the world.

pub mod calendar;
pub mod chain;
pub mod decision;
pub mod digest;
pub mod event;
pub mod exit;
pub mod expect;
pub mod failure;
pub mod fleet;
pub mod history;
pub mod hold;
pub mod memory;
pub mod names;
pub mod observed;
pub mod plan;
pub mod ports;
pub mod random;
pub mod rollout;
pub mod run;
pub mod safety;
pub mod version;

pub use chain::Chain;
pub use digest::Sha256Hex;
pub use names::{
    ApplianceName, ClusterName, CredentialId, FetchKey, GroupName, RolloutId, RolloutName,
    SiteName, SlotKey, WaveName,
};
pub use version::FirmwareVersion;
