//! Checks the invariants of a rollout from what the appliances saw.
