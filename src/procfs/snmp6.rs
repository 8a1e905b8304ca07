//! `/proc/net/snmp6`: one counter a line.

use crate::{
    base::NsId,
    kernel::{
        Kernel,
        mib::{Counters, Mib},
    },
};

/// The names in the kernel's order (`snmp6_ipstats_list` and its neighbours in net/ipv6/proc.c, 6.18), with what counts
/// them here. The others stay 0: what they count does not happen in a simulation.
const IP: &[(&str, Option<Mib>)] = &[
    ("InReceives", Some(Mib::IpInReceives)),
    ("InHdrErrors", Some(Mib::IpInHdrErrors)),
    ("InTooBigErrors", Some(Mib::Ip6InTooBigErrors)),
    ("InNoRoutes", Some(Mib::IpExtInNoRoutes)),
    ("InAddrErrors", Some(Mib::IpInAddrErrors)),
    ("InUnknownProtos", Some(Mib::IpInUnknownProtos)),
    ("InTruncatedPkts", None),
    ("InDiscards", Some(Mib::IpInDiscards)),
    ("InDelivers", Some(Mib::IpInDelivers)),
    ("OutForwDatagrams", Some(Mib::IpForwDatagrams)),
    ("OutRequests", Some(Mib::IpOutRequests)),
    ("OutDiscards", Some(Mib::IpOutDiscards)),
    ("OutNoRoutes", Some(Mib::IpOutNoRoutes)),
    ("ReasmTimeout", Some(Mib::IpReasmTimeout)),
    ("ReasmReqds", Some(Mib::IpReasmReqds)),
    ("ReasmOKs", Some(Mib::IpReasmOKs)),
    ("ReasmFails", Some(Mib::IpReasmFails)),
    ("FragOKs", Some(Mib::IpFragOKs)),
    ("FragFails", Some(Mib::IpFragFails)),
    ("FragCreates", Some(Mib::IpFragCreates)),
    ("InMcastPkts", Some(Mib::Ip6InMcastPkts)),
    ("OutMcastPkts", Some(Mib::Ip6OutMcastPkts)),
    ("InOctets", Some(Mib::Ip6InOctets)),
    ("OutOctets", Some(Mib::Ip6OutOctets)),
    ("InMcastOctets", Some(Mib::Ip6InMcastOctets)),
    ("OutMcastOctets", Some(Mib::Ip6OutMcastOctets)),
    ("InBcastOctets", None),
    ("OutBcastOctets", None),
    // Nothing here sets an ECN bit.
    ("InNoECTPkts", Some(Mib::IpInReceives)),
    ("InECT1Pkts", None),
    ("InECT0Pkts", None),
    ("InCEPkts", None),
    ("OutTransmits", Some(Mib::IpOutTransmits)),
];
const ICMP: &[(&str, Option<Mib>)] = &[
    ("InMsgs", Some(Mib::IcmpInMsgs)),
    ("InErrors", Some(Mib::IcmpInErrors)),
    ("OutMsgs", Some(Mib::IcmpOutMsgs)),
    ("OutErrors", Some(Mib::IcmpOutErrors)),
    ("InCsumErrors", Some(Mib::IcmpInCsumErrors)),
    ("OutRateLimitHost", Some(Mib::IcmpOutRateLimitHost)),
];
const UDP: &[(&str, Option<Mib>)] = &[
    ("InDatagrams", Some(Mib::UdpInDatagrams)),
    ("NoPorts", Some(Mib::UdpNoPorts)),
    ("InErrors", Some(Mib::UdpInErrors)),
    ("OutDatagrams", Some(Mib::UdpOutDatagrams)),
    ("RcvbufErrors", Some(Mib::UdpRcvbufErrors)),
    ("SndbufErrors", Some(Mib::UdpSndbufErrors)),
    ("InCsumErrors", Some(Mib::UdpInCsumErrors)),
    ("IgnoredMulti", Some(Mib::UdpIgnoredMulti)),
    ("MemErrors", None),
];
/// UDP-Lite has one column less, and nobody who uses it.
const UDP_LITE: &[&str] = &[
    "InDatagrams",
    "NoPorts",
    "InErrors",
    "OutDatagrams",
    "RcvbufErrors",
    "SndbufErrors",
    "InCsumErrors",
    "MemErrors",
];
/// ICMPv6 types with a name (`icmp6type2name`), by number.
const TYPES: &[(u8, &str)] = &[
    (1, "DestUnreachs"),
    (2, "PktTooBigs"),
    (3, "TimeExcds"),
    (4, "ParmProblems"),
    (128, "Echos"),
    (129, "EchoReplies"),
    (130, "GroupMembQueries"),
    (131, "GroupMembResponses"),
    (132, "GroupMembReductions"),
    (133, "RouterSolicits"),
    (134, "RouterAdvertisements"),
    (135, "NeighborSolicits"),
    (136, "NeighborAdvertisements"),
    (137, "Redirects"),
    (143, "MLDv2Reports"),
];

