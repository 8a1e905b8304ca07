//! Streams: listening, accepting, sending and receiving bytes.

use super::scope::scoped;
use crate::{
    base::{Errno, SockId},
    kernel::Kernel,
    socket::tcp::TcpState,
};
use std::net::SocketAddr;

impl Kernel {
    /// Makes a TCP socket wait for connections; an unbound one gets an ephemeral port. At most `backlog` + 1
    /// connections wait to be accepted, as on Linux.
    ///
    /// # Errors
    /// `EADDRINUSE`, `EINVAL` for a connected socket, `EOPNOTSUPP` for other kinds, `EBADF`.
    pub fn listen(&mut self, id: SockId, backlog: usize) -> Result<(), Errno> {
        self.sockets_of(id)?.tcp_listen(id.slot, backlog)
    }

    /// Takes the oldest waiting connection and its peer; it belongs to the listener's owner.
    ///
    /// # Errors
    /// `EAGAIN` when none waits, `EINVAL` for a socket that does not listen, `EBADF`.
    pub fn accept(&mut self, id: SockId) -> Result<(SockId, SocketAddr), Errno> {
        let sockets = self.sockets_of(id)?;
        let child = sockets.tcp_accept(id.slot)?;
        let s = sockets.get(child.slot).expect("a connection in an accept queue is open");
        let peer = s.shown_peer().expect("an accepted connection has a peer");
        Ok((child, scoped(peer, s.options().device)))
    }

    pub(super) fn stream_send(&mut self, id: SockId, data: &[u8]) -> Result<usize, Errno> {
        let n = self.sockets_of(id)?.tcp_send(id.slot, data)?;
        self.sockets_changed(id.ns);
        Ok(n)
    }

    /// Takes bytes of a stream; 0 is its end.
    ///
    /// # Errors
    /// Data comes before errors; then the pending error, `EAGAIN` when nothing has arrived, `ENOTCONN` for a socket
    /// that is not a connection, `EBADF`.
    pub fn recv(&mut self, id: SockId, buf: &mut [u8]) -> Result<usize, Errno> {
        let n = self.sockets_of(id)?.tcp_recv(id.slot, buf)?;
        self.sockets_changed(id.ns);
        Ok(n)
    }

    /// Closes the receiving half, the sending half, or both.
    ///
    /// # Errors
    /// `ENOTCONN`, `EBADF`.
    pub fn shutdown(&mut self, id: SockId, read: bool, write: bool) -> Result<(), Errno> {
        // What was written has left, as far as the window allows, before there is an end to tell (`tcp_push`).
        self.flush_sockets();
        self.sockets_of(id)?.shutdown(id.slot, read, write)?;
        self.sockets_changed(id.ns);
        Ok(())
    }

    /// The state of a TCP socket; `None` for other kinds and ids that are not open.
    pub fn tcp_state(&self, id: SockId) -> Option<TcpState> {
        self.ns(id.ns).sockets.as_deref()?.tcp_state(id.slot)
    }

    /// Bytes of a stream sent but not yet acknowledged (`SIOCOUTQ`).
    ///
    /// # Errors
    /// `ENOTCONN`, `EBADF`.
    pub fn unacked(&self, id: SockId) -> Result<usize, Errno> {
        let s = self.ns(id.ns).sockets.as_deref().and_then(|s| s.get(id.slot)).ok_or(Errno::EBADF)?;
        s.unacked().ok_or(Errno::ENOTCONN)
    }
}
