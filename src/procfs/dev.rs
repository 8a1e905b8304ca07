//! `/proc/net/dev` and `/proc/net/if_inet6`.

use crate::{
    base::NsId,
    kernel::{DevStats, Kernel},
};
use std::{
    fmt::Write,
    net::{IpAddr, Ipv6Addr},
};

const HEADER: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
";

/// `IFA_F_PERMANENT`.
const PERMANENT: u8 = 0x80;
/// `IFA_F_SECONDARY`.
const SECONDARY: u8 = 0x01;

/// Counters of every device (`dev_seq_show`; case proc-net-dev).
pub(super) fn dev(kernel: &Kernel, ns: NsId) -> String {
    let mut text = String::from(HEADER);
    for id in &kernel.ns(ns).devices {
        text.push_str(&line(kernel.dev_name(*id), &kernel.dev(*id).stats));
    }
    text
}

/// One device (`dev_seq_printf_stats`). Of the error columns only `drop` can move: no simulated device has a FIFO, frames
/// out of alignment, collisions or compression.
fn line(name: &str, s: &DevStats) -> String {
    format!(
        "{name:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}\n",
        s.rx_bytes,
        s.rx_packets,
        0,
        s.rx_dropped,
        0,
        0,
        0,
        s.multicast,
        s.tx_bytes,
        s.tx_packets,
        0,
        s.tx_dropped,
        0,
        0,
        0,
        0,
    )
}

/// IPv6 addresses: address, device number, prefix length, scope, flags, device (`if6_seq_show`).
pub(super) fn if_inet6(kernel: &Kernel, ns: NsId) -> String {
    let mut text = String::new();
    for (index, id) in kernel.ns(ns).devices.iter().enumerate() {
        for a in &kernel.dev(*id).addrs {
            let IpAddr::V6(ip) = a.prefix.addr() else { continue };
            let flags = PERMANENT | if a.secondary { SECONDARY } else { 0 };
            writeln!(
                text,
                "{:032x} {:02x} {:02x} {:02x} {flags:02x} {:>8}",
                u128::from(ip),
                index + 1,
                a.prefix.len(),
                scope(ip),
                kernel.dev_name(*id),
            )
            .expect("writing to a string cannot fail");
        }
    }
    text
}

/// `IFA_HOST`, `IFA_LINK`, `IFA_SITE` or 0 for global (`ipv6_addr_scope`).
fn scope(a: Ipv6Addr) -> u8 {
    match a.segments()[0] {
        _ if a.is_loopback() => 0x10,
        s if s & 0xffc0 == 0xfe80 => 0x20,
        s if s & 0xffc0 == 0xfec0 => 0x40,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a real namespace.
    #[test]
    fn columns_are_the_kernels() {
        let s = DevStats { rx_bytes: 871, rx_packets: 11, tx_bytes: 2264, tx_packets: 18, ..DevStats::default() };
        assert_eq!(
            line("eth0", &s),
            "  eth0:     871      11    0    0    0     0          0         0     2264      18    0    0    0     0       0          0\n"
        );
        assert_eq!(
            line("lo", &DevStats::default()),
            "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n"
        );
    }

    #[test]
    fn scopes() {
        let of = |a: &str| scope(a.parse().unwrap());
        assert_eq!((of("::1"), of("fe80::1"), of("fec0::1"), of("2001:db8::1")), (0x10, 0x20, 0x40, 0));
    }
}
