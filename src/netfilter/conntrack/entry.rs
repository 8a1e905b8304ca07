//! One tracked flow, and its line in `/proc/net/nf_conntrack`.

use super::{Tunables, flow::Flow, tcp::Tcp, tcp_state::TcpState};
use crate::base::{DevId, Mutant, SEC, Time, Tuple, mutated, proto};
use std::{
    fmt::Write,
    net::{IpAddr, Ipv6Addr},
};

/// The bits of an entry's status (`enum ip_conntrack_status`).
pub(crate) mod status {
    pub const SEEN_REPLY: u16 = 1 << 0;
    pub const ASSURED: u16 = 1 << 1;
    pub const CONFIRMED: u16 = 1 << 2;
    pub const SRC_NAT: u16 = 1 << 3;
    pub const DST_NAT: u16 = 1 << 4;
    pub const SRC_NAT_DONE: u16 = 1 << 5;
    pub const DST_NAT_DONE: u16 = 1 << 6;
    /// Out of the table; only the packet under way still refers to it.
    pub const DYING: u16 = 1 << 7;
    /// The slot is free.
    pub const VACANT: u16 = 1 << 8;
}

/// What the tracker of an entry's protocol remembers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Memory {
    /// ICMP and protocols without states.
    Plain,
    /// From when on the flow counts as a stream.
    Udp { stream_at: Time },
    /// GRE keeps the timeouts it was created with, in seconds.
    Gre { timeout: u32, stream: u32 },
    /// TCP.
    Tcp(Tcp),
}

/// A tracked flow (`struct nf_conn`). The fields a packet of an open flow touches come first and fill two cache lines.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Entry {
    pub(crate) generation: u32,
    pub(crate) status: u16,
    pub(crate) expires: Time,
    /// The device a masquerade rule chose the address of.
    pub(crate) masq_dev: Option<DevId>,
    /// Packets and bytes per direction, if counted.
    pub(crate) acct: Option<Box<[Count; 2]>>,
    pub(crate) original: Flow,
    pub(crate) reply: Flow,
    pub(crate) memory: Memory,
    pub(crate) mark: u32,
    /// Neighbours in the list of entries with the same source, newest first; slot numbers.
    pub(crate) src_prev: Option<u32>,
    pub(crate) src_next: Option<u32>,
    /// Counts the entries of the namespace: their order of creation.
    pub(crate) seq: u64,
}

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes, IP header included.
    pub bytes: u64,
}

impl Entry {
    #[inline]
    pub(crate) fn has(&self, bits: u16) -> bool {
        self.status & bits != 0
    }

    /// The flow of one direction.
    #[inline]
    pub(crate) fn dir(&self, reply: bool) -> &Flow {
        if reply { &self.reply } else { &self.original }
    }

    /// Addresses and ports of the first packet, before any translation.
    pub fn original(&self) -> Tuple {
        self.original.tuple()
    }

    /// Addresses and ports of the packets that come back, before they are translated back.
    pub fn reply(&self) -> Tuple {
        self.reply.tuple()
    }

    /// IP protocol.
    pub fn proto(&self) -> u8 {
        self.original.proto
    }

    /// TCP: the state of the connection.
    pub fn tcp_state(&self) -> Option<TcpState> {
        match &self.memory {
            Memory::Tcp(tcp) => Some(tcp.state),
            _ => None,
        }
    }

    /// ICMP: type and code of the original direction.
    pub fn icmp(&self) -> Option<(u8, u8)> {
        self.original.is_icmp().then(|| (self.original.icmp_type(), self.original.icmp_code()))
    }

    /// Whole seconds until the entry expires, 0 if it has.
    pub fn timeout(&self, now: Time) -> u64 {
        self.expires.saturating_sub(now) / SEC
    }

