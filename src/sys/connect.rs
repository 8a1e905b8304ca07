//! `connect`.

use crate::{
    base::{Errno, SockId},
    ip::{OutRequest, RouteOut},
    kernel::{Kernel, mib::Mib},
    route::RouteType,
    socket::{SockKind, tcp::Path},
    trace::Origin,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

impl Kernel {
    /// Connects a socket. For UDP, ping and raw sockets that is done at once and sends nothing; for TCP the SYN leaves
    /// and the call fails with `EINPROGRESS`: the app is told when the attempt has succeeded or failed.
    ///
    /// # Errors
    /// `EINPROGRESS` for TCP. `ENETUNREACH`, `EHOSTUNREACH`, `EACCES` or `EINVAL` from the routing tables; `EACCES` for
    /// a broadcast address without `SO_BROADCAST` (`ENETUNREACH` for TCP); `EISCONN`, `EALREADY`, `EADDRNOTAVAIL` when
    /// no port is left; the reason a previous attempt failed, once; `EAFNOSUPPORT`, `EBADF`.
    ///
    /// ```
    /// use netsim::{base::Errno, sim::{Limits, World}, socket::{Family, SockKind, tcp::TcpState}};
    /// let mut w = World::new(7);
    /// let a = w.add_namespace("a")?;
    /// let server = w.socket(a, Family::V4, SockKind::Tcp, None)?;
    /// w.bind(server, "127.0.0.1:80".parse()?)?;
    /// w.listen(server, 8)?;
    /// let client = w.socket(a, Family::V4, SockKind::Tcp, None)?;
    /// assert_eq!(w.connect(client, "127.0.0.1:80".parse()?), Err(Errno::EINPROGRESS));
    /// w.run(&Limits::default());
    /// assert_eq!(w.tcp_state(client), Some(TcpState::Established));
    /// let (conn, peer) = w.accept(server)?;
    /// assert_eq!(peer, w.local_addr(client)?);
    ///
    /// w.send(client, b"GET /")?;
    /// w.run(&Limits::default());
    /// let mut buf = [0; 16];
    /// assert_eq!(w.recv(conn, &mut buf)?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(&mut self, id: SockId, peer: SocketAddr) -> Result<(), Errno> {
        self.enter_scope(id, peer)?;
        let sockets = self.sockets_of(id)?;
        let s = sockets.get(id.slot).ok_or(Errno::EBADF)?;
        let (kind, mut peer) = (s.kind(), s.fit(peer)?);
        let local = s.local();
        if kind == SockKind::Tcp {
            sockets.may_connect(id.slot)?;
        }
        if peer.ip().is_unspecified() {
            peer.set_ip(this_host(local.ip(), peer.ip()));
        }
        let mut route = self.route_from(id, peer)?;
        if local.ip().is_unspecified() && peer.is_ipv4() && !route.src.is_unspecified() {
            // Once the source is known the tables are asked again, by rules about it too (ip_route_connect).
            route = self.route_with(id, peer, Some(route.src))?;
        }
        let group = matches!(route.kind, RouteType::Broadcast | RouteType::Multicast);
        if kind != SockKind::Tcp {
            if route.kind == RouteType::Broadcast && !self.options(id)?.broadcast {
                return Err(Errno::EACCES);
            }
            return self.sockets_of(id)?.connect_datagram(id.slot, peer, route.src);
        }
        if group {
            return Err(Errno::ENETUNREACH);
        }
        let config = self.tcp_config(id.ns, route.dev, peer.is_ipv4());
        let now = self.core.now;
        let Kernel { core, nss, .. } = self;
        let sockets = nss[id.ns.index()].sockets.as_deref_mut().ok_or(Errno::EBADF)?;
        sockets.tcp.config = config;
        let mut maker = |len: usize| core.new_frame(id.ns, len, Origin::Socket, None);
        let path = Path { dev: route.dev, mtu: route.mtu };
        sockets.tcp_connect(id.slot, now, route.src, peer, path, &mut maker)?;
        self.tcp_drain(id.ns, None);
        Err(Errno::EINPROGRESS)
    }

    /// Undoes `connect` on a datagram socket (`connect` to `AF_UNSPEC`).
    ///
    /// # Errors
    /// `EBADF`.
    pub fn disconnect(&mut self, id: SockId) -> Result<(), Errno> {
        self.options(id)?;
        self.sockets_of(id)?.disconnect_datagram(id.slot);
        Ok(())
    }

    /// The way from a socket to `dst`: its bound address (unless that is a broadcast or group address), its device, its
    /// mark and its TOS decide.
    pub(super) fn route_from(&mut self, id: SockId, dst: SocketAddr) -> Result<RouteOut, Errno> {
        self.route_with(id, dst, None)
    }

    /// The same for a socket that is not bound, once `src` was chosen for it.
    fn route_with(&mut self, id: SockId, dst: SocketAddr, src: Option<IpAddr>) -> Result<RouteOut, Errno> {
        let ns = id.ns;
        let s = self.ns(ns).sockets.as_deref().and_then(|s| s.get(id.slot)).ok_or(Errno::EBADF)?;
        let (local, opts) = (s.local(), s.options());
        let own = !local.ip().is_unspecified()
            && local.is_ipv4() == dst.is_ipv4()
            && !local.ip().is_multicast()
            && self.ns(ns).fib.local_kind(local.ip()) != Some(RouteType::Broadcast);
        let request = OutRequest {
            src: src.or(own.then_some(local.ip())),
            dst: dst.ip(),
            oif: opts.device.or(self.scoped_device(ns, dst)),
            mark: opts.mark,
            tos: opts.tos,
            proto: s.protocol(),
            sport: local.port(),
            dport: dst.port(),
            any_src: false,
        };
        self.route_output(ns, &request).inspect_err(|e| {
            if *e == Errno::ENETUNREACH {
                self.nss[ns.index()].mib.count(dst.is_ipv4(), Mib::IpOutNoRoutes);
            }
        })
    }
}

/// What "any" means as a destination: the address the socket is bound to, else the loopback address.
pub(super) fn this_host(local: IpAddr, dst: IpAddr) -> IpAddr {
    match dst {
        _ if !local.is_unspecified() && local.is_ipv4() == dst.is_ipv4() => local,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}
