//! Local ports: who may bind what beside whom, and which port is picked for those who do not care.

use super::{Family, SockKind, Socket, Sockets, any, canonical, tcp::Tcp};
use crate::base::Errno;
use std::net::{IpAddr, SocketAddr};

/// First and last ephemeral port (`net.ipv4.ip_local_port_range`).
pub(super) const EPHEMERAL: (u16, u16) = (32_768, 60_999);

/// Which addresses of one family a socket receives on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Span {
    Nothing,
    One(IpAddr),
    All,
}

impl Span {
    fn meets(self, other: Span) -> bool {
        match (self, other) {
            (Span::Nothing, _) | (_, Span::Nothing) => false,
            (Span::One(a), Span::One(b)) => a == b,
            _ => true,
        }
    }
}

/// The IPv4 and IPv6 addresses a socket bound to `local` receives on: the set behind `inet_rcv_saddr_equal`.
fn spans(family: Family, v6_only: bool, local: IpAddr) -> (Span, Span) {
    match (family, local) {
        (Family::V4, ip) if ip.is_unspecified() => (Span::All, Span::Nothing),
        (_, IpAddr::V4(_)) => (Span::One(local), Span::Nothing),
        (_, ip) if ip.is_unspecified() => (if v6_only { Span::Nothing } else { Span::All }, Span::All),
        _ => (Span::Nothing, Span::One(local)),
    }
}

fn overlap(a: &Socket, a_addr: IpAddr, b: &Socket) -> bool {
    let (a4, a6) = spans(a.family, a.opts.v6_only, a_addr);
    let (b4, b6) = spans(b.family, b.opts.v6_only, b.local.ip());
    a4.meets(b4) || a6.meets(b6)
}

/// Whether two sockets of one port space may not share a port (`inet_csk_bind_conflict`, `udp_lib_lport_inuse`).
fn conflict(new: &Socket, addr: IpAddr, old: &Socket) -> bool {
    if let (Some(a), Some(b)) = (new.opts.device, old.opts.device)
        && a != b
    {
        return false;
    }
    let both_reuse = new.opts.reuse_addr && old.opts.reuse_addr && !matches!(old.tcp, Tcp::Listen(_));
    let both_reuseport = new.opts.reuse_port && old.opts.reuse_port;
    !both_reuse && !both_reuseport && overlap(new, addr, old)
}

pub(super) fn port_key(space: u8, port: u16) -> u32 {
    (space as u32) << 16 | port as u32
}

impl Sockets {
    /// Binds a socket to an address and port; port 0 picks an ephemeral one. The caller has checked that the address
    /// is the namespace's own.
    ///
    /// For a ping socket the port is the ICMP identifier; a raw socket has no port.
    ///
    /// # Errors
    /// `EINVAL` when already bound, `EADDRINUSE` on a conflict or when no port is left, `EAFNOSUPPORT` for an address
    /// of the wrong family, `EBADF`.
    pub fn bind(&mut self, slot: u32, at: SocketAddr) -> Result<(), Errno> {
        let s = self.get(slot).ok_or(Errno::EBADF)?;
        if s.local.port() != 0 || s.peer.is_some() {
            return Err(Errno::EINVAL);
        }
        let at = fit(s, at)?;
        let kind = s.kind;
        if let SockKind::Raw(_) = kind {
            let s = self.open(slot)?;
            s.local = SocketAddr::new(at.ip(), 0);
            s.addr_locked = !at.ip().is_unspecified();
            return Ok(());
        }
        let port = match at.port() {
            0 => self.pick_port(slot, at.ip())?,
            p if self.port_free(slot, at.ip(), p) => p,
            _ => return Err(Errno::EADDRINUSE),
        };
        self.take_port(slot, SocketAddr::new(at.ip(), port));
        let s = self.open(slot)?;
        s.addr_locked = !at.ip().is_unspecified();
        s.port_locked = at.port() != 0;
        Ok(())
    }

    /// Gives a UDP or ping socket a port before its first packet, if it has none (`inet_autobind`).
    ///
    /// # Errors
    /// `EAGAIN` when no port is left, `EBADF`.
    pub(crate) fn autobind(&mut self, slot: u32) -> Result<(), Errno> {
        let s = self.get(slot).ok_or(Errno::EBADF)?;
        if s.local.port() != 0 || matches!(s.kind, SockKind::Raw(_)) {
            return Ok(());
        }
        let ip = s.local.ip();
        let port = self.pick_port(slot, ip).map_err(|_| Errno::EAGAIN)?;
        self.take_port(slot, SocketAddr::new(ip, port));
        Ok(())
    }

    /// Connects a UDP, raw or ping socket: only `peer` is heard from now on, and ICMP errors about it are reported.
    /// `src` is the source address the route chose. TCP sockets connect through [`Sockets::tcp_connect`].
    ///
    /// # Errors
    /// `EAGAIN` when no port is left, `EAFNOSUPPORT`, `EBADF`.
    pub fn connect_datagram(&mut self, slot: u32, peer: SocketAddr, src: IpAddr) -> Result<(), Errno> {
        let s = self.get(slot).ok_or(Errno::EBADF)?;
        let peer = fit(s, peer)?;
        self.autobind(slot)?;
        let s = self.open(slot)?;
        if !s.addr_locked {
            s.local.set_ip(src);
        }
        s.peer = Some(peer);
        Ok(())
    }

