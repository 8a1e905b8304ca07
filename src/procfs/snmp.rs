//! `/proc/net/snmp` and `/proc/net/netstat`: pairs of lines, names above values.

use super::sockets::is_current;
use crate::{
    base::NsId,
    kernel::{
        Kernel, Namespace,
        mib::{Counters, Mib},
        sysctl::Knob,
    },
};

/// The columns of each group in the kernel's order (net/ipv4/proc.c, 6.18). A column without a counter here stays 0:
/// what it counts does not happen in a simulation.
const IP: &str = "Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards \
                  InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs \
                  FragFails FragCreates OutTransmits";
const ICMP: &str = "InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos \
                    InEchoReps InTimestamps InTimestampReps InAddrMasks InAddrMaskReps OutMsgs OutErrors \
                    OutRateLimitGlobal OutRateLimitHost OutDestUnreachs OutTimeExcds OutParmProbs OutSrcQuenchs \
                    OutRedirects OutEchos OutEchoReps OutTimestamps OutTimestampReps OutAddrMasks OutAddrMaskReps";
const TCP: &str = "RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs \
                   OutSegs RetransSegs InErrs OutRsts InCsumErrors";
const UDP: &str =
    "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors";
const IP_EXT: &str = "InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets \
                      InMcastOctets OutMcastOctets InBcastOctets OutBcastOctets InCsumErrors InNoECTPkts InECT1Pkts \
                      InECT0Pkts InCEPkts ReasmOverlaps";

/// IP, ICMP, TCP and UDP counters of the namespace (`snmp_seq_show`; RFC 4293, 4022, 4113).
pub(super) fn snmp(kernel: &Kernel, ns: NsId) -> String {
    let n = kernel.ns(ns);
    let established = n.sockets.as_ref().map_or(0, |s| s.list().filter(is_current).count());
    group(&n.mib, "Ip", IP, |column| own_ip(n, column))
        + &group(&n.mib, "Icmp", ICMP, |_| None)
        + &icmp_types(&n.mib)
        + &group(&n.mib, "Tcp", TCP, |column| own_tcp(established, column))
        + &group(&n.mib, "Udp", UDP, |_| None)
        + &group(&n.mib, "UdpLite", UDP, |_| None)
}

/// The `IpExt` part of `/proc/net/netstat` (`netstat_seq_show`). The `TcpExt` lines count the inner life of Linux's TCP,
/// which netsim does not have.
pub(super) fn netstat(kernel: &Kernel, ns: NsId) -> String {
    group(&kernel.ns(ns).mib, "IpExt", IP_EXT, |_| None)
}

fn own_ip(n: &Namespace, column: &str) -> Option<i64> {
    match column {
        // ipForwarding of RFC 4293: forwarding(1), notForwarding(2).
        "Forwarding" => Some(if n.knobs.on(Knob::IpForward) { 1 } else { 2 }),
        "DefaultTTL" => Some(n.knobs.get(Knob::DefaultTtl) as i64),
        _ => None,
    }
}

/// tcpRtoAlgorithm other(1), 200 ms to 120 s, no limit on connections: what Linux always says.
fn own_tcp(established: usize, column: &str) -> Option<i64> {
    match column {
        "RtoAlgorithm" => Some(1),
        "RtoMin" => Some(200),
        "RtoMax" => Some(120_000),
        "MaxConn" => Some(-1),
        "CurrEstab" => Some(established as i64),
        _ => None,
    }
}

/// A line of names and a line of values; `own` gives values that are not counters.
fn group(mib: &Counters, name: &str, columns: &str, own: impl Fn(&str) -> Option<i64>) -> String {
    let mut text = format!("{name}: {columns}\n{name}:");
    for column in columns.split(' ') {
        let counter = || Mib::ALL.iter().find(|m| m.group() == name && m.name() == column);
        match (own(column), counter()) {
            (Some(value), _) => text += &format!(" {value}"),
            (None, Some(m)) => text += &format!(" {}", mib.get(*m)),
            (None, None) => text += " 0",
        }
    }
    text + "\n"
}

/// ICMP messages by type, those that occurred, sixteen to a pair of lines (`icmpmsg_put`).
fn icmp_types(mib: &Counters) -> String {
    let seen: Vec<_> = mib.icmp_types().collect();
    let received = seen.iter().filter(|t| t.1 > 0).map(|t| (format!("InType{}", t.0), t.1));
    let sent = seen.iter().filter(|t| t.2 > 0).map(|t| (format!("OutType{}", t.0), t.2));
    let all: Vec<(String, u32)> = received.chain(sent).collect();
    let mut text = String::new();
    for some in all.chunks(16) {
        text += "IcmpMsg:";
        some.iter().for_each(|(name, _)| text += &format!(" {name}"));
        text += "\nIcmpMsg:";
        some.iter().for_each(|(_, value)| text += &format!(" {value}"));
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_column() {
        for m in Mib::ALL.iter().filter(|m| m.group() != "Ip6") {
            let columns = match m.group() {
                "Ip" => IP,
                "Icmp" => ICMP,
                "Tcp" => TCP,
                "Udp" => UDP,
                "IpExt" => IP_EXT,
                other => panic!("no file shows the group {other}"),
            };
            assert!(columns.split(' ').any(|c| c == m.name()), "{m:?}");
        }
    }

    /// The lines of a real namespace.
    #[test]
    fn values_stand_below_their_names() {
        let mut mib = Counters::default();
        mib.add(Mib::IcmpInMsgs, 2);
        mib.inc(Mib::IcmpInDestUnreachs);
        mib.inc(Mib::IcmpInEchoReps);
        mib.inc(Mib::IcmpOutMsgs);
        mib.inc(Mib::IcmpOutEchos);
        let text = group(&mib, "Icmp", ICMP, |_| None);
        assert_eq!(text.lines().nth(1).unwrap(), "Icmp: 2 0 0 1 0 0 0 0 0 1 0 0 0 0 1 0 0 0 0 0 0 0 0 1 0 0 0 0 0");
        let text = group(&mib, "Tcp", TCP, |c| own_tcp(2, c));
        assert_eq!(text.lines().nth(1).unwrap(), "Tcp: 1 200 120000 -1 0 0 0 0 2 0 0 0 0 0 0");
    }

    #[test]
    fn icmp_types_come_in_sixteens_received_first() {
        let mut mib = Counters::default();
        assert_eq!(icmp_types(&mib), "");
        mib.icmp_out(8);
        mib.icmp_in(3);
        mib.icmp_in(0);
        assert_eq!(icmp_types(&mib), "IcmpMsg: InType0 InType3 OutType8\nIcmpMsg: 1 1 1\n");
        (20..40).for_each(|t| mib.icmp_in(t));
        assert_eq!(icmp_types(&mib).lines().count(), 4);
    }
}
