//! Making, naming and closing sockets.

use crate::{
    base::{AppId, Errno, NsId, Rng, SockId},
    kernel::{Kernel, sysctl::Knob},
    route::RouteType,
    socket::{Family, Options, PmtuDiscover, Readiness, SockKind, SockOpt, SocketError, SocketInfo, Sockets},
};
use std::net::{IpAddr, SocketAddr};

impl Kernel {
    /// Opens a socket in `ns`. `owner` is told when it becomes ready for something.
    ///
    /// # Errors
    /// `EMFILE` when too many are open, `EPROTONOSUPPORT` for a raw socket of protocol 0.
    pub fn socket(&mut self, ns: NsId, family: Family, kind: SockKind, owner: Option<AppId>) -> Result<SockId, Errno> {
        let rng = Rng::keyed(self.core.seed, &[self.ns_name(ns), "sockets"]);
        let n = self.ns_mut(ns);
        let ports = (n.knobs.get(Knob::LocalPortMin) as u16, n.knobs.get(Knob::LocalPortMax) as u16);
        let sockets = n.sockets.get_or_insert_with(|| Box::new(Sockets::new(ns, rng)));
        sockets.set_port_range(ports);
        let no_pmtu = family == Family::V4 && n.knobs.on(Knob::NoPmtuDisc);
        let v6_only = family == Family::V6 && n.knobs.on(Knob::Bindv6only);
        let id = sockets.create(family, kind, owner)?;
        if v6_only {
            sockets.set_option(id.slot, SockOpt::V6Only(true))?;
        }
        if no_pmtu {
            sockets.set_option(id.slot, SockOpt::MtuDiscover(PmtuDiscover::Dont))?;
        }
        Ok(id)
    }

    /// The sockets of the namespace `id` belongs to, which exist as long as anybody can hold an id.
    pub(super) fn sockets_of(&mut self, id: SockId) -> Result<&mut Sockets, Errno> {
        self.nss[id.ns.index()].sockets.as_deref_mut().ok_or(Errno::EBADF)
    }

    /// Changes an option.
    ///
    /// # Errors
    /// Those of [`Sockets::set_option`]; `ENODEV` for a device of another namespace.
    pub fn set_option(&mut self, id: SockId, opt: SockOpt) -> Result<(), Errno> {
        if let SockOpt::BindToDevice(Some(dev)) | SockOpt::JoinGroup(_, dev) = opt
            && self.devs.get(dev.index()).is_none_or(|d| d.ns != id.ns)
        {
            return Err(Errno::ENODEV);
        }
        self.sockets_of(id)?.set_option(id.slot, opt)
    }

