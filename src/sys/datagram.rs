//! Sending and receiving datagrams (`udp_sendmsg`, `raw_sendmsg`, `ping_v4_sendmsg`).

use super::{connect::this_host, scope::scoped};
use crate::{
    base::{DevId, Errno, SockId, proto},
    ip::RouteOut,
    kernel::{Kernel, mib::Mib},
    route::RouteType,
    socket::{Datagram, Options, PmtuDiscover, SockKind},
    trace::Origin,
    wire::{
        IpHeader, be16, checksum, icmp,
        ip::{IpFields, V4_HEADER},
        put16, udp,
    },
};
use std::net::{IpAddr, SocketAddr};

/// Largest IP packet in bytes.
const MAX_PACKET: usize = 65_535;

impl Kernel {
    /// Sends on a connected socket: a datagram, or bytes of a stream. Returns how many bytes were taken.
    ///
    /// # Errors
    /// `EDESTADDRREQ` for a datagram socket that is not connected, and those of [`Kernel::send_to`]; for TCP `EAGAIN`
    /// while connecting or when the send buffer is full, `EPIPE` on a closed connection, and the pending error first.
    pub fn send(&mut self, id: SockId, data: &[u8]) -> Result<usize, Errno> {
        let s = self.sockets_of(id)?.get(id.slot).ok_or(Errno::EBADF)?;
        if s.kind() == SockKind::Tcp {
            return self.stream_send(id, data);
        }
        let peer = s.peer().ok_or(Errno::EDESTADDRREQ)?;
        self.send_datagram(id, data, peer)
    }

    /// Sends a datagram to `dst`. `data` is the payload of a UDP datagram; the ICMP message of a ping socket, whose
    /// identifier and checksum are filled in; what follows the IP header for a raw socket, or with
    /// `HeaderIncluded` the whole packet. The port of `dst` counts for UDP only.
    ///
    /// # Errors
    /// Those of the routing tables; `EACCES` for a broadcast address without `SO_BROADCAST`; `EINVAL` for port 0 or a
    /// malformed message; `EMSGSIZE` for more than an IP packet holds or, with `IP_PMTUDISC_DO`, more than the path MTU;
    /// the pending error; `EPERM` from a filter; `ENOBUFS` from a full queue if `IP_RECVERR` is set; `EISCONN` for TCP;
    /// `EAFNOSUPPORT`, `EBADF`.
    pub fn send_to(&mut self, id: SockId, data: &[u8], dst: SocketAddr) -> Result<usize, Errno> {
        let s = self.sockets_of(id)?.get(id.slot).ok_or(Errno::EBADF)?;
        if s.kind() == SockKind::Tcp {
            return Err(Errno::EISCONN);
        }
        let dst = s.fit(dst)?;
        self.send_datagram(id, data, dst)
    }

