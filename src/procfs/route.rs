//! `/proc/net/route`.

use super::hex::{padded, word};
use crate::{
    base::{NsId, Prefix},
    kernel::Kernel,
    route::{Family, RouteType, table},
};
use std::net::{IpAddr, Ipv4Addr};

const HEADER: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
/// Width the kernel pads its lines to.
const WIDTH: usize = 127;

/// `RTF_UP`
const UP: u16 = 0x0001;
/// `RTF_GATEWAY`
const GATEWAY: u16 = 0x0002;
/// `RTF_HOST`
const HOST: u16 = 0x0004;
/// `RTF_REJECT`
const REJECT: u16 = 0x0200;

/// Table `main`, IPv4, the first next hop of each route (`fib_route_seq_show`; case proc-net-files). The order is the
/// kernel's: by address, longest prefix first.
pub(super) fn route(kernel: &Kernel, ns: NsId) -> String {
    let routes = kernel.ns(ns).fib.routes(Family::V4, table::MAIN);
    let mut text = padded(HEADER, WIDTH);
    for r in routes.filter(|r| !matches!(r.kind, RouteType::Broadcast | RouteType::Multicast)) {
        let hop = r.hops().first();
        let dev = hop.and_then(|h| h.dev).map_or("*", |d| kernel.dev_name(d));
        text.push_str(&padded(&line(dev, r.dst, hop.and_then(|h| h.via), r.kind, (r.metric, r.advmss)), WIDTH));
    }
    text
}

/// `fib_flag_trans` and the line. The MTU column does not show the route's `mtu` but what its `advmss` is with headers.
fn line(dev: &str, dst: Prefix, via: Option<IpAddr>, kind: RouteType, (metric, mss): (u32, u16)) -> String {
    let IpAddr::V4(net) = dst.addr() else { return String::new() };
    let mask = crate::base::mask4(dst.len());
    let gateway = match via {
        Some(IpAddr::V4(ip)) => ip,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    let mut flags = UP;
    flags |= if matches!(kind, RouteType::Unreachable | RouteType::Prohibit) { REJECT } else { 0 };
    flags |= if gateway.is_unspecified() { 0 } else { GATEWAY };
    flags |= if dst.is_host() { HOST } else { 0 };
    format!(
        "{dev}\t{}\t{}\t{flags:04X}\t0\t0\t{metric}\t{}\t{}\t0\t0",
        word(net),
        word(gateway),
        word(Ipv4Addr::from(mask)),
        if mss > 0 { u32::from(mss) + 40 } else { 0 },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case proc-net-files, and lines of a real namespace.
    #[test]
    fn columns_are_the_kernels() {
        let p = |s: &str| s.parse::<Prefix>().unwrap();
        let via = |s: &str| Some(s.parse().unwrap());
        let uni = RouteType::Unicast;
        for (got, want) in [
            (
                line("eth0", p("0.0.0.0/0"), via("10.0.0.254"), uni, (0, 0)),
                "eth0\t00000000\tFE00000A\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            ),
            (
                line("eth0", p("10.0.0.0/24"), None, uni, (0, 0)),
                "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
            ),
            (
                line("eth0", p("172.16.0.0/12"), via("10.0.0.253"), uni, (50, 0)),
                "eth0\t000010AC\tFD00000A\t0003\t0\t0\t50\t0000F0FF\t0\t0\t0",
            ),
            (
                line("*", p("192.168.77.0/24"), None, RouteType::Unreachable, (0, 0)),
                "*\t004DA8C0\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0",
            ),
            (
                line("*", p("192.168.78.0/24"), None, RouteType::Blackhole, (0, 0)),
                "*\t004EA8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
            ),
            (
                line("eth0", p("192.168.5.5/32"), None, uni, (0, 0)),
                "eth0\t0505A8C0\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0",
            ),
        ] {
            assert_eq!(got, want);
        }
    }
}