    /// Current option values.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn options(&self, id: SockId) -> Result<&Options, Errno> {
        let sockets = self.ns(id.ns).sockets.as_deref();
        sockets.and_then(|s| s.get(id.slot)).map(|s| s.options()).ok_or(Errno::EBADF)
    }

    /// Binds a socket to an address of the namespace and a port; port 0 picks an ephemeral one (`inet_bind`).
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` for an address that is neither local, broadcast nor multicast (unless `ip_nonlocal_bind` or
    /// `IP_FREEBIND` says so), `EADDRINUSE`, `EINVAL` when bound already, `EAFNOSUPPORT`, `EBADF`.
    pub fn bind(&mut self, id: SockId, at: SocketAddr) -> Result<(), Errno> {
        self.enter_scope(id, at)?;
        let opts = self.options(id)?;
        let anywhere = opts.free_bind || self.ns(id.ns).knobs.on(Knob::IpNonlocalBind);
        if !anywhere && !self.bindable(id.ns, at.ip().to_canonical()) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        self.sockets_of(id)?.bind(id.slot, at)
    }

    fn bindable(&self, ns: NsId, ip: IpAddr) -> bool {
        let limited = matches!(ip, IpAddr::V4(a) if a.is_broadcast());
        ip.is_unspecified()
            || ip.is_multicast()
            || limited
            || matches!(self.ns(ns).fib.local_kind(ip), Some(RouteType::Local | RouteType::Broadcast))
    }

    /// The bound address and port, as `getsockname` gives them.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn local_addr(&self, id: SockId) -> Result<SocketAddr, Errno> {
        let s = self.ns(id.ns).sockets.as_deref().and_then(|s| s.get(id.slot)).ok_or(Errno::EBADF)?;
        Ok(s.shown_local())
    }

    /// The connected peer, as `getpeername` gives it.
    ///
    /// # Errors
    /// `ENOTCONN`, `EBADF`.
    pub fn peer_addr(&self, id: SockId) -> Result<SocketAddr, Errno> {
        let s = self.ns(id.ns).sockets.as_deref().and_then(|s| s.get(id.slot)).ok_or(Errno::EBADF)?;
        s.shown_peer().ok_or(Errno::ENOTCONN)
    }

    /// What a socket is ready for. An id that is not open is ready for an error.
    pub fn poll(&self, id: SockId) -> Readiness {
        match self.ns(id.ns).sockets.as_deref() {
            Some(s) => s.readiness(id.slot),
            None => Readiness { error: true, hangup: true, ..Readiness::default() },
        }
    }

    /// Takes the pending error (`SO_ERROR`).
    pub fn take_error(&mut self, id: SockId) -> Option<Errno> {
        self.sockets_of(id).ok()?.take_error(id.slot)
    }

    /// Takes the oldest entry of the error queue (`MSG_ERRQUEUE`); there are entries only with `IP_RECVERR`.
    ///
    /// ```
    /// use netsim::{base::Errno, sim::{Limits, World}, socket::{ErrorOrigin, Family, SockKind, SockOpt}};
    /// let mut w = World::new(7);
    /// let a = w.add_namespace("a")?;
    /// let s = w.socket(a, Family::V4, SockKind::Udp, None)?;
    /// w.set_option(s, SockOpt::RecvErr(true))?;
    /// w.send_to(s, b"anybody?", "127.0.0.1:9".parse()?)?;
    /// w.run(&Limits::default());
    /// let e = w.recv_error(s).expect("nobody listens on port 9");
    /// assert_eq!((e.errno, e.origin), (Errno::ECONNREFUSED, ErrorOrigin::Icmp { kind: 3, code: 3 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv_error(&mut self, id: SockId) -> Option<SocketError> {
        self.sockets_of(id).ok()?.recv_error(id.slot)
    }

    /// Hands a socket to another app.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn set_owner(&mut self, id: SockId, owner: Option<AppId>) -> Result<(), Errno> {
        self.options(id)?;
        self.sockets_of(id)?.set_owner(id.slot, owner);
        Ok(())
    }

    /// Closes a socket. A TCP connection goes on until the peer has everything; unread data resets it. An id that is
    /// not open is ignored.
    pub fn close(&mut self, id: SockId) {
        // What was written has left, as far as the window allows, before there is an end to tell (`tcp_push`).
        self.flush_sockets();
        let now = self.core.now;
        if let Ok(sockets) = self.sockets_of(id) {
            sockets.close(id.slot, now);
            self.tcp_drain(id.ns, None);
        }
    }

    /// Closes a socket; a TCP connection is reset at once.
    pub fn abort(&mut self, id: SockId) {
        let now = self.core.now;
        if let Ok(sockets) = self.sockets_of(id) {
            sockets.abort(id.slot, now);
            self.tcp_drain(id.ns, None);
        }
    }

    /// Closes every socket an app owns, as its exit does.
    pub(crate) fn close_sockets_of(&mut self, ns: NsId, app: AppId) {
        let slots = self.ns(ns).sockets.as_ref().map_or_else(Vec::new, |s| s.owned_by(app));
        for slot in slots {
            self.close(SockId { ns, slot });
        }
    }

    /// The sockets of a namespace as `/proc/net` lists them.
    pub fn list_sockets(&self, ns: NsId) -> impl Iterator<Item = SocketInfo> + '_ {
        self.ns(ns).sockets.as_deref().into_iter().flat_map(|s| s.list())
    }
}
