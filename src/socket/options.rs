//! Socket options: what `setsockopt` can change, and the values a new socket starts with.

use crate::base::{DevId, Time};
use std::net::IpAddr;

/// Default receive buffer in bytes of kernel memory (`net.core.rmem_default`).
pub const RCVBUF_DEFAULT: u32 = 212_992;
/// Smallest receive buffer (`SOCK_MIN_RCVBUF`).
const RCVBUF_MIN: u32 = 2304;
/// Largest value accepted for `SO_RCVBUF` (`net.core.rmem_max`); the kernel doubles it.
const RMEM_MAX: u32 = 212_992;

/// How a socket uses path MTU discovery (`IP_MTU_DISCOVER`, RFC 1191).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PmtuDiscover {
    /// Never set DF (`IP_PMTUDISC_DONT`).
    Dont,
    /// Set DF on what fits the path MTU, fragment the rest locally (`IP_PMTUDISC_WANT`).
    #[default]
    Want,
    /// Always set DF; what does not fit fails with `EMSGSIZE` (`IP_PMTUDISC_DO`).
    Do,
    /// Set DF but ignore the path MTU (`IP_PMTUDISC_PROBE`).
    Probe,
}

/// One option and its new value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SockOpt {
    /// `SO_REUSEADDR`.
    ReuseAddr(bool),
    /// `SO_REUSEPORT`.
    ReusePort(bool),
    /// `SO_BROADCAST`: may send to broadcast addresses.
    Broadcast(bool),
    /// `SO_BINDTODEVICE`: send and receive by this device only.
    BindToDevice(Option<DevId>),
    /// `IP_RECVERR`: keep ICMP errors in an error queue and report soft ones too.
    RecvErr(bool),
    /// `IP_TTL`; `None` is the default of the namespace.
    Ttl(Option<u8>),
    /// `IP_MULTICAST_TTL`, 1 by default.
    MulticastTtl(u8),
    /// `IP_TOS`.
    Tos(u8),
    /// `IP_MTU_DISCOVER`.
    MtuDiscover(PmtuDiscover),
    /// `SO_MARK`: the firewall mark of what the socket sends.
    Mark(u32),
    /// `SO_RCVBUF` in bytes; doubled by the kernel to account for bookkeeping.
    RcvBuf(u32),
    /// `IPV6_V6ONLY`.
    V6Only(bool),
    /// `TCP_NODELAY`: no Nagle algorithm.
    NoDelay(bool),
    /// `SO_KEEPALIVE` with this interval in nanoseconds.
    KeepAlive(Option<Time>),
    /// `SO_LINGER` with a time of 0: closing resets the connection.
    LingerZero(bool),
    /// `IP_HDRINCL` on a raw socket: the caller writes the IP header.
    HeaderIncluded(bool),
    /// `ICMP_FILTER` on a raw ICMP socket: bit n set hides messages of type n.
    IcmpFilter(u32),
    /// `IP_FREEBIND`: may bind an address the namespace does not own.
    FreeBind(bool),
    /// `IP_ADD_MEMBERSHIP`, `IPV6_JOIN_GROUP`: packets to the group that arrive by the device are accepted.
    JoinGroup(IpAddr, DevId),
    /// `IP_DROP_MEMBERSHIP`, `IPV6_LEAVE_GROUP`.
    LeaveGroup(IpAddr, DevId),
}

/// Current option values of a socket.
#[derive(Clone, Debug)]
pub struct Options {
    /// `SO_REUSEADDR`.
    pub reuse_addr: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `SO_BROADCAST`.
    pub broadcast: bool,
    /// `IP_RECVERR`.
    pub recv_err: bool,
    /// `IPV6_V6ONLY`.
    pub v6_only: bool,
    /// `TCP_NODELAY`.
    pub no_delay: bool,
    /// `SO_LINGER` with time 0.
    pub linger_zero: bool,
    /// `IP_HDRINCL`.
    pub header_included: bool,
    /// `IP_FREEBIND`.
    pub free_bind: bool,
    /// `IP_TTL`; `None` is the namespace's default.
    pub ttl: Option<u8>,
    /// `IP_MULTICAST_TTL`.
    pub multicast_ttl: u8,
    /// `IP_TOS`.
    pub tos: u8,
    /// `IP_MTU_DISCOVER`.
    pub pmtu: PmtuDiscover,
    /// `SO_BINDTODEVICE`.
    pub device: Option<DevId>,
    /// `SO_MARK`.
    pub mark: u32,
    /// `ICMP_FILTER`.
    pub icmp_filter: u32,
    /// `SO_KEEPALIVE` interval.
    pub keep_alive: Option<Time>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            recv_err: false,
            v6_only: false,
            no_delay: false,
            linger_zero: false,
            header_included: false,
            free_bind: false,
            ttl: None,
            multicast_ttl: 1,
            tos: 0,
            pmtu: PmtuDiscover::Want,
            device: None,
            mark: 0,
            icmp_filter: 0,
            keep_alive: None,
        }
    }
}

impl Options {
    /// Stores a value. The receive buffer lives in the socket's queue, memberships in the socket.
    pub(crate) fn set(&mut self, opt: SockOpt) {
        match opt {
            SockOpt::ReuseAddr(v) => self.reuse_addr = v,
            SockOpt::ReusePort(v) => self.reuse_port = v,
            SockOpt::Broadcast(v) => self.broadcast = v,
            SockOpt::BindToDevice(v) => self.device = v,
            SockOpt::RecvErr(v) => self.recv_err = v,
            SockOpt::Ttl(v) => self.ttl = v,
            SockOpt::MulticastTtl(v) => self.multicast_ttl = v,
            SockOpt::Tos(v) => self.tos = v,
            SockOpt::MtuDiscover(v) => self.pmtu = v,
            SockOpt::Mark(v) => self.mark = v,
            SockOpt::RcvBuf(_) | SockOpt::JoinGroup(..) | SockOpt::LeaveGroup(..) => {}
            SockOpt::V6Only(v) => self.v6_only = v,
            SockOpt::NoDelay(v) => self.no_delay = v,
            SockOpt::KeepAlive(v) => self.keep_alive = v,
            SockOpt::LingerZero(v) => self.linger_zero = v,
            SockOpt::HeaderIncluded(v) => self.header_included = v,
            SockOpt::IcmpFilter(v) => self.icmp_filter = v,
            SockOpt::FreeBind(v) => self.free_bind = v,
        }
    }
}

/// The bytes `SO_RCVBUF` of `asked` really gives: capped, doubled, and never below the minimum (`sock_setsockopt`).
///
/// ```
/// use netsim::socket::effective_rcvbuf;
/// assert_eq!(effective_rcvbuf(10_000), 20_000);
/// assert_eq!(effective_rcvbuf(0), 2304);
/// assert_eq!(effective_rcvbuf(u32::MAX), 425_984);
/// ```
pub fn effective_rcvbuf(asked: u32) -> u32 {
    (asked.min(RMEM_MAX) * 2).max(RCVBUF_MIN)
}
