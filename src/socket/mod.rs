//! Sockets of one namespace: the table, demultiplexing, UDP, raw and ping sockets, and TCP behind an engine.
//!
//! [`Sockets`] is pure: packets and calls go in, queues change, and what must leave (segments, timers, wake-ups) is put
//! into lists for the caller. It knows no routes and no devices beyond their numbers; `sys` routes first and hands in
//! explicit addresses. A namespace creates its table on first use.

mod bind;
mod demux;
mod error;
mod list;
mod options;
mod ping;
mod queue;
mod raw;
mod sock;
pub mod tcp;
mod udp;

pub use error::IcmpError;
pub use list::SocketInfo;
pub use options::{Options, PmtuDiscover, RCVBUF_DEFAULT, SockOpt, effective_rcvbuf};
pub use queue::{Datagram, ErrorOrigin, SocketError, truesize};
pub use sock::Socket;
pub use udp::DatagramOutcome;

use crate::base::{AppId, DevId, Errno, Map, NsId, Rng, SockId, proto};
use queue::Inbox;
use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Bits of a slot number that are an index; the rest is a generation, so that a stale number is noticed.
const INDEX_BITS: u32 = 20;
/// At most this many sockets per namespace.
pub const MAX_SOCKETS: usize = 1 << INDEX_BITS;

/// Groups one socket may join (`net.ipv4.igmp_max_memberships`).
const MAX_MEMBERSHIPS: usize = 20;

/// Address family of a socket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`; also serves IPv4 by mapped addresses unless `IPV6_V6ONLY` is set.
    V6,
}

/// What a socket speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SockKind {
    /// `SOCK_STREAM`.
    Tcp,
    /// `SOCK_DGRAM`.
    Udp,
    /// `SOCK_DGRAM` with `IPPROTO_ICMP`: echo requests only; the kernel owns the identifier.
    Ping,
    /// `SOCK_RAW` of that IP protocol.
    Raw(u8),
}

impl SockKind {
    /// The IP protocol of what a socket of this kind sends in `family`.
    pub const fn protocol(self, family: Family) -> u8 {
        match (self, family) {
            (SockKind::Tcp, _) => proto::TCP,
            (SockKind::Udp, _) => proto::UDP,
            (SockKind::Ping, Family::V4) => proto::ICMP,
            (SockKind::Ping, Family::V6) => proto::ICMPV6,
            (SockKind::Raw(p), _) => p,
        }
    }

    /// The number space of the local port: ping sockets of both families share one.
    const fn port_space(self) -> u8 {
        match self {
            SockKind::Tcp => proto::TCP,
            SockKind::Udp => proto::UDP,
            SockKind::Ping => proto::ICMP,
            SockKind::Raw(_) => 0,
        }
    }
}

/// What a socket is ready for, as `poll(2)` tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Readiness {
    /// A read would return data, a connection, or the end of the stream.
    pub readable: bool,
    /// A write would be taken.
    pub writable: bool,
    /// An error is pending.
    pub error: bool,
    /// Both directions are closed.
    pub hangup: bool,
}

struct Entry {
    generation: u16,
    socket: Option<Box<Socket>>,
}

/// The sockets of one namespace.
///
/// ```
/// use netsim::{base::{NsId, Rng}, socket::{Family, SockKind, Sockets}};
/// let mut sockets = Sockets::new(NsId(0), Rng::keyed(7, &["host", "sockets"]));
/// let udp = sockets.create(Family::V4, SockKind::Udp, None)?;
/// sockets.bind(udp.slot, "0.0.0.0:53".parse().unwrap())?;
/// assert_eq!(sockets.get(udp.slot).unwrap().local().port(), 53);
/// # Ok::<(), netsim::base::Errno>(())
/// ```
pub struct Sockets {
    ns: NsId,
    entries: Vec<Entry>,
    free: VecDeque<u32>,
    /// Who uses a port: (space, port, slot).
    ports: BTreeSet<(u8, u16, u32)>,
    /// Who receives on a port, in the order of binding: UDP and ping sockets, TCP listeners.
    receivers: Map<u32, Vec<u32>>,
    /// TCP connections.
    flows: Map<demux::FlowKey, u32>,
    /// Memberships of all sockets; a group several sockets joined stands here as often.
    groups: Vec<(IpAddr, DevId)>,
    /// Raw sockets in the order of creation.
    raws: Vec<u32>,
    rng: Rng,
    next_inode: u32,
    next_ping_id: u16,
    port_range: (u16, u16),
    pub(crate) tcp: tcp::TcpShared,
    /// Apps to tell that one of their sockets wants attention; the caller empties the list.
    pub(crate) wakes: Vec<(AppId, SockId)>,
}

