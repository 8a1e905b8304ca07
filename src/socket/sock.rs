//! One socket: what the kernel keeps in `struct sock` and `struct inet_sock`.

use super::{Family, Options, SockKind, bind, queue::Inbox, shown, tcp};
use crate::base::{AppId, DevId, Errno, SockId, Tuple};
use std::net::{IpAddr, SocketAddr};

/// A socket of any kind.
#[derive(Debug)]
pub struct Socket {
    pub(crate) id: SockId,
    pub(crate) family: Family,
    pub(crate) kind: SockKind,
    pub(crate) owner: Option<AppId>,
    /// Bound address and port; unspecified and 0 until then. An IPv4 address on an IPv6 socket is a mapped one.
    pub(crate) local: SocketAddr,
    pub(crate) peer: Option<SocketAddr>,
    /// The address was chosen by `bind`, not by `connect`.
    pub(crate) addr_locked: bool,
    /// The port was chosen by `bind`, not by `connect` or `send`.
    pub(crate) port_locked: bool,
    pub(crate) opts: Options,
    /// `sk_err`: what the next call reports.
    pub(crate) error: Option<Errno>,
    pub(crate) inbox: Inbox,
    pub(crate) tcp: tcp::Tcp,
    pub(crate) inode: u32,
    /// Multicast groups it joined, by device.
    pub(super) groups: Vec<(IpAddr, DevId)>,
    /// IPv4 identification of the next packet of a connected socket (`inet_id`).
    pub(super) ip_id: u16,
    /// The owner has been told and has not looked yet.
    pub(super) woken: bool,
}

impl Socket {
    /// The socket's number.
    pub fn id(&self) -> SockId {
        self.id
    }

    /// Its kind.
    pub fn kind(&self) -> SockKind {
        self.kind
    }

    /// Its family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Current option values.
    pub fn options(&self) -> &Options {
        &self.opts
    }

    /// The bound address and port, or unspecified and 0.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The connected peer.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Its IP protocol; an IPv6 socket that talks to a mapped address sends IPv4.
    pub(crate) fn protocol(&self) -> u8 {
        self.kind.protocol(self.family)
    }

    /// The local end as `getsockname` shows it.
    pub(crate) fn shown_local(&self) -> SocketAddr {
        shown(self.family, self.local)
    }

    /// The remote end as `getpeername` shows it; a closed connection has none.
    pub(crate) fn shown_peer(&self) -> Option<SocketAddr> {
        let over = self.tcp.conn().is_some_and(|c| c.state == tcp::TcpState::Closed);
        self.peer.filter(|_| !over).map(|p| shown(self.family, p))
    }

    /// The tuple of what a connected TCP socket sends.
    pub(crate) fn tuple(&self) -> Option<Tuple> {
        self.peer.filter(|_| self.kind == SockKind::Tcp).map(|p| tcp::tuple(self.local, p))
    }

    /// Bytes sent but not acknowledged, if this is a connection.
    pub(crate) fn unacked(&self) -> Option<usize> {
        self.tcp.conn().map(|c| c.unacked())
    }

    /// `at` in the form the socket stores it.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` or, for IPv4 through an IPv6-only socket, `ENETUNREACH`.
    pub(crate) fn fit(&self, at: SocketAddr) -> Result<SocketAddr, Errno> {
        bind::fit(self, at)
    }

    /// Whether the socket may receive packets of the family of `addr`.
    pub(crate) fn speaks(&self, addr: IpAddr) -> bool {
        match (self.family, addr) {
            (Family::V4, a) => a.is_ipv4(),
            (Family::V6, IpAddr::V6(_)) => self.local.is_ipv6(),
            (Family::V6, IpAddr::V4(_)) => {
                !self.opts.v6_only && (self.local.is_ipv4() || self.local.ip().is_unspecified())
            }
        }
    }

    /// Takes the pending error, as any call but `poll` does first (`sock_error`).
    pub(crate) fn take_error(&mut self) -> Option<Errno> {
        self.error.take()
    }

    /// The identification of the next packet of a connected socket.
    pub(crate) fn next_ip_id(&mut self) -> u16 {
        let id = self.ip_id;
        self.ip_id = id.wrapping_add(1);
        id
    }
}
