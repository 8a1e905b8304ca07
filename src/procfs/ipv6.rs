//! `/proc/net/if_inet6` and `/proc/net/ipv6_route`.

use crate::{
    base::{NsId, Prefix},
    kernel::{AddrState, IfAddr, Kernel},
    route::{Family, NextHop, Protocol, Route, RouteType},
};
use std::net::{IpAddr, Ipv6Addr};

/// `IFA_F_*` of the flags column.
mod ifa {
    pub const DADFAILED: u8 = 0x08;
    pub const DEPRECATED: u8 = 0x20;
    pub const TENTATIVE: u8 = 0x40;
    pub const PERMANENT: u8 = 0x80;
}

/// `RTF_*` of the flags column.
mod rtf {
    pub const UP: u32 = 0x1;
    pub const GATEWAY: u32 = 0x2;
    pub const HOST: u32 = 0x4;
    pub const REJECT: u32 = 0x200;
    pub const DEFAULT: u32 = 0x0001_0000;
    pub const ADDRCONF: u32 = 0x0004_0000;
    pub const ANYCAST: u32 = 0x0010_0000;
    pub const NONEXTHOP: u32 = 0x0020_0000;
    pub const EXPIRES: u32 = 0x0040_0000;
    pub const LOCAL: u32 = 0x8000_0000;
}

/// IPv6 addresses: address, device number, prefix length, scope, flags, device (`if6_seq_show`).
pub(super) fn if_inet6(kernel: &Kernel, ns: NsId) -> String {
    let mut text = String::new();
    for (index, id) in kernel.ns(ns).devices.iter().enumerate() {
        for (ip, a) in kernel.dev(*id).addrs6() {
            text += &format!(
                "{:032x} {:02x} {:02x} {:02x} {:02x} {:>8}\n",
                u128::from(ip),
                index + 1,
                a.prefix.len(),
                scope(ip),
                flags(a),
                kernel.dev_name(*id),
            );
        }
    }
    text
}