impl Sockets {
    /// An empty table. All random choices (ports, sequence numbers) come from `rng`.
    pub fn new(ns: NsId, mut rng: Rng) -> Sockets {
        let seed = rng.next_u64();
        Sockets {
            ns,
            entries: Vec::new(),
            free: VecDeque::new(),
            ports: BTreeSet::new(),
            receivers: Map::default(),
            flows: Map::default(),
            groups: Vec::new(),
            raws: Vec::new(),
            next_ping_id: rng.next_u64() as u16,
            port_range: bind::EPHEMERAL,
            rng,
            next_inode: 0,
            tcp: tcp::TcpShared::new(seed),
            wakes: Vec::new(),
        }
    }

    /// Creates a socket. Its owner is told when something it may wait for happens.
    ///
    /// # Errors
    /// `EMFILE` when [`MAX_SOCKETS`] are open; `EPROTONOSUPPORT` for a raw socket of protocol 0.
    pub fn create(&mut self, family: Family, kind: SockKind, owner: Option<AppId>) -> Result<SockId, Errno> {
        if kind == SockKind::Raw(0) {
            return Err(Errno::EPROTONOSUPPORT);
        }
        let index = match self.free.pop_front() {
            Some(i) => i,
            None if self.entries.len() < MAX_SOCKETS => {
                self.entries.push(Entry { generation: 0, socket: None });
                self.entries.len() as u32 - 1
            }
            None => return Err(Errno::EMFILE),
        };
        let entry = &mut self.entries[index as usize];
        let id = SockId { ns: self.ns, slot: (entry.generation as u32) << INDEX_BITS | index };
        self.next_inode += 1;
        entry.socket = Some(Box::new(Socket {
            id,
            family,
            kind,
            owner,
            local: SocketAddr::new(any(family), 0),
            peer: None,
            addr_locked: false,
            port_locked: false,
            opts: Options::default(),
            error: None,
            inbox: Inbox::default(),
            tcp: tcp::Tcp::Idle,
            inode: self.next_inode,
            groups: Vec::new(),
            ip_id: self.rng.next_u64() as u16,
            woken: false,
        }));
        if let SockKind::Raw(_) = kind {
            self.raws.push(id.slot);
        }
        Ok(id)
    }

    /// The socket in `slot`, if it is still open.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Socket> {
        let (generation, index) = split(slot);
        self.entries.get(index).filter(|e| e.generation == generation).and_then(|e| e.socket.as_deref())
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Socket> {
        let (generation, index) = split(slot);
        self.entries.get_mut(index).filter(|e| e.generation == generation).and_then(|e| e.socket.as_deref_mut())
    }

    /// The socket in `slot`, or `EBADF`.
    pub(crate) fn open(&mut self, slot: u32) -> Result<&mut Socket, Errno> {
        self.get_mut(slot).ok_or(Errno::EBADF)
    }

    /// Sockets currently open, the kernel's own (embryos, time-wait) included.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether no socket is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes an option.
    ///
    /// # Errors
    /// `EBADF`; `EINVAL` for a TTL of 0, for changing `IPV6_V6ONLY` after `bind`, or for joining what is no group;
    /// `EADDRINUSE` for joining a group twice, `EADDRNOTAVAIL` for leaving one it is not in, `ENOBUFS` for too many.
    pub fn set_option(&mut self, slot: u32, opt: SockOpt) -> Result<(), Errno> {
        let s = self.open(slot)?;
        match opt {
            SockOpt::Ttl(Some(0)) => return Err(Errno::EINVAL),
            SockOpt::V6Only(_) if s.local.port() != 0 => return Err(Errno::EINVAL),
            SockOpt::RcvBuf(bytes) => s.inbox.set_limit(effective_rcvbuf(bytes)),
            SockOpt::JoinGroup(group, _) if !group.is_multicast() => return Err(Errno::EINVAL),
            SockOpt::JoinGroup(group, dev) => {
                if s.groups.contains(&(group, dev)) {
                    return Err(Errno::EADDRINUSE);
                }
                if s.groups.len() == MAX_MEMBERSHIPS {
                    return Err(Errno::ENOBUFS);
                }
                s.groups.push((group, dev));
                self.groups.push((group, dev));
                return Ok(());
            }
            SockOpt::LeaveGroup(group, dev) => {
                let at = s.groups.iter().position(|g| *g == (group, dev)).ok_or(Errno::EADDRNOTAVAIL)?;
                s.groups.remove(at);
                self.leave(&[(group, dev)]);
                return Ok(());
            }
            _ => s.opts.set(opt),
        }
        if let SockOpt::NoDelay(_) | SockOpt::KeepAlive(_) = opt {
            s.tcp.apply(&s.opts);
        }
        Ok(())
    }

    /// Whether some socket joined `group` on `dev` (`ip_check_mc_rcu`).
    pub fn is_member(&self, group: IpAddr, dev: DevId) -> bool {
        self.groups.contains(&(group, dev))
    }

    fn leave(&mut self, groups: &[(IpAddr, DevId)]) {
        for g in groups {
            if let Some(at) = self.groups.iter().position(|x| x == g) {
                self.groups.remove(at);
            }
        }
    }

