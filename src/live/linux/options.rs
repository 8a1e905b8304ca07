//! Sockets with the options a step asks for.

use super::{Error, NetNs};
use crate::conform::{case::SockOpts, ops::endpoint};
use nix::{
    net::if_::if_nametoindex,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt},
};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_add_membership_with_ifindex, set_ip_mtu_discover};
use std::{
    ffi::OsString,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

/// Makes a socket inside a namespace and binds it. What the kernel refuses is an inner error.
pub fn open(
    ns: &NetNs,
    kind: SockType,
    towards: &str,
    at: Option<&str>,
    o: &SockOpts,
) -> Result<io::Result<OwnedFd>, Error> {
    let at = at.map(endpoint).transpose()?;
    let ipv6 = towards.starts_with('[') || towards.matches(':').count() > 1;
    let pmtu = match o.pmtudisc.as_deref() {
        None => None,
        Some("dont") => Some(Ipv4PathMtuDiscovery::DONT),
        Some("want") => Some(Ipv4PathMtuDiscovery::WANT),
        Some("do") => Some(Ipv4PathMtuDiscovery::DO),
        Some("probe") => Some(Ipv4PathMtuDiscovery::PROBE),
        Some(other) => return Err(Error::Failed(format!("pmtudisc is not `{other}`"))),
    };
    let group = match o.mcast_join.as_deref() {
        None => None,
        Some(text) => {
            let (group, dev) = text.split_once('%').ok_or("mcast_join is GROUP%DEVICE".to_string())?;
            Some((group.parse().map_err(|_| format!("`{group}` is no group"))?, dev))
        }
    };
    ns.inside(|| make(kind, ipv6, at, o, pmtu, group))
}

fn make(
    kind: SockType,
    ipv6: bool,
    at: Option<SocketAddr>,
    o: &SockOpts,
    pmtu: Option<Ipv4PathMtuDiscovery>,
    group: Option<(Ipv4Addr, &str)>,
) -> io::Result<OwnedFd> {
    let family = if ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if kind == SockType::Stream || o.reuseaddr {
        setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    }
    if o.broadcast {
        setsockopt(&fd, sockopt::Broadcast, &true)?;
    }
    if let Some(dev) = &o.device {
        setsockopt(&fd, sockopt::BindToDevice, &OsString::from(dev))?;
    }
    // These two are options of IPv4 sockets only.
    if let Some(ttl) = o.ttl.filter(|_| !ipv6) {
        setsockopt(&fd, sockopt::Ipv4Ttl, &i32::from(ttl))?;
    }
    if let Some(how) = pmtu.filter(|_| !ipv6) {
        set_ip_mtu_discover(&fd, how)?;
    }
    if let Some(mark) = o.mark.filter(|m| *m != 0) {
        setsockopt(&fd, sockopt::Mark, &mark)?;
    }
    if o.recverr.unwrap_or(kind == SockType::Datagram) {
        match ipv6 {
            true => setsockopt(&fd, sockopt::Ipv6RecvErr, &true)?,
            false => setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?,
        }
    }
    if let Some((group, dev)) = group {
        set_ip_add_membership_with_ifindex(&fd, &group, &Ipv4Addr::UNSPECIFIED, if_nametoindex(dev)?)?;
    }
    if let Some(ttl) = o.mcast_ttl {
        setsockopt(&fd, sockopt::IpMulticastTtl, &ttl)?;
    }
    if let Some(at) = at {
        bind(fd.as_raw_fd(), &SockaddrStorage::from(at))?;
    }
    Ok(fd)
}

/// Waits until something can be done with a socket, for at most `ms` milliseconds; whether it can.
pub fn ready(fd: &impl AsFd, events: PollFlags, ms: u16) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), events)];
    poll(&mut fds, PollTimeout::from(ms)).is_ok_and(|n| n > 0)
}
