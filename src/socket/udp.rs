//! UDP input (RFC 768, RFC 1122 §4.1.3).

use super::{Datagram, Sockets, demux::Arrival, shown};
use crate::{
    base::{DevId, Tuple, proto},
    trace::DropReason,
    wire::{IpHeader, be16, udp},
};
use std::net::SocketAddr;

/// What became of a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DatagramOutcome {
    /// It waits in this many sockets.
    Delivered(u32),
    /// Nobody is bound to the port: answer with port unreachable, unless it was a broadcast.
    NoSocket,
    /// It goes no further, for that reason.
    Dropped(DropReason),
}

impl Sockets {
    /// Hands a datagram to the socket it is for, or to all of them if `group` says that it was sent to a broadcast or
    /// group address. `l4` starts at the UDP header; `verify` asks for the checksum to be verified.
    pub fn udp_input(
        &mut self,
        ip: &IpHeader,
        l4: &[u8],
        iif: Option<DevId>,
        group: bool,
        verify: bool,
    ) -> DatagramOutcome {
        if l4.len() < udp::HEADER {
            return DatagramOutcome::Dropped(DropReason::HdrTrunc);
        }
        let len = be16(l4, 4) as usize;
        if len < udp::HEADER || len > l4.len() {
            return DatagramOutcome::Dropped(DropReason::HdrTrunc);
        }
        let l4 = &l4[..len];
        if verify && !udp::checksum_ok(l4, ip.src, ip.dst) {
            return DatagramOutcome::Dropped(DropReason::UdpCsum);
        }
        let tuple = Tuple { src: ip.src, dst: ip.dst, sport: be16(l4, 0), dport: be16(l4, 2), proto: proto::UDP };
        let arrival = Arrival::of(&tuple, iif);
        if group {
            let all = self.find_all_datagram(proto::UDP, &arrival);
            let taken = all.iter().filter(|slot| self.deliver(**slot, &arrival, ip, &l4[udp::HEADER..])).count();
            return match (all.len(), taken) {
                (0, _) => DatagramOutcome::NoSocket,
                (_, 0) => DatagramOutcome::Dropped(DropReason::SocketRcvBuff),
                (_, n) => DatagramOutcome::Delivered(n as u32),
            };
        }
        match self.find_datagram(proto::UDP, &arrival) {
            None => DatagramOutcome::NoSocket,
            Some(slot) if self.deliver(slot, &arrival, ip, &l4[udp::HEADER..]) => DatagramOutcome::Delivered(1),
            Some(_) => DatagramOutcome::Dropped(DropReason::SocketRcvBuff),
        }
    }

    /// Queues a payload in a socket and wakes its owner; false if the receive buffer is full.
    pub(super) fn deliver(&mut self, slot: u32, a: &Arrival, ip: &IpHeader, data: &[u8]) -> bool {
        let Some(s) = self.get_mut(slot) else { return false };
        if !s.inbox.admit(ip.total_len) {
            return false;
        }
        let port = s.local.port();
        let datagram = Datagram {
            from: shown(s.family, a.remote),
            to: shown(s.family, SocketAddr::new(a.local.ip(), port)),
            data: data.to_vec(),
            ttl: ip.ttl,
            tos: ip.tos,
            iif: a.iif,
        };
        s.inbox.push(datagram, ip.total_len);
        self.wake(slot);
        true
    }
}