    /// Hands a socket to another app, or to nobody.
    pub fn set_owner(&mut self, slot: u32, owner: Option<AppId>) {
        if let Some(s) = self.get_mut(slot) {
            (s.owner, s.woken) = (owner, false);
        }
    }

    /// The owner has looked: the next event wakes it again.
    pub(crate) fn looked(&mut self, slot: u32) {
        if let Some(s) = self.get_mut(slot) {
            s.woken = false;
        }
    }

    /// Tells the owner of a socket, once until it looks.
    pub(crate) fn wake(&mut self, slot: u32) {
        let (generation, index) = split(slot);
        let Some(e) = self.entries.get_mut(index).filter(|e| e.generation == generation) else { return };
        let Some(s) = e.socket.as_deref_mut() else { return };
        if let (Some(app), false) = (s.owner, s.woken) {
            s.woken = true;
            self.wakes.push((app, s.id));
        }
    }

    /// Takes the next datagram of a UDP, raw or ping socket.
    ///
    /// # Errors
    /// The pending error first (`sock_error`), else `EAGAIN` when nothing waits; `EBADF`; `ENOTCONN` for TCP.
    pub fn recv(&mut self, slot: u32) -> Result<Datagram, Errno> {
        self.looked(slot);
        let s = self.open(slot)?;
        if s.kind == SockKind::Tcp {
            return Err(Errno::ENOTCONN);
        }
        // __skb_recv_udp: an error is reported before data, but only once.
        if let Some(e) = s.take_error() {
            return Err(e);
        }
        s.inbox.pop().ok_or(Errno::EAGAIN)
    }

    /// Takes the next entry of the error queue (`recvmsg` with `MSG_ERRQUEUE`); the pending error becomes that of the
    /// entry behind it (`sock_dequeue_err_skb`).
    pub fn recv_error(&mut self, slot: u32) -> Option<SocketError> {
        self.looked(slot);
        let s = self.get_mut(slot)?;
        let e = s.inbox.pop_error()?;
        if let Some(next) = s.inbox.next_icmp_error() {
            s.error = Some(next);
        } else if e.origin != ErrorOrigin::Local {
            s.error = None;
        }
        Some(e)
    }

    /// Takes the pending error (`SO_ERROR`).
    pub(crate) fn take_error(&mut self, slot: u32) -> Option<Errno> {
        self.looked(slot);
        self.get_mut(slot)?.take_error()
    }

    /// The identification of the next packet of a connected datagram socket; `None` if it is not connected.
    pub(crate) fn connected_ip_id(&mut self, slot: u32) -> Option<u16> {
        self.get_mut(slot).filter(|s| s.peer.is_some()).map(Socket::next_ip_id)
    }

    /// The open sockets of an app.
    pub(crate) fn owned_by(&self, app: AppId) -> Vec<u32> {
        let all = self.entries.iter().filter_map(|e| e.socket.as_deref());
        all.filter(|s| s.owner == Some(app)).map(|s| s.id.slot).collect()
    }

    /// Sets the range of ephemeral ports (`net.ipv4.ip_local_port_range`); an empty range is ignored.
    pub(crate) fn set_port_range(&mut self, (first, last): (u16, u16)) {
        if 0 < first && first <= last {
            self.port_range = (first, last);
        }
    }

    /// Takes a socket out of all tables and frees its slot; [`Sockets::close`] decides when.
    pub(crate) fn remove(&mut self, slot: u32) {
        let (generation, index) = split(slot);
        let Some(entry) = self.entries.get_mut(index).filter(|e| e.generation == generation) else { return };
        let Some(s) = entry.socket.take() else { return };
        entry.generation = entry.generation.wrapping_add(1) & ((1 << (32 - INDEX_BITS)) - 1);
        self.free.push_back(index as u32);
        self.release_port(&s);
        self.leave(&s.groups);
        if let SockKind::Raw(_) = s.kind {
            self.raws.retain(|r| *r != slot);
        }
    }
}

fn split(slot: u32) -> (u16, usize) {
    ((slot >> INDEX_BITS) as u16, (slot & (MAX_SOCKETS as u32 - 1)) as usize)
}

/// The unspecified address of a family.
pub(crate) const fn any(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// An address as a socket of `family` shows it: IPv4 appears mapped on an IPv6 socket (RFC 4291 §2.5.5.2).
pub(crate) fn shown(family: Family, a: SocketAddr) -> SocketAddr {
    match (family, a.ip()) {
        (Family::V6, IpAddr::V4(ip)) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), a.port()),
        _ => a,
    }
}

/// The inverse of [`shown`]: a mapped address becomes the IPv4 address it stands for.
pub(crate) fn canonical(a: SocketAddr) -> SocketAddr {
    match a.ip().to_canonical() {
        ip if ip == a.ip() => a, // with its scope
        ip => SocketAddr::new(ip, a.port()),
    }
}

#[cfg(test)]
mod tests;
