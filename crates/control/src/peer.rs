//! Who called, as the kernel says.

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::{UnixListener, UnixStream};

/// The caller's credentials when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) pid: u32,
}

/// The other end of a connection; `None` when the kernel did not say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) Option<Credentials>);

impl Peer {
    pub(crate) fn of(stream: &UnixStream) -> Self {
        let credentials = stream.peer_cred().ok().map(|peer| Credentials {
            uid: peer.uid(),
            pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default(),
        });
        Self(credentials)
    }

    /// The caller, when it may call: the program's own user and root, nobody else.
    pub(crate) fn permitted(self, own_uid: u32) -> Option<Credentials> {
        const ROOT: u32 = 0;
        self.0.filter(|caller| caller.uid == own_uid || caller.uid == ROOT)
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::of(stream.io())
    }
}

/// The user that this process acts as: the kernel's word about a socket of our own.
pub(crate) fn own_uid() -> std::io::Result<u32> {
    let (here, _there) = UnixStream::pair()?;
    Ok(here.peer_cred()?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_user_and_root_may_call() {
        let peer = |uid| Peer(Some(Credentials { uid, pid: 1 }));
        assert!(peer(1000).permitted(1000).is_some());
        assert!(peer(0).permitted(1000).is_some());
        assert!(peer(1001).permitted(1000).is_none());
        // What a caller from outside a user namespace looks like.
        assert!(peer(65534).permitted(1000).is_none());
        assert!(Peer(None).permitted(1000).is_none(), "unknown is refused");
        assert!(Peer(None).permitted(0).is_none(), "unknown is refused");
    }
}