fn flags(a: &IfAddr) -> u8 {
    let life = if a.dynamic { 0 } else { ifa::PERMANENT };
    life | match a.state {
        AddrState::Valid => 0,
        AddrState::Deprecated => ifa::DEPRECATED,
        AddrState::Tentative => ifa::TENTATIVE,
        AddrState::Duplicate => ifa::TENTATIVE | ifa::DADFAILED,
    }
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

/// IPv6 routes of all tables: destination, source (never used), next hop, metric, reference and use counts, flags, device
/// (`ipv6_route_seq_show`). The last line is the kernel's null entry, which refuses what no route covers. Counts of
/// references and uses change with every look at them: here they are 1 and 0.
pub(super) fn ipv6_route(kernel: &Kernel, ns: NsId) -> String {
    let n = kernel.ns(ns);
    let mut text = String::new();
    for table in n.fib.table_ids(Family::V6) {
        for route in n.fib.routes(Family::V6, table) {
            for hop in route.hops() {
                let dev = hop.dev.unwrap_or(n.lo);
                text += &line(route.dst, hop.via, route.metric, route_flags(route, hop), kernel.dev_name(dev));
            }
        }
    }
    if kernel.dev(n.lo).has_ipv6() {
        text += &line(Prefix::ANY6, None, u32::MAX, rtf::REJECT | rtf::NONEXTHOP, "lo");
    }
    text
}

fn line(dst: Prefix, via: Option<IpAddr>, metric: u32, flags: u32, dev: &str) -> String {
    let bits = |a: Option<IpAddr>| match a {
        Some(IpAddr::V6(a)) => u128::from(a),
        _ => 0,
    };
    format!(
        "{:032x} {:02x} {:032x} 00 {:032x} {metric:08x} {:08x} {:08x} {flags:08x} {dev:>8}\n",
        bits(Some(dst.addr())),
        dst.len(),
        0,
        bits(via),
        1,
        0,
    )
}

fn route_flags(route: &Route, hop: &NextHop) -> u32 {
    let mut flags = rtf::UP;
    match route.kind {
        RouteType::Local => flags |= rtf::LOCAL | rtf::NONEXTHOP,
        RouteType::Anycast => flags |= rtf::ANYCAST | rtf::NONEXTHOP,
        kind if kind.is_special() => flags |= rtf::REJECT | rtf::NONEXTHOP,
        _ if route.dst.is_host() => flags |= rtf::HOST,
        _ => {}
    }
    if hop.via.is_some() {
        flags |= rtf::GATEWAY;
    }
    if route.protocol == Protocol::Ra {
        flags |= rtf::ADDRCONF | rtf::EXPIRES | if route.dst.is_any() { rtf::DEFAULT } else { 0 };
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DevId;
    use crate::kernel::link_local_of;

    #[test]
    fn scopes() {
        let of = |a: &str| scope(a.parse().unwrap());
        assert_eq!((of("::1"), of("fe80::1"), of("fec0::1"), of("2001:db8::1")), (0x10, 0x20, 0x40, 0));
    }

    fn host() -> (Kernel, NsId, DevId) {
        let mut k = Kernel::new(1);
        let (h1, r) = (k.add_namespace("h1").unwrap(), k.add_namespace("r").unwrap());
        let (eth0, _) = k.add_veth((h1, "eth0"), (r, "eth0")).unwrap();
        k.set_mac(eth0, "02:00:00:00:00:0a".parse().unwrap()).unwrap();
        (k, h1, eth0)
    }

    /// What a real namespace showed with these addresses and this route, its counts aside.
    #[test]
    fn columns_are_the_kernels() {
        let (mut k, h1, eth0) = host();
        assert_eq!((if_inet6(&k, h1), ipv6_route(&k, h1)), (String::new(), String::new()));
        k.add_address(eth0, "2001:db8:1::1/64".parse().unwrap(), None).unwrap();
        k.exec_route(h1, "default via 2001:db8:1::fe").unwrap();
        assert_eq!(
            if_inet6(&k, h1),
            "00000000000000000000000000000001 01 80 10 80       lo\n\
             20010db8000100000000000000000001 02 40 00 80     eth0\n\
             fe80000000000000000000fffe00000a 02 40 20 80     eth0\n"
        );
        let zero = "0".repeat(32);
        let expected = [
            format!(
                "20010db8000100000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth0"
            ),
            format!(
                "fe800000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth0"
            ),
            format!(
                "{zero} 00 {zero} 00 20010db80001000000000000000000fe 00000400 00000001 00000000 00000003     eth0"
            ),
            format!(
                "00000000000000000000000000000001 80 {zero} 00 {zero} 00000000 00000001 00000000 80200001       lo"
            ),
            format!(
                "20010db8000100000000000000000001 80 {zero} 00 {zero} 00000000 00000001 00000000 80200001     eth0"
            ),
            format!(
                "fe80000000000000000000fffe00000a 80 {zero} 00 {zero} 00000000 00000001 00000000 80200001     eth0"
            ),
            format!(
                "ff000000000000000000000000000000 08 {zero} 00 {zero} 00000100 00000001 00000000 00000001     eth0"
            ),
            format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo"),
        ];
        assert_eq!(ipv6_route(&k, h1).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn states_are_flags() {
        let (mut k, h1, eth0) = host();
        k.set_sysctl(h1, "net.ipv6.conf.eth0.accept_dad", "1").unwrap();
        k.add_address(eth0, "2001:db8:1::1/64".parse().unwrap(), None).unwrap();
        let tentative = if_inet6(&k, h1);
        assert!(tentative.contains("20010db8000100000000000000000001 02 40 00 c0     eth0"), "{tentative}");
        let a = |state, dynamic| {
            let mut a = IfAddr::new("2001:db8::1/64".parse().unwrap(), None);
            (a.state, a.dynamic) = (state, dynamic);
            flags(&a)
        };
        assert_eq!(a(AddrState::Duplicate, false), 0xc8);
        assert_eq!(a(AddrState::Deprecated, true), 0x20);
        assert_eq!(k.dev(eth0).link_local(), None, "tentative, too");
        assert_eq!(link_local_of(k.dev(eth0).mac).to_string(), "fe80::ff:fe00:a");
    }
}
