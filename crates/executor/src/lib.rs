//! Runs a plan through the ports: scheduler core, steps, limits, recovery.
//!
//! - [`core`]: every scheduling decision, without I/O: an event and the time in, commands out.
//! - [`driver`]: the one loop. It journals what steps report, feeds the core, carries out what the
//!   core commands.
//! - [`steps`]: what is done to one appliance, as precheck, act, verify.
//! - [`limits`], [`logins`], [`pacing`]: requests per second, passwords, how often to look.
//!
//! The entry is [`Executor`].
