//! Runs a plan through the ports: scheduler core, steps, limits, recovery.
