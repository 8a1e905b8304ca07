//! The key of one direction of a flow, as conntrack has it: like [`Tuple`], but with the type and code of ICMP.

use crate::{
    base::{Map, Tuple, proto},
    wire::{IpHeader, be16, icmp},
};
use std::net::IpAddr;

/// One direction of a flow (`struct nf_conntrack_tuple`).
///
/// For ICMP `sport` is the identifier and `dport` holds type and code, so that the echo requests of two hosts to each
/// other are two flows even if their identifiers are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Flow {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub sport: u16,
    pub dport: u16,
    pub proto: u8,
}

impl Flow {
    /// The flow of a whole packet or first fragment whose upper layer starts at `l4` (`nf_ct_get_tuple`). `None` if the
    /// upper layer is cut off before its ports or identifier.
    #[inline]
    pub fn of(ip: &IpHeader, l4: &[u8]) -> Option<Flow> {
        let (sport, dport) = match ip.proto {
            proto::TCP | proto::UDP if l4.len() >= 4 => (be16(l4, 0), be16(l4, 2)),
            proto::ICMP | proto::ICMPV6 if l4.len() >= icmp::HEADER => (be16(l4, 4), be16(l4, 0)),
            proto::TCP | proto::UDP | proto::ICMP | proto::ICMPV6 => return None,
            // GRE version 0 and everything else: addresses only (gre_pkt_to_tuple, default of nf_ct_get_tuple).
            _ => (0, 0),
        };
        Some(Flow { src: ip.src, dst: ip.dst, sport, dport, proto: ip.proto })
    }

    /// Whether both ICMP types of a request and its reply are known, or the protocol is another.
    pub fn invertible(&self) -> bool {
        !self.is_icmp() || inverse_icmp_type(self.proto, self.icmp_type()).is_some()
    }

    /// The flow of the packets that come back (`nf_ct_invert_tuple`). An ICMP type without counterpart stays as it is.
    #[inline]
    pub fn inverse(&self) -> Flow {
        let (sport, dport) = if self.is_icmp() {
            let kind = self.icmp_type();
            let back = inverse_icmp_type(self.proto, kind).unwrap_or(kind);
            (self.sport, (back as u16) << 8 | self.dport & 0xff)
        } else {
            (self.dport, self.sport)
        };
        Flow { src: self.dst, dst: self.src, sport, dport, proto: self.proto }
    }

    /// Whether the protocol is ICMP or ICMPv6.
    #[inline]
    pub fn is_icmp(&self) -> bool {
        matches!(self.proto, proto::ICMP | proto::ICMPV6)
    }

    /// The ICMP type; meaningless for other protocols.
    pub fn icmp_type(&self) -> u8 {
        (self.dport >> 8) as u8
    }

    /// The ICMP code; meaningless for other protocols.
    pub fn icmp_code(&self) -> u8 {
        self.dport as u8
    }

    /// The same as the rest of netsim writes it: for ICMP both ports are the identifier.
    #[inline]
    pub fn tuple(&self) -> Tuple {
        let dport = if self.is_icmp() { self.sport } else { self.dport };
        Tuple { src: self.src, dst: self.dst, sport: self.sport, dport, proto: self.proto }
    }
}

/// The answer's type to a request's and back (`invmap` of nf_conntrack_proto_icmp.c and …icmpv6.c).
fn inverse_icmp_type(protocol: u8, kind: u8) -> Option<u8> {
    match (protocol, kind) {
        (proto::ICMP, icmp::ECHO_REPLY) => Some(icmp::ECHO),
        (proto::ICMP, icmp::ECHO) => Some(icmp::ECHO_REPLY),
        // Timestamp 13/14, information 15/16, address mask 17/18: request odd, reply even.
        (proto::ICMP, 13 | 15 | 17) => Some(kind + 1),
        (proto::ICMP, 14 | 16 | 18) => Some(kind - 1),
        (proto::ICMPV6, icmp::v6::ECHO) => Some(icmp::v6::ECHO_REPLY),
        (proto::ICMPV6, icmp::v6::ECHO_REPLY) => Some(icmp::v6::ECHO),
        // Node information query and reply, RFC 4620.
        (proto::ICMPV6, 139) => Some(140),
        (proto::ICMPV6, 140) => Some(139),
        _ => None,
    }
}

/// Which entry a flow belongs to, and in which direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hit {
    pub slot: u32,
    pub reply: bool,
}

/// Both directions of every confirmed entry: the kernel's `nf_conntrack_hash`. IPv4 keys are packed into one word.
#[derive(Default)]
pub(crate) struct Index {
    v4: Map<u128, u32>,
    v6: Map<Flow, u32>,
}

