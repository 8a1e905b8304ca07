//! Ping sockets: ICMP echo without privileges (net/ipv4/ping.c). The local port is the ICMP identifier.

use super::{Sockets, demux::Arrival, udp::DatagramOutcome};
use crate::{
    base::{DevId, Errno, proto},
    trace::DropReason,
    wire::{IpHeader, be16, icmp, put16},
};
use std::net::SocketAddr;

impl Sockets {
    /// Hands an echo reply to the ping socket with its identifier. `message` is the whole, already verified ICMP
    /// message.
    pub fn ping_input(&mut self, ip: &IpHeader, message: &[u8], iif: Option<DevId>) -> DatagramOutcome {
        if message.len() < icmp::HEADER {
            return DatagramOutcome::Dropped(DropReason::HdrTrunc);
        }
        let id = be16(message, 4);
        let arrival = Arrival { local: SocketAddr::new(ip.dst, id), remote: SocketAddr::new(ip.src, 0), iif };
        match self.find_datagram(proto::ICMP, &arrival) {
            None => DatagramOutcome::NoSocket,
            Some(slot) if self.deliver(slot, &arrival, ip, message) => DatagramOutcome::Delivered(1),
            Some(_) => DatagramOutcome::Dropped(DropReason::SocketRcvBuff),
        }
    }

    /// Checks what an app wants to send by a ping socket and writes the socket's identifier into it; the caller seals
    /// the checksum (`ping_v4_sendmsg`).
    ///
    /// # Errors
    /// `EINVAL` for anything but an echo request or for a message without a whole ICMP header; `EBADF`.
    pub(crate) fn ping_prepare(&self, slot: u32, message: &mut [u8]) -> Result<(), Errno> {
        let s = self.get(slot).ok_or(Errno::EBADF)?;
        let echo = if s.local.is_ipv4() { icmp::ECHO } else { icmp::v6::ECHO };
        if message.len() < icmp::HEADER || message[0] != echo || message[1] != 0 {
            return Err(Errno::EINVAL);
        }
        put16(message, 4, s.local.port());
        Ok(())
    }
}
