//! Link-local addresses mean something else on every link: the scope of a socket address names the device (RFC 4007 §6).

use crate::{
    base::{DevId, Errno, NsId, SockId},
    kernel::Kernel,
    socket::SockOpt,
};
use std::net::{IpAddr, SocketAddr};

impl Kernel {
    /// The number that names a device in the scope of an IPv6 socket address, as `%eth0` does in text. Never 0.
    ///
    /// ```
    /// use netsim::{sim::{Limits, World}, socket::{Family, SockKind}};
    /// use std::net::SocketAddrV6;
    /// let mut w = World::new(7);
    /// let (a, b) = (w.add_namespace("a")?, w.add_namespace("b")?);
    /// let (x, y) = w.add_veth((a, "eth0"), (b, "eth0"))?;
    /// w.set_sysctl(a, "net.ipv6.conf.all.disable_ipv6", "0")?;
    /// w.set_sysctl(b, "net.ipv6.conf.all.disable_ipv6", "0")?;
    /// let server = w.socket(b, Family::V6, SockKind::Udp, None)?;
    /// w.bind(server, "[::]:7".parse()?)?;
    /// let client = w.socket(a, Family::V6, SockKind::Udp, None)?;
    /// let to = SocketAddrV6::new(w.dev(y).link_local().unwrap(), 7, 0, w.scope_id(x));
    /// w.send_to(client, b"hello", to.into())?;
    /// w.run(&Limits::default());
    /// assert_eq!(w.recv_from(server)?.data, b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scope_id(&self, dev: DevId) -> u32 {
        number(dev)
    }

    /// The device the scope of an address names, if it needs one and the namespace has it.
    pub(super) fn scoped_device(&self, ns: NsId, at: SocketAddr) -> Option<DevId> {
        let SocketAddr::V6(a) = at else { return None };
        if a.scope_id() == 0 || !needs_scope(at.ip()) {
            return None;
        }
        self.ns(ns).devices.iter().copied().find(|d| number(*d) == a.scope_id())
    }

    /// Binding or connecting to an address with a scope binds the socket to the device (`__inet6_bind`,
    /// `__ip6_datagram_connect`).
    ///
    /// # Errors
    /// `EINVAL` for a link-local address without one on a socket that is bound to no device, or with another.
    pub(super) fn enter_scope(&mut self, id: SockId, at: SocketAddr) -> Result<(), Errno> {
        if !matches!(at.ip(), IpAddr::V6(a) if a.is_unicast_link_local()) {
            return Ok(());
        }
        let bound = self.options(id)?.device;
        match (self.scoped_device(id.ns, at), bound) {
            (Some(dev), None) => self.set_option(id, SockOpt::BindToDevice(Some(dev))),
            (Some(dev), Some(bound)) if dev != bound => Err(Errno::EINVAL),
            (None, None) => Err(Errno::EINVAL),
            _ => Ok(()),
        }
    }
}

/// A sender's address with the device its packet came in by, so that it can be answered.
pub(super) fn scoped(mut at: SocketAddr, dev: Option<DevId>) -> SocketAddr {
    if let (true, SocketAddr::V6(a), Some(dev)) = (needs_scope(at.ip()), &mut at, dev) {
        a.set_scope_id(number(dev));
    }
    at
}

fn needs_scope(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        // Groups of interface or link scope.
        IpAddr::V6(a) => a.is_unicast_link_local() || matches!(a.segments()[0] & 0xff0f, 0xff01 | 0xff02),
    }
}

fn number(dev: DevId) -> u32 {
    dev.0 + 1
}