impl Index {
    /// The entry `flow` belongs to.
    #[inline]
    pub fn get(&self, flow: &Flow) -> Option<Hit> {
        let packed = match packed(flow) {
            Some(key) => self.v4.get(&key),
            None => self.v6.get(flow),
        }?;
        Some(Hit { slot: packed >> 1, reply: packed & 1 == 1 })
    }

    /// Enters a direction of an entry. The caller has checked that the place is free.
    pub fn insert(&mut self, flow: &Flow, hit: Hit) {
        let value = hit.slot << 1 | hit.reply as u32;
        let before = match packed(flow) {
            Some(key) => self.v4.insert(key, value),
            None => self.v6.insert(*flow, value),
        };
        assert!(before.is_none(), "two conntrack entries with the tuple {:?}", flow.tuple());
    }

    /// Takes a direction out.
    pub fn remove(&mut self, flow: &Flow) {
        match packed(flow) {
            Some(key) => self.v4.remove(&key),
            None => self.v6.remove(flow),
        };
    }
}

/// Addresses, ports and protocol of an IPv4 flow in one word: 104 bits of 128.
#[inline]
fn packed(f: &Flow) -> Option<u128> {
    match (f.src, f.dst) {
        (IpAddr::V4(s), IpAddr::V4(d)) => Some(
            (u32::from(s) as u128) << 72
                | (u32::from(d) as u128) << 40
                | (f.sport as u128) << 24
                | (f.dport as u128) << 8
                | f.proto as u128,
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ip::IpFields;

    fn flow(src: &str, dst: &str, sport: u16, dport: u16, proto: u8) -> Flow {
        Flow { src: src.parse().unwrap(), dst: dst.parse().unwrap(), sport, dport, proto }
    }

    #[test]
    fn two_hosts_may_ping_each_other_with_one_identifier() {
        let a = flow("10.0.0.1", "10.0.0.2", 7, 8 << 8, proto::ICMP);
        let b = flow("10.0.0.2", "10.0.0.1", 7, 8 << 8, proto::ICMP);
        assert_ne!(a.inverse(), b);
        assert_eq!(a.inverse().inverse(), a);
        assert_eq!(a.inverse().icmp_type(), 0);
        assert_eq!(a.tuple().inverse(), a.inverse().tuple());
    }

    #[test]
    fn every_request_has_its_reply_and_errors_have_none() {
        for (protocol, pairs) in
            [(proto::ICMP, &[(8, 0), (13, 14), (15, 16), (17, 18)][..]), (proto::ICMPV6, &[(128, 129), (139, 140)][..])]
        {
            for &(ask, answer) in pairs {
                assert_eq!(inverse_icmp_type(protocol, ask), Some(answer));
                assert_eq!(inverse_icmp_type(protocol, answer), Some(ask));
            }
        }
        assert!(!flow("10.0.0.1", "10.0.0.2", 0, 3 << 8, proto::ICMP).invertible());
        assert!(flow("10.0.0.1", "10.0.0.2", 0, 3 << 8, proto::UDP).invertible());
    }

    #[test]
    fn the_index_keeps_families_and_fields_apart() {
        let flows = [
            flow("10.0.0.1", "10.0.0.2", 1, 2, 17),
            flow("10.0.0.1", "10.0.0.2", 2, 1, 17),
            flow("10.0.0.1", "10.0.0.2", 1, 2, 6),
            flow("10.0.0.2", "10.0.0.1", 1, 2, 17),
            flow("::ffff:10.0.0.1", "::ffff:10.0.0.2", 1, 2, 17),
        ];
        let mut index = Index::default();
        for (i, f) in flows.iter().enumerate() {
            index.insert(f, Hit { slot: i as u32, reply: i % 2 == 1 });
        }
        for (i, f) in flows.iter().enumerate() {
            assert_eq!(index.get(f), Some(Hit { slot: i as u32, reply: i % 2 == 1 }));
            index.remove(f);
            assert_eq!(index.get(f), None);
        }
    }

    #[test]
    fn a_cut_off_header_has_no_flow() {
        let mut b = [0; 28];
        let fields = |p| IpFields {
            src: "10.0.0.1".parse().unwrap(),
            dst: "10.0.0.2".parse().unwrap(),
            proto: p,
            ttl: 64,
            tos: 0,
            df: false,
            id: 0,
        };
        for (p, need) in [(proto::TCP, 4), (proto::UDP, 4), (proto::ICMP, 8), (99, 0)] {
            fields(p).write(&mut b);
            let ip = IpHeader::parse(&b).unwrap();
            assert!(Flow::of(&ip, &b[20..20 + need]).is_some());
            if need > 0 {
                assert!(Flow::of(&ip, &b[20..20 + need - 1]).is_none());
            }
        }
    }
}
