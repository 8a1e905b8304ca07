//! Raw sockets: each gets a copy of every matching packet (raw(7)).

use super::{Sockets, demux::Arrival};
use crate::{
    base::{DevId, proto},
    wire::IpHeader,
};
use std::net::SocketAddr;

impl Sockets {
    /// Gives copies of `packet` (IP header first) to the raw sockets of its protocol, and says how many took one. An
    /// IPv4 raw socket reads the IP header too, an IPv6 one only the payload (RFC 3542 §3).
    pub fn raw_input(&mut self, ip: &IpHeader, packet: &[u8], iif: Option<DevId>) -> u32 {
        if self.raws.is_empty() {
            return 0;
        }
        let arrival = Arrival { local: SocketAddr::new(ip.dst, 0), remote: SocketAddr::new(ip.src, 0), iif };
        let payload = ip.payload(packet);
        let data = if ip.is_ipv4() { &packet[..ip.total_len.min(packet.len())] } else { payload };
        let mut taken = 0;
        for slot in self.find_raw(ip.proto, &arrival) {
            let hidden = self.get(slot).is_some_and(|s| {
                // ICMP_FILTER: a set bit hides the type; types above 31 are always shown.
                ip.proto == proto::ICMP && payload.first().is_some_and(|t| *t < 32 && s.opts.icmp_filter >> t & 1 != 0)
            });
            if !hidden && self.deliver(slot, &arrival, ip, data) {
                taken += 1;
            }
        }
        taken
    }

    /// Whether any raw socket of this protocol is open: unknown protocols then cause no ICMP error.
    pub fn has_raw(&self, protocol: u8) -> bool {
        self.raws.iter().filter_map(|r| self.get(*r)).any(|s| s.kind == super::SockKind::Raw(protocol))
    }
}
