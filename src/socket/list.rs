//! Sockets as `/proc/net/{tcp,udp,raw,icmp}` list them.

use super::{Family, SockKind, Socket, Sockets, shown, tcp::Tcp};
use crate::base::SockId;
use std::net::SocketAddr;

/// One line of a listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketInfo {
    /// The socket.
    pub id: SockId,
    /// Its kind.
    pub kind: SockKind,
    /// Its family: decides the file it is listed in.
    pub family: Family,
    /// Local end; IPv4 addresses are mapped on IPv6 sockets.
    pub local: SocketAddr,
    /// Remote end; unspecified and 0 if there is none.
    pub remote: SocketAddr,
    /// The state column: a TCP state, or 1 (connected) or 7 (not) for the other kinds.
    pub state: u8,
    /// Bytes not yet acknowledged; for a listener its backlog.
    pub tx_queue: u32,
    /// Bytes not yet read; for a listener the connections not yet accepted.
    pub rx_queue: u32,
    /// Owner; always 0.
    pub uid: u32,
    /// A number that is unique in the namespace; 0 for sockets without owner such as TIME-WAIT ones.
    pub inode: u32,
    /// References the kernel holds.
    pub refcount: u32,
    /// Datagrams dropped because the receive buffer was full.
    pub drops: u32,
}

impl Sockets {
    /// Every socket the kernel would list, in the order of their slots.
    pub fn list(&self) -> impl Iterator<Item = SocketInfo> + '_ {
        self.entries.iter().filter_map(|e| e.socket.as_deref()).filter(|s| listed(s)).map(info)
    }
}

/// A socket is hashed, and so listed, once it has a port or a connection; raw sockets always are.
fn listed(s: &Socket) -> bool {
    match (s.kind, &s.tcp) {
        (SockKind::Raw(_), _) => true,
        (SockKind::Tcp, Tcp::Idle) => false,
        (SockKind::Tcp, Tcp::Conn(c)) => c.state != super::tcp::TcpState::Closed,
        (SockKind::Tcp, _) => true,
        _ => s.local.port() != 0,
    }
}

fn info(s: &Socket) -> SocketInfo {
    let none = SocketAddr::new(super::any(s.family), 0);
    let (state, tx_queue, rx_queue) = match (s.kind, &s.tcp) {
        (SockKind::Tcp, Tcp::Listen(l)) => (s.tcp.state().number(), l.backlog() as u32, l.waiting() as u32),
        (SockKind::Tcp, Tcp::Conn(c)) => (s.tcp.state().number(), c.unacked() as u32, c.unread() as u32),
        (SockKind::Tcp, _) => (s.tcp.state().number(), 0, 0),
        _ => (if s.peer.is_some() { 1 } else { 7 }, 0, s.inbox.used()),
    };
    let time_wait = matches!(s.tcp, Tcp::TimeWait(_));
    let orphan = s.tcp.conn().is_some_and(|c| c.is_orphan());
    let port = match s.kind {
        SockKind::Raw(p) => p as u16, // the kernel lists the protocol in place of the port
        _ => s.local.port(),
    };
    SocketInfo {
        id: s.id,
        kind: s.kind,
        family: s.family,
        local: shown(s.family, SocketAddr::new(s.local.ip(), port)),
        remote: s.peer.map_or(none, |p| shown(s.family, p)),
        state,
        tx_queue,
        rx_queue,
        uid: 0,
        inode: if time_wait || orphan { 0 } else { s.inode },
        refcount: if time_wait {
            3
        } else if s.kind == SockKind::Tcp {
            1
        } else {
            2
        },
        drops: s.inbox.drops(),
    }
}
