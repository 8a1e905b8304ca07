//! What a ping is told to do: the options of the tool.

use crate::{
    base::{SEC, Time},
    socket::PmtuDiscover,
};
use std::net::{IpAddr, Ipv4Addr};

/// What `ping` is asked to do.
///
/// ```
/// use netsim::{app::{App, Ping, PingConfig}, base::MS};
/// let config = PingConfig { count: Some(3), interval: 200 * MS, ..PingConfig::to("10.0.0.2".parse().unwrap()) };
/// assert_eq!(Ping::new(config).command(), "ping -c 3 -i 0.2 10.0.0.2");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingConfig {
    /// Whom to ask.
    pub to: IpAddr,
    /// The name `to` was given by, if any; it is printed.
    pub name: Option<String>,
    /// Requests to send (`-c`); `None` goes on until the run ends.
    pub count: Option<u32>,
    /// Time between requests in nanoseconds (`-i`), at least 1 ms.
    pub interval: Time,
    /// Bytes of payload (`-s`). 16 or more carry a timestamp; without one no times are printed.
    pub size: u16,
    /// TTL or hop limit (`-t`); `None` is the namespace's default.
    pub ttl: Option<u8>,
    /// Path MTU discovery (`-M`); `None` is the kernel's default, `want`.
    pub df: Option<PmtuDiscover>,
    /// How long to wait after the last request if nothing has come back at all, in nanoseconds (`-W`). Once there were
    /// replies, twice the longest round trip is waited, or one interval if that is longer.
    pub wait: Time,
    /// When to stop in any case, in nanoseconds (`-w`). The count is then a number of replies to get.
    pub deadline: Option<Time>,
    /// Source address (`-I`).
    pub source: Option<IpAddr>,
    /// The device to send by (`-I`).
    pub device: Option<String>,
    /// Whether broadcast addresses may be pinged (`-b`).
    pub broadcast: bool,
    /// Type of service (`-Q`).
    pub tos: u8,
    /// The ICMP identifier (`-e`); `None` lets the kernel choose.
    pub id: Option<u16>,
}

impl Default for PingConfig {
    /// `ping 127.0.0.1`.
    fn default() -> PingConfig {
        PingConfig {
            to: IpAddr::V4(Ipv4Addr::LOCALHOST),
            name: None,
            count: None,
            interval: SEC,
            size: 56,
            ttl: None,
            df: None,
            wait: 10 * SEC,
            deadline: None,
            source: None,
            device: None,
            broadcast: false,
            tos: 0,
            id: None,
        }
    }
}

impl PingConfig {
    /// `ping ADDRESS`.
    pub fn to(to: IpAddr) -> PingConfig {
        PingConfig { to, ..PingConfig::default() }
    }
}