    fn send_datagram(&mut self, id: SockId, data: &[u8], mut dst: SocketAddr) -> Result<usize, Errno> {
        let ns = id.ns;
        let s = self.sockets_of(id)?.get(id.slot).ok_or(Errno::EBADF)?;
        let (kind, opts, local) = (s.kind(), s.options().clone(), s.local());
        let protocol = s.protocol();
        if kind == SockKind::Udp && dst.port() == 0 {
            return Err(Errno::EINVAL);
        }
        if dst.ip().is_unspecified() {
            dst.set_ip(this_host(local.ip(), dst.ip()));
        }
        self.sockets_of(id)?.autobind(id.slot)?;
        let mut route = self.route_from(id, dst)?;
        if opts.pmtu == PmtuDiscover::Probe {
            // What was learned about the path is what is to be found out (ip_sk_use_pmtu).
            (route.mtu, route.mtu_locked) = (self.dev(route.dev).mtu, false);
        }
        if route.kind == RouteType::Broadcast && !opts.broadcast {
            return Err(Errno::EACCES);
        }
        if opts.header_included && matches!(kind, SockKind::Raw(_)) {
            return self.send_whole_packet(id, data, dst, &route);
        }
        let (src, l4) = (route.src, if kind == SockKind::Udp { udp::HEADER } else { 0 });
        let header = IpFields { src, dst: dst.ip(), proto: protocol, ttl: 0, tos: opts.tos, df: false, id: 0 };
        let head = header.header_len();
        let len = head + l4 + data.len();
        self.check_size(id, &opts, &route, len, dst, data)?;
        if let Some(e) = self.sockets_of(id)?.take_error(id.slot) {
            // sock_alloc_send_skb, called while the packet is made: it is discarded.
            self.ns_mut(ns).mib.count(dst.is_ipv4(), Mib::IpOutDiscards);
            return Err(e);
        }
        let fields = IpFields {
            ttl: self.datagram_ttl(id, &opts, route.dev, dst.ip()),
            df: sets_df(&opts, &route, len),
            id: self.datagram_ip_id(id)?,
            ..header
        };
        let mut message = Vec::new();
        let body = match kind {
            SockKind::Ping => {
                message.extend_from_slice(data);
                self.sockets_of(id)?.ping_prepare(id.slot, &mut message)?;
                &message[..]
            }
            _ => data,
        };
        let sport = self.sockets_of(id)?.get(id.slot).map_or(0, |s| s.local().port());
        let mut frame = self.core.new_frame(ns, len, Origin::Socket, None);
        let b = &mut frame.data_mut()[head..];
        b[l4..].copy_from_slice(body);
        match kind {
            SockKind::Udp => udp::write(b, src, dst.ip(), sport, dst.port()),
            SockKind::Ping => icmp::seal(b, src, dst.ip()),
            // RFC 3542 §3.1: the kernel computes the checksum of ICMPv6, which covers addresses the program may not know.
            SockKind::Raw(proto::ICMPV6) if b.len() >= icmp::HEADER => icmp::seal(b, src, dst.ip()),
            _ => {}
        }
        fields.write(frame.data_mut());
        frame.meta_mut().mark = opts.mark;
        match body.first() {
            Some(kind) if protocol == proto::ICMP => self.count_out(ns, *kind),
            Some(kind) if protocol == proto::ICMPV6 => self.count_out6(ns, *kind),
            _ => {}
        }
        let sent = self.ip_output(ns, frame, &route);
        self.datagram_sent(id, kind, &opts, dst.is_ipv4(), sent)?;
        Ok(data.len())
    }

    /// A raw socket's own IP header (`raw_send_hdrinc`): checksum and length are always set, an empty source address
    /// and identification are filled in.
    fn send_whole_packet(
        &mut self,
        id: SockId,
        data: &[u8],
        dst: SocketAddr,
        route: &RouteOut,
    ) -> Result<usize, Errno> {
        let opts = self.options(id)?.clone();
        if data.len() < V4_HEADER || data[0] >> 4 != 4 || ((data[0] & 15) as usize * 4) > data.len() {
            return Err(Errno::EINVAL);
        }
        if data.len() > (route.mtu as usize).min(MAX_PACKET) {
            self.sockets_of(id)?.local_error(id.slot, Errno::EMSGSIZE, dst, route.mtu, data);
            return Err(Errno::EMSGSIZE);
        }
        let ip_id = self.next_ip_id(id.ns);
        let mut frame = self.core.new_frame(id.ns, data.len(), Origin::Socket, None);
        let b = frame.data_mut();
        b.copy_from_slice(data);
        if let (IpAddr::V4(src), [0, 0, 0, 0]) = (route.src, [b[12], b[13], b[14], b[15]]) {
            b[12..16].copy_from_slice(&src.octets());
        }
        if be16(b, 4) == 0 {
            put16(b, 4, ip_id);
        }
        let (total, header) = (b.len() as u16, (b[0] & 15) as usize * 4);
        put16(b, 2, total);
        put16(b, 10, 0);
        let sum = checksum::of(&b[..header]);
        put16(b, 10, sum);
        frame.meta_mut().mark = opts.mark;
        if let Err(reason) = IpHeader::parse(frame.data()) {
            self.core.drop(id.ns, None, frame, reason);
            return Err(Errno::EINVAL);
        }
        let sent = self.ip_output(id.ns, frame, route);
        self.datagram_sent(id, SockKind::Raw(0), &opts, true, sent)?;
        Ok(data.len())
    }