    /// Whether lookups no longer see it.
    #[inline]
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires <= now && !mutated(Mutant::NeverForgets)
    }

    /// No packet has come back yet.
    pub fn unreplied(&self) -> bool {
        !self.has(status::SEEN_REPLY)
    }

    /// Too valuable to be dropped early when the table is full.
    pub fn assured(&self) -> bool {
        self.has(status::ASSURED)
    }

    /// Whether the source of the original direction is translated.
    pub fn src_nat(&self) -> bool {
        self.has(status::SRC_NAT)
    }

    /// Whether the destination of the original direction is translated.
    pub fn dst_nat(&self) -> bool {
        self.has(status::DST_NAT)
    }

    /// The connection mark.
    pub fn mark(&self) -> u32 {
        self.mark
    }

    /// Packets and bytes of the original and the reply direction, if `nf_conntrack_acct` was on at its creation.
    pub fn counts(&self) -> Option<[Count; 2]> {
        self.acct.as_deref().copied()
    }

    /// The entry's line of `/proc/net/nf_conntrack` without the line feed (`ct_seq_show`, checked against 6.18).
    pub fn proc_line(&self, now: Time) -> String {
        let mut s = String::with_capacity(192);
        let family = if self.original.src.is_ipv4() { ("ipv4", 2) } else { ("ipv6", 10) };
        let fill = |s: &mut String| -> std::fmt::Result {
            write!(s, "{:<8} {} {:<8} {} ", family.0, family.1, proto_name(self.proto()), self.proto())?;
            write!(s, "{} ", self.timeout(now))?;
            match &self.memory {
                Memory::Tcp(tcp) => write!(s, "{} ", tcp.state.name())?,
                Memory::Gre { timeout, stream } => write!(s, "timeout={timeout}, stream_timeout={stream} ")?,
                Memory::Udp { .. } | Memory::Plain => {}
            }
            write_flow(s, &self.original)?;
            self.write_count(s, 0)?;
            if self.unreplied() {
                s.push_str("[UNREPLIED] ");
            }
            write_flow(s, &self.reply)?;
            self.write_count(s, 1)?;
            if self.assured() {
                s.push_str("[ASSURED] ");
            }
            write!(s, "mark={} zone=0 use=2", self.mark)
        };
        fill(&mut s).expect("writing to a string cannot fail");
        s
    }

    fn write_count(&self, s: &mut String, dir: usize) -> std::fmt::Result {
        match &self.acct {
            Some(acct) => write!(s, "packets={} bytes={} ", acct[dir].packets, acct[dir].bytes),
            None => Ok(()),
        }
    }

    /// A fresh entry for a first packet, not yet in the table.
    pub(crate) fn new(original: Flow, memory: Memory, seq: u64, generation: u32, t: &Tunables) -> Entry {
        Entry {
            reply: original.inverse(),
            original,
            status: 0,
            generation,
            expires: Time::MAX,
            memory,
            seq,
            mark: 0,
            masq_dev: None,
            src_prev: None,
            src_next: None,
            acct: (t.acct != 0).then(Box::default),
        }
    }
}

/// `l4proto_name` of nf_conntrack_standalone.c.
fn proto_name(protocol: u8) -> &'static str {
    match protocol {
        proto::ICMP => "icmp",
        proto::TCP => "tcp",
        proto::UDP => "udp",
        33 => "dccp",
        proto::GRE => "gre",
        132 => "sctp",
        136 => "udplite",
        proto::ICMPV6 => "icmpv6",
        _ => "unknown",
    }
}

/// `print_tuple` of nf_conntrack_standalone.c. Tunnels without keys have key 0; untracked protocols only addresses.
fn write_flow(s: &mut String, f: &Flow) -> std::fmt::Result {
    for (name, addr) in [("src", f.src), ("dst", f.dst)] {
        match addr {
            IpAddr::V4(a) => write!(s, "{name}={a} ")?,
            IpAddr::V6(a) => write!(s, "{name}={} ", Expanded(a))?,
        }
    }
    match f.proto {
        proto::TCP | proto::UDP => write!(s, "sport={} dport={} ", f.sport, f.dport),
        proto::ICMP | proto::ICMPV6 => write!(s, "type={} code={} id={} ", f.icmp_type(), f.icmp_code(), f.sport),
        proto::GRE => s.write_str("srckey=0x0 dstkey=0x0 "),
        _ => Ok(()),
    }
}

/// An IPv6 address with all its zeros, the kernel's `%pI6`.
struct Expanded(Ipv6Addr);

