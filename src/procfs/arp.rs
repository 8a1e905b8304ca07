//! `/proc/net/arp`.

use crate::{base::NsId, kernel::Kernel, trace::NeighState};
use std::{fmt::Write, net::IpAddr, net::Ipv4Addr};

const HEADER: &str = "IP address       HW type     Flags       HW address            Mask     Device\n";

/// `ATF_COM`: the entry is complete.
const COMPLETE: u8 = 0x02;
/// `ATF_PERM`: it was set by hand.
const PERMANENT: u8 = 0x04;
/// `ATF_PUBL`: it is answered for.
const PUBLISHED: u8 = 0x08;

/// IPv4 neighbours, then the addresses answered for by proxy (`arp_seq_show`). The kernel lists them in the order of a hash
/// table; here they are sorted by device and address.
pub(super) fn arp(kernel: &Kernel, ns: NsId) -> String {
    let table = &kernel.ns(ns).neigh;
    let mut text = String::from(HEADER);
    for n in table.iter(kernel.core.now) {
        let IpAddr::V4(ip) = n.addr else { continue };
        // neigh_seq_start with NEIGH_SEQ_SKIP_NOARP: entries without a state to speak of are left out.
        let flags = match n.state {
            NeighState::NoArp | NeighState::None => continue,
            NeighState::Permanent => PERMANENT | COMPLETE,
            _ if n.mac.is_some() => COMPLETE,
            _ => 0,
        };
        text.push_str(&line(ip, flags, &n.mac.unwrap_or_default().to_string(), kernel.dev_name(n.dev)));
    }
    for (dev, addr) in table.proxy_iter() {
        let IpAddr::V4(ip) = addr else { continue };
        text.push_str(&line(ip, PUBLISHED | PERMANENT, "00:00:00:00:00:00", kernel.dev_name(dev)));
    }
    text
}

fn line(ip: Ipv4Addr, flags: u8, mac: &str, dev: &str) -> String {
    let mut text = String::new();
    // The address is padded as text: IpAddr's own Display ignores a width.
    writeln!(text, "{:<16} 0x{:<10x}0x{flags:<10x}{mac:<17}     *        {dev}", ip.to_string(), 1)
        .expect("writing to a string cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case proc-net-files, and a proxy entry of a real namespace.
    #[test]
    fn columns_are_the_kernels() {
        let of = |ip: [u8; 4], flags, mac: &str| line(Ipv4Addr::from(ip), flags, mac, "eth0");
        assert_eq!(
            of([10, 0, 0, 254], 2, "02:00:00:00:00:0b"),
            "10.0.0.254       0x1         0x2         02:00:00:00:00:0b     *        eth0\n"
        );
        assert_eq!(
            of([10, 0, 0, 99], 0, "00:00:00:00:00:00"),
            "10.0.0.99        0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        );
        assert_eq!(
            of([10, 0, 0, 77], 0xc, "00:00:00:00:00:00"),
            "10.0.0.77        0x1         0xc         00:00:00:00:00:00     *        eth0\n"
        );
    }
}
