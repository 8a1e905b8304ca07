//! Choosing an IPv6 source address (RFC 6724 §5; ipv6_dev_get_saddr in net/ipv6/addrconf.c).

use crate::{
    base::{DevId, NsId},
    kernel::{AddrState, IfAddr, Kernel, scope_of},
};
use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv6Addr},
};

/// How good a candidate is; the rules of RFC 6724 in their order, greater is better.
type Score = (bool, Scope, bool, bool, bool, u32);

/// Rule 2: of the scopes wide enough for the destination the smallest, else the widest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    TooSmall(u8),
    Enough(Reverse<u8>),
}

/// The best of some addresses for packets to `dst` that leave by `out`. Of equals the first wins.
pub(super) fn best<'a>(
    candidates: impl Iterator<Item = (DevId, &'a IfAddr)>,
    out: Option<DevId>,
    dst: Ipv6Addr,
) -> Option<Ipv6Addr> {
    let mut found: Option<(Score, Ipv6Addr)> = None;
    for (dev, a) in candidates {
        let IpAddr::V6(src) = a.prefix.addr() else { continue };
        if !a.is_usable() {
            continue;
        }
        let score = score(dev, a, src, out, dst);
        if found.as_ref().is_none_or(|(best, _)| score > *best) {
            found = Some((score, src));
        }
    }
    found.map(|(_, src)| src)
}

fn score(dev: DevId, a: &IfAddr, src: Ipv6Addr, out: Option<DevId>, dst: Ipv6Addr) -> Score {
    let scope = match scope_of(src) {
        s if s >= scope_of(dst) => Scope::Enough(Reverse(s)),
        s => Scope::TooSmall(s),
    };
    let common = (u128::from(src) ^ u128::from(dst)).leading_zeros();
    (
        src == dst,                            // rule 1: the destination itself
        scope,                                 // rule 2: an appropriate scope
        a.state != AddrState::Deprecated,      // rule 3: not deprecated
        out.is_none_or(|out| out == dev),      // rule 5: of the outgoing device
        label(src) == label(dst),              // rule 6: the same label
        common.min(u32::from(a.prefix.len())), // rule 8: the longest common prefix
    )
}

/// The default policy table's label (RFC 6724 §2.1; `ip6addrlbl_init_table`).
fn label(a: Ipv6Addr) -> u8 {
    match a.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => 0,
        [0, 0, 0, 0, 0, 0xffff, _, _] => 4,
        [0, 0, 0, 0, 0, 0, _, _] => 3,
        [0x2002, ..] => 2,
        [0x2001, 0, ..] => 6,
        [0x2001, s, ..] if s & 0xfff0 == 0x10 => 7,
        [s, ..] if s & 0xfe00 == 0xfc00 => 5,
        _ => 1,
    }
}

impl Kernel {
    /// The source address of packets to `dst` that leave by `dev`. For groups and within a link only addresses of the
    /// device count, else those of all devices.
    pub(crate) fn select_source6(&self, dev: DevId, dst: Ipv6Addr) -> Option<Ipv6Addr> {
        if dst.is_multicast() || scope_of(dst) <= 2 {
            return best(self.dev(dev).addrs.iter().map(|a| (dev, a)), Some(dev), dst);
        }
        self.any_source6(self.dev(dev).ns, Some(dev), dst)
    }

    /// The same when no route says which device it will be: of any device.
    pub(super) fn any_source6(&self, ns: NsId, out: Option<DevId>, dst: Ipv6Addr) -> Option<Ipv6Addr> {
        let all = self.ns(ns).devices.iter().flat_map(|d| self.dev(*d).addrs.iter().map(|a| (*d, a)));
        best(all, out, dst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(candidates: &[(u32, &str)], out: u32, dst: &str) -> String {
        let all: Vec<(DevId, IfAddr)> =
            candidates.iter().map(|(d, a)| (DevId(*d), IfAddr::new(a.parse().unwrap(), None))).collect();
        let best = best(all.iter().map(|(d, a)| (*d, a)), Some(DevId(out)), dst.parse().unwrap());
        best.unwrap().to_string()
    }

    #[test]
    fn rules_in_their_order() {
        let all =
            [(1, "2001:db8:1::1/64"), (1, "fe80::1/64"), (2, "2001:db8:2::1/64"), (2, "fd00::1/64"), (3, "::1/128")];
        assert_eq!(choose(&all, 1, "2001:db8:2::1"), "2001:db8:2::1", "rule 1: itself");
        assert_eq!(choose(&all, 1, "fe80::9"), "fe80::1", "rule 2: the smallest scope that suffices");
        assert_eq!(choose(&all[1..2], 1, "2001:db8::9"), "fe80::1", "rule 2: better too small than none");
        assert_eq!(choose(&all, 1, "2001:db8:2::9"), "2001:db8:1::1", "rule 5: the device, before the prefix");
        assert_eq!(choose(&all, 2, "fd00::9"), "fd00::1", "rule 6: the same label");
        assert_eq!(
            choose(&[(1, "2001:db8:f::1/64"), (1, "2001:db8:1::1/64")], 1, "2001:db8:1::9"),
            "2001:db8:1::1",
            "rule 8"
        );
        // Measured: of two addresses of one subnet the newer, which stands first.
        assert_eq!(choose(&[(1, "2001:db8::2/64"), (1, "2001:db8::1/64")], 1, "2001:db8::9"), "2001:db8::2");
    }

    #[test]
    fn deprecated_addresses_are_a_last_resort() {
        let mut old = IfAddr::new("2001:db8:2::1/64".parse().unwrap(), None);
        old.state = AddrState::Deprecated;
        let new = IfAddr::new("2001:db8:1::1/64".parse().unwrap(), None);
        let dst = "2001:db8:2::9".parse().unwrap();
        let pick = |all: &[IfAddr]| best(all.iter().map(|a| (DevId(1), a)), None, dst).map(|a| a.to_string());
        assert_eq!(pick(&[old, new]).as_deref(), Some("2001:db8:1::1"));
        assert_eq!(pick(&[old]).as_deref(), Some("2001:db8:2::1"));
        old.state = AddrState::Tentative;
        assert_eq!(pick(&[old]), None);
    }
}