/// The counters of the namespace (`snmp6_seq_show`).
pub(super) fn snmp6(kernel: &Kernel, ns: NsId) -> String {
    let mib = &kernel.ns(ns).mib;
    let mut text = String::new();
    let mut say = |name: String, value: u64| text += &format!("{name:<32}\t{value}\n");
    group(&mut say, "Ip6", IP, mib);
    group(&mut say, "Icmp6", ICMP, mib);
    for (kind, name) in TYPES {
        say(format!("Icmp6In{name}"), mib.icmp6_type(*kind).0.into());
    }
    for (kind, name) in TYPES {
        say(format!("Icmp6Out{name}"), mib.icmp6_type(*kind).1.into());
    }
    // Every type that occurred once more by its number, received before sent (`icmpv6msg`).
    for kind in 0..=u8::MAX {
        if let n @ 1.. = mib.icmp6_type(kind).0 {
            say(format!("Icmp6InType{kind}"), n.into());
        }
    }
    for kind in 0..=u8::MAX {
        if let n @ 1.. = mib.icmp6_type(kind).1 {
            say(format!("Icmp6OutType{kind}"), n.into());
        }
    }
    group(&mut say, "Udp6", UDP, mib);
    for name in UDP_LITE {
        say(format!("UdpLite6{name}"), 0);
    }
    text
}

fn group(say: &mut impl FnMut(String, u64), head: &str, names: &[(&str, Option<Mib>)], mib: &Counters) {
    for (name, counter) in names {
        say(format!("{head}{name}"), counter.map_or(0, |m| mib.get6(m)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_of_ipv6_has_a_line() {
        let shown = |m: Mib| [IP, ICMP, UDP].iter().any(|t| t.iter().any(|(_, c)| *c == Some(m)));
        for m in Mib::ALL.iter().filter(|m| m.group() == "Ip6") {
            assert!(shown(*m), "{m:?}");
        }
    }

    /// The lines of a real namespace.
    #[test]
    fn names_and_values() {
        let mut k = Kernel::new(1);
        let ns = k.add_namespace("a").unwrap();
        let mib = &mut k.ns_mut(ns).mib;
        mib.add6(Mib::IpInReceives, 4);
        mib.add6(Mib::IcmpOutMsgs, 5);
        (0..5).for_each(|_| mib.icmp6_out(143));
        let text = snmp6(&k, ns);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 87);
        assert_eq!(lines[0], "Ip6InReceives                   \t4");
        assert_eq!(lines[35], "Icmp6OutMsgs                    \t5");
        assert_eq!(lines[68], "Icmp6OutMLDv2Reports            \t5");
        assert_eq!(lines[69], "Icmp6OutType143                 \t5");
        assert_eq!(lines[86], "UdpLite6MemErrors               \t0");
    }
}