    /// Limits on the size of a packet of `len` bytes (`__ip_append_data`).
    fn check_size(
        &mut self,
        id: SockId,
        opts: &Options,
        route: &RouteOut,
        len: usize,
        dst: SocketAddr,
        data: &[u8],
    ) -> Result<(), Errno> {
        let whole = if dst.is_ipv4() { MAX_PACKET } else { MAX_PACKET + crate::wire::ip::V6_HEADER };
        let (limit, mtu) = match opts.pmtu {
            PmtuDiscover::Do => (route.mtu as usize, route.mtu),
            PmtuDiscover::Probe => (self.dev(route.dev).mtu as usize, self.dev(route.dev).mtu),
            PmtuDiscover::Want | PmtuDiscover::Dont => (whole, route.mtu),
        };
        if len <= limit.min(whole) {
            return Ok(());
        }
        // A length no datagram can have is refused before (udp_sendmsg, raw_sendmsg; case ping-size-limits).
        let udp = self.sockets_of(id)?.get(id.slot).is_some_and(|s| s.kind() == SockKind::Udp);
        if data.len() <= MAX_PACKET || !(dst.is_ipv4() || udp) {
            self.sockets_of(id)?.local_error(id.slot, Errno::EMSGSIZE, dst, mtu, data);
        }
        Err(Errno::EMSGSIZE)
    }

    fn datagram_ttl(&self, id: SockId, opts: &Options, dev: DevId, dst: IpAddr) -> u8 {
        if dst.is_multicast() {
            opts.multicast_ttl
        } else {
            opts.ttl.unwrap_or(self.default_ttl(id.ns, dev, dst.is_ipv4()))
        }
    }

    /// Connected sockets count for themselves, the others share the namespace's counter (`ip_select_ident`).
    fn datagram_ip_id(&mut self, id: SockId) -> Result<u16, Errno> {
        match self.sockets_of(id)?.connected_ip_id(id.slot) {
            Some(n) => Ok(n),
            None => Ok(self.next_ip_id(id.ns)),
        }
    }

    /// Counts what was sent and decides which errors the caller sees: a full queue shows only with `IP_RECVERR`.
    fn datagram_sent(
        &mut self,
        id: SockId,
        kind: SockKind,
        opts: &Options,
        ipv4: bool,
        sent: Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mib = &mut self.nss[id.ns.index()].mib;
        let is_udp = kind == SockKind::Udp;
        match sent {
            Err(Errno::ENOBUFS) if !opts.recv_err => {
                if is_udp {
                    mib.count(ipv4, Mib::UdpSndbufErrors);
                }
                Ok(())
            }
            Err(e) => Err(e),
            Ok(()) => {
                if is_udp {
                    mib.count(ipv4, Mib::UdpOutDatagrams);
                }
                Ok(())
            }
        }
    }

    /// Takes the next datagram of a UDP, ping or raw socket.
    ///
    /// # Errors
    /// The pending error first, `EAGAIN` when nothing waits, `ENOTCONN` for TCP, `EBADF`.
    pub fn recv_from(&mut self, id: SockId) -> Result<Datagram, Errno> {
        let sockets = self.sockets_of(id)?;
        let mut datagram = sockets.recv(id.slot)?;
        if sockets.get(id.slot).is_some_and(|s| s.kind() == SockKind::Udp) {
            let ipv4 = datagram.from.ip().to_canonical().is_ipv4();
            self.nss[id.ns.index()].mib.count(ipv4, Mib::UdpInDatagrams);
        }
        datagram.from = scoped(datagram.from, datagram.iif);
        Ok(datagram)
    }
}

/// Whether a packet of `len` bytes carries DF (`ip_dont_fragment`; the condition in `__ip_make_skb`).
fn sets_df(opts: &Options, route: &RouteOut, len: usize) -> bool {
    match opts.pmtu {
        PmtuDiscover::Dont => false,
        PmtuDiscover::Want => len <= route.mtu as usize && !route.mtu_locked,
        PmtuDiscover::Do | PmtuDiscover::Probe => true,
    }
}
