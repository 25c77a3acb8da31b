//! A client and a server over a real socket, and the view of a real fold.

mod calls;
mod files;
mod fleet;
mod gates;
mod view;
