//! ICMP errors: which socket sent the quoted packet, and what that socket learns.

use super::{ErrorOrigin, PmtuDiscover, SockKind, SocketError, Sockets, demux::Arrival, shown};
use crate::{
    base::{DevId, Errno, Time, Tuple, proto},
    wire::{IpHeader, icmp, ports, tcp::Segment, udp},
};
use std::net::{IpAddr, SocketAddr};

/// An ICMP or ICMPv6 error about a packet this namespace sent.
#[derive(Clone, Copy, Debug)]
pub struct IcmpError<'a> {
    /// Header of the quoted packet.
    pub quoted: &'a IpHeader,
    /// What is quoted behind it, cut off anywhere.
    pub l4: &'a [u8],
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// Next-hop MTU of *fragmentation needed* and *packet too big*, else 0.
    pub mtu: u32,
    /// Who sent the error.
    pub offender: IpAddr,
    /// The device it came in by.
    pub iif: Option<DevId>,
    /// When it came.
    pub now: Time,
}

impl IcmpError<'_> {
    fn too_big(&self) -> bool {
        if self.quoted.is_ipv4() {
            self.kind == icmp::UNREACHABLE && self.code == icmp::unreach::FRAG_NEEDED
        } else {
            self.kind == icmp::v6::PACKET_TOO_BIG
        }
    }
}

impl Sockets {
    /// The socket that sent the quoted packet, looked up as the kernel does: as if the packet had come back. For TCP
    /// the quoted sequence number must lie in what is unacknowledged (`tcp_v4_err`), so that nobody off the path can
    /// disturb a connection.
    pub fn find_quoted(&self, quoted: &IpHeader, l4: &[u8], iif: Option<DevId>) -> Option<u32> {
        let t: Tuple = ports::tuple(quoted, l4);
        let arrival = Arrival { iif, ..Arrival::of(&t.inverse(), iif) };
        match t.proto {
            proto::TCP => {
                let slot = self.flow(arrival.local, arrival.remote)?;
                let seq = l4.get(4..8).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))?;
                self.get(slot)?.tcp.in_flight(seq).then_some(slot)
            }
            proto::UDP if l4.len() >= 4 => self.find_datagram(proto::UDP, &arrival),
            proto::ICMP | proto::ICMPV6 if l4.len() >= 6 => {
                let a = Arrival { remote: SocketAddr::new(t.dst, 0), ..arrival };
                self.find_datagram(proto::ICMP, &a)
            }
            _ => None,
        }
    }

    /// Whether a socket sends packets with this tuple.
    pub fn sends(&self, t: &Tuple) -> bool {
        let a = Arrival::of(&t.inverse(), None);
        let ports_off = Arrival { local: SocketAddr::new(t.src, 0), remote: SocketAddr::new(t.dst, 0), iif: None };
        match t.proto {
            proto::TCP if self.flow(a.local, a.remote).is_some() => true,
            proto::UDP if self.find_datagram(proto::UDP, &a).is_some() => true,
            proto::ICMP | proto::ICMPV6
                if self.find_datagram(proto::ICMP, &Arrival { remote: ports_off.remote, ..a }).is_some() =>
            {
                true
            }
            p => !self.find_raw(p, &ports_off).is_empty(),
        }
    }

    /// Reports an error to `slot`, which [`Sockets::find_quoted`] named, and to raw sockets (see [`Sockets::raw_error`]).
    ///
    /// * UDP and ping: connected sockets get hard errors as `SO_ERROR`; with `IP_RECVERR` every error is queued and
    ///   set (`udp_err`, `ping_err`; cases filter-reject-codes, udp-unconnected-no-error).
    /// * TCP: a connection attempt fails at once; later errors are remembered for the time when retransmission gives
    ///   up (RFC 1122 §4.2.3.9). After *too big* the connection is run again, by then with the new path MTU.
    pub fn icmp_error(&mut self, slot: u32, e: &IcmpError<'_>) {
        let ipv4 = e.quoted.is_ipv4();
        let Some((errno, fatal)) = Errno::from_icmp(ipv4, e.kind, e.code) else { return };
        let Some(s) = self.get_mut(slot) else { return };
        match s.kind {
            SockKind::Tcp if e.too_big() => self.mark_dirty(slot),
            SockKind::Tcp => self.tcp_icmp_error(slot, errno, e),
            SockKind::Udp | SockKind::Ping | SockKind::Raw(_) => {
                let wants_big = s.opts.pmtu != PmtuDiscover::Dont;
                if ipv4 && e.too_big() && !wants_big {
                    return; // the socket lets routers fragment (udp_err)
                }
                let hard = if e.too_big() { wants_big } else { fatal };
                if s.opts.recv_err {
                    self.queue_icmp_error(slot, errno, e);
                } else if !hard || s.peer.is_none() {
                    return;
                }
                if let Some(s) = self.get_mut(slot) {
                    s.error = Some(errno);
                }
                self.wake(slot);
            }
        }
    }

    /// Reports an error to the raw sockets that could have sent the quoted packet (`raw_icmp_error`).
    /// True if there is one.
    pub fn raw_error(&mut self, e: &IcmpError<'_>) -> bool {
        if self.raws.is_empty() {
            return false;
        }
        let (local, remote) = (SocketAddr::new(e.quoted.src, 0), SocketAddr::new(e.quoted.dst, 0));
        let raws = self.find_raw(e.quoted.proto, &Arrival { local, remote, iif: e.iif });
        for slot in &raws {
            self.icmp_error(*slot, e);
        }
        !raws.is_empty()
    }

    /// Appends an ICMP error to the error queue (`ip_icmp_error`).
    pub(super) fn queue_icmp_error(&mut self, slot: u32, errno: Errno, e: &IcmpError<'_>) {
        let t = ports::tuple(e.quoted, e.l4);
        let port = if t.proto == proto::UDP || t.proto == proto::TCP { t.dport } else { 0 };
        let Some(s) = self.get_mut(slot) else { return };
        let body = match t.proto {
            // raw_err: everything behind the IP header.
            _ if matches!(s.kind, SockKind::Raw(_)) => e.l4,
            proto::UDP => e.l4.get(udp::HEADER..).unwrap_or_default(),
            proto::TCP => Segment::parse(e.l4).map_or(&[][..], |s| &e.l4[s.header_len..]),
            _ => e.l4,
        };
        let error = SocketError {
            errno,
            origin: ErrorOrigin::Icmp { kind: e.kind, code: e.code },
            offender: Some(e.offender),
            dst: shown(s.family, SocketAddr::new(e.quoted.dst, port)),
            info: if e.too_big() { e.mtu } else { 0 },
            data: SocketError::quote(body),
        };
        s.inbox.push_error(error);
    }

    /// Reports an error of this namespace's own making, such as a datagram larger than the path MTU (`ip_local_error`):
    /// queued if `IP_RECVERR` is set, with the port of the connected peer or 0 (case emsgsize-local). The call itself
    /// returns the errno as well.
    pub(crate) fn local_error(&mut self, slot: u32, errno: Errno, dst: SocketAddr, mtu: u32, data: &[u8]) {
        let Some(s) = self.get_mut(slot).filter(|s| s.opts.recv_err) else { return };
        let error = SocketError {
            errno,
            origin: ErrorOrigin::Local,
            offender: None,
            dst: shown(s.family, SocketAddr::new(dst.ip(), s.peer.map_or(0, |p| p.port()))),
            info: mtu,
            data: SocketError::quote(data),
        };
        s.inbox.push_error(error);
    }
}
