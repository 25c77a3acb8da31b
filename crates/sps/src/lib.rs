//! The REST API of a Safeguard for Privileged Sessions appliance.
