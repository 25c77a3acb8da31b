//! Simulated Safeguard for Privileged Sessions appliances, in-process or over HTTPS.