impl std::fmt::Display for Expanded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g, h, i] = self.0.segments();
        write!(f, "{a:04x}:{b:04x}:{c:04x}:{d:04x}:{e:04x}:{g:04x}:{h:04x}:{i:04x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::{SYN, Segment};

    fn entry(src: &str, dst: &str, sport: u16, dport: u16, protocol: u8, memory: Memory) -> Entry {
        let flow = Flow { src: src.parse().unwrap(), dst: dst.parse().unwrap(), sport, dport, proto: protocol };
        let mut e = Entry::new(flow, memory, 0, 0, &Tunables::default());
        e.expires = 30 * SEC;
        e
    }

    /// Lines read from a 6.18 kernel, byte for byte.
    #[test]
    fn lines_as_the_kernel_prints_them() {
        let mut e = entry("10.0.0.1", "10.0.0.2", 7, 13 << 8, proto::ICMP, Memory::Plain);
        e.status |= status::SEEN_REPLY;
        assert_eq!(
            e.proc_line(SEC / 10),
            "ipv4     2 icmp     1 29 src=10.0.0.1 dst=10.0.0.2 type=13 code=0 id=7 src=10.0.0.2 dst=10.0.0.1 \
             type=14 code=0 id=7 mark=0 zone=0 use=2"
        );
        let e = entry("fd00::1", "fd00::2", 51232, 9999, proto::UDP, Memory::Udp { stream_at: 0 });
        assert_eq!(
            e.proc_line(1),
            "ipv6     10 udp      17 29 src=fd00:0000:0000:0000:0000:0000:0000:0001 \
             dst=fd00:0000:0000:0000:0000:0000:0000:0002 sport=51232 dport=9999 [UNREPLIED] \
             src=fd00:0000:0000:0000:0000:0000:0000:0002 dst=fd00:0000:0000:0000:0000:0000:0000:0001 sport=9999 \
             dport=51232 mark=0 zone=0 use=2"
        );
        let mut e = entry("10.0.0.1", "10.0.0.2", 0, 0, 99, Memory::Plain);
        e.expires = 600 * SEC;
        assert_eq!(
            e.proc_line(1),
            "ipv4     2 unknown  99 599 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 mark=0 \
             zone=0 use=2"
        );
        let e = entry("10.0.0.1", "10.0.0.2", 0, 0, proto::GRE, Memory::Gre { timeout: 30, stream: 180 });
        assert_eq!(
            e.proc_line(1),
            "ipv4     2 gre      47 29 timeout=30, stream_timeout=180 src=10.0.0.1 dst=10.0.0.2 srckey=0x0 \
             dstkey=0x0 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 srckey=0x0 dstkey=0x0 mark=0 zone=0 use=2"
        );
        let mut e = entry("10.0.0.1", "10.0.0.2", 59414, 9998, proto::UDP, Memory::Udp { stream_at: 0 });
        e.acct = Some(Box::new([Count { packets: 2, bytes: 58 }, Count::default()]));
        assert_eq!(
            e.proc_line(0),
            "ipv4     2 udp      17 30 src=10.0.0.1 dst=10.0.0.2 sport=59414 dport=9998 packets=2 bytes=58 \
             [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=9998 dport=59414 packets=0 bytes=0 mark=0 zone=0 use=2"
        );
    }

    #[test]
    fn a_tcp_line_names_the_state() {
        let syn = Segment { sport: 1, dport: 2, seq: 1, ack: 0, flags: SYN, window: 1, header_len: 20, len: 0 };
        let mut tcp = Tcp::new(&syn, &[], &Tunables::default()).unwrap();
        tcp.state = TcpState::Established;
        let mut e = entry("127.0.0.1", "127.0.0.1", 44096, 8080, proto::TCP, Memory::Tcp(tcp));
        e.status |= status::SEEN_REPLY | status::ASSURED;
        e.expires = 432_000 * SEC;
        assert_eq!(
            e.proc_line(0),
            "ipv4     2 tcp      6 432000 ESTABLISHED src=127.0.0.1 dst=127.0.0.1 sport=44096 dport=8080 \
             src=127.0.0.1 dst=127.0.0.1 sport=8080 dport=44096 [ASSURED] mark=0 zone=0 use=2"
        );
        assert_eq!(e.timeout(500_000 * SEC), 0);
        assert!(e.is_expired(432_000 * SEC));
    }
}
