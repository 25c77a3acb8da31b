//! The local socket: wire types, server, client.