    /// Undoes [`Sockets::connect_datagram`] (`connect` to `AF_UNSPEC`): a port or address nobody asked for is given up.
    pub fn disconnect_datagram(&mut self, slot: u32) {
        let Some(s) = self.get_mut(slot) else { return };
        if s.kind == SockKind::Tcp || s.peer.take().is_none() {
            return;
        }
        s.error = None;
        if !s.addr_locked {
            s.local.set_ip(any(s.family));
        }
        if !s.port_locked {
            let (id, at) = ((s.kind.port_space(), s.local.port()), s.local);
            s.local = SocketAddr::new(at.ip(), 0);
            self.forget(id.0, id.1, slot);
        }
    }

    /// Whether `slot` could bind `port` of `addr`.
    pub(super) fn port_free(&self, slot: u32, addr: IpAddr, port: u16) -> bool {
        let Some(new) = self.get(slot) else { return false };
        self.users(new.kind.port_space(), port)
            .filter(|u| *u != slot)
            .filter_map(|u| self.get(u))
            .all(|old| !conflict(new, addr, old))
    }

    /// The sockets that use a port, in the order of their slots.
    pub(super) fn users(&self, space: u8, port: u16) -> impl Iterator<Item = u32> + '_ {
        self.ports.range((space, port, 0)..=(space, port, u32::MAX)).map(|(_, _, slot)| *slot)
    }

    /// Whether two sockets would receive on one address.
    pub(super) fn same_receiver(&self, new: &Socket, addr: IpAddr, old: &Socket) -> bool {
        overlap(new, addr, old)
    }

    fn pick_port(&mut self, slot: u32, addr: IpAddr) -> Result<u16, Errno> {
        match self.get(slot).map(|s| s.kind) {
            Some(SockKind::Ping) => {
                // ping_get_port: a rover over all identifiers but 0.
                for _ in 0..=u16::MAX {
                    self.next_ping_id = self.next_ping_id.wrapping_add(1);
                    if self.next_ping_id != 0 && self.port_free(slot, addr, self.next_ping_id) {
                        return Ok(self.next_ping_id);
                    }
                }
                Err(Errno::EADDRINUSE)
            }
            // inet_csk_find_open_port: odd ports first; even ones are left to connect().
            Some(SockKind::Tcp) => self.scan(1, |t, p| t.port_free(slot, addr, p)),
            _ => {
                let (first, count) = self.port_span();
                let start = self.rng.below(count);
                (0..count)
                    .map(|i| first + ((start + i) % count) as u16)
                    .find(|p| self.port_free(slot, addr, *p))
                    .ok_or(Errno::EADDRINUSE)
            }
        }
    }

    /// A port for a connection from `src` to `peer`: even ones first (`__inet_hash_connect`). Connections to different
    /// peers share ports, but not with a socket that bound one.
    pub(super) fn pick_connect_port(&mut self, src: IpAddr, peer: SocketAddr) -> Result<u16, Errno> {
        self.scan(0, |t, p| {
            let local = SocketAddr::new(src, p);
            let bound = t.users(crate::base::proto::TCP, p).any(|u| t.get(u).is_some_and(|s| s.port_locked));
            !bound && t.flow(local, peer).is_none()
        })
        .map_err(|_| Errno::EADDRNOTAVAIL)
    }

    /// The first ephemeral port and how many there are.
    fn port_span(&self) -> (u16, u64) {
        let (first, last) = self.port_range;
        (first, (last - first) as u64 + 1)
    }

    /// The first port `ok` accepts: of the given parity from a random start on, then of the other parity.
    fn scan(&mut self, parity: u64, ok: impl Fn(&Sockets, u16) -> bool) -> Result<u16, Errno> {
        let (first, count) = self.port_span();
        let start = self.rng.below(count);
        for p in [parity, 1 - parity] {
            let fits = |i: &u64| (first as u64 + (start + i) % count) % 2 == p;
            for i in (0..count).filter(fits) {
                let port = first + ((start + i) % count) as u16;
                if ok(self, port) {
                    return Ok(port);
                }
            }
        }
        Err(Errno::EADDRINUSE)
    }

    /// Enters a bound socket in the tables.
    pub(super) fn take_port(&mut self, slot: u32, at: SocketAddr) {
        let Some(s) = self.get_mut(slot) else { return };
        s.local = at;
        let (kind, space) = (s.kind, s.kind.port_space());
        self.ports.insert((space, at.port(), slot));
        if kind != SockKind::Tcp {
            self.receivers.entry(port_key(space, at.port())).or_default().push(slot);
        }
    }

    /// Makes a TCP socket the receiver of new connections on its port.
    pub(super) fn start_receiving(&mut self, slot: u32, port: u16) {
        self.receivers.entry(port_key(crate::base::proto::TCP, port)).or_default().push(slot);
    }

    /// Takes a closed socket out of the tables.
    pub(super) fn release_port(&mut self, s: &Socket) {
        if s.local.port() != 0 {
            self.forget(s.kind.port_space(), s.local.port(), s.id.slot);
        }
    }

    fn forget(&mut self, space: u8, port: u16, slot: u32) {
        self.ports.remove(&(space, port, slot));
        let key = port_key(space, port);
        if let Some(list) = self.receivers.get_mut(&key) {
            list.retain(|r| *r != slot);
            if list.is_empty() {
                self.receivers.remove(&key);
            }
        }
    }
}

/// `at` in the form a socket stores it, if its family fits. On an IPv6 socket an IPv4 address and its mapped form are the
/// same.
pub(super) fn fit(s: &Socket, at: SocketAddr) -> Result<SocketAddr, Errno> {
    let plain = canonical(at);
    match (s.family, plain.is_ipv4()) {
        (Family::V4, _) if at.is_ipv4() => Ok(at),
        (Family::V4, _) => Err(Errno::EAFNOSUPPORT),
        (Family::V6, true) if s.opts.v6_only => Err(Errno::ENETUNREACH),
        (Family::V6, _) => Ok(plain),
    }
}
