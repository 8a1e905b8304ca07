//! What waits in a socket: datagrams and errors, both charged to one receive buffer.

use super::options::RCVBUF_DEFAULT;
use crate::base::{DevId, Errno};
use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

/// At most this many bytes of the offending packet are kept with an error.
const QUOTE_MAX: usize = 128;

/// A datagram a socket received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it. The port is 0 for raw and ping sockets.
    pub from: SocketAddr,
    /// The address it was sent to, which may be a broadcast or group address, and the local port.
    pub to: SocketAddr,
    /// The payload; for a raw IPv4 socket the whole packet, for a ping socket the whole ICMP message.
    pub data: Vec<u8>,
    /// TTL or hop limit it arrived with.
    pub ttl: u8,
    /// TOS or traffic class it arrived with.
    pub tos: u8,
    /// The device it arrived by.
    pub iif: Option<DevId>,
}

/// Where an error in the error queue came from (`ee_origin`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorOrigin {
    /// This namespace refused to send (`SO_EE_ORIGIN_LOCAL`).
    Local,
    /// An ICMP or ICMPv6 message (`SO_EE_ORIGIN_ICMP`, `SO_EE_ORIGIN_ICMP6`).
    Icmp {
        /// Message type.
        kind: u8,
        /// Message code.
        code: u8,
    },
}

/// An entry of the error queue, as `recvmsg(MSG_ERRQUEUE)` returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketError {
    /// The error.
    pub errno: Errno,
    /// Where it came from.
    pub origin: ErrorOrigin,
    /// Who sent the ICMP message.
    pub offender: Option<IpAddr>,
    /// Where the packet that failed was going.
    pub dst: SocketAddr,
    /// The MTU for `EMSGSIZE`, else 0 (`ee_info`).
    pub info: u32,
    /// The start of the packet that failed: behind the UDP header, or from the ICMP header on.
    pub data: Vec<u8>,
}

impl SocketError {
    pub(crate) fn quote(data: &[u8]) -> Vec<u8> {
        data[..data.len().min(QUOTE_MAX)].to_vec()
    }
}

/// The kernel memory a received packet of `len` bytes (IP header included) is charged with (`skb->truesize`).
///
/// Data behind 31 bytes of link header and alignment, rounded up to cache lines, plus `skb_shared_info` in one
/// power-of-two slab object, plus the `sk_buff` itself. 277 datagrams of 5 bytes fill the default buffer.
///
/// ```
/// use netsim::socket::truesize;
/// assert_eq!(truesize(33), 768);
/// assert_eq!(truesize(1500), 2304);
/// ```
pub const fn truesize(len: usize) -> u32 {
    let data = (len + 31).div_ceil(64) * 64;
    ((data + 320).next_power_of_two() + 256) as u32
}

/// Datagrams and errors waiting in a socket. Both are charged to one limit, kept as a running total.
#[derive(Debug)]
pub(crate) struct Inbox {
    data: VecDeque<(Datagram, u32)>,
    errors: VecDeque<(SocketError, u32)>,
    used: u32,
    limit: u32,
    drops: u32,
}

impl Default for Inbox {
    fn default() -> Self {
        Inbox { data: VecDeque::new(), errors: VecDeque::new(), used: 0, limit: RCVBUF_DEFAULT, drops: 0 }
    }
}

impl Inbox {
    pub(crate) fn set_limit(&mut self, bytes: u32) {
        self.limit = bytes;
    }

    /// Whether a packet of `len` bytes finds room; counts a drop if not. An empty socket takes one packet of any size
    /// (`__udp_enqueue_schedule_skb`).
    pub(crate) fn admit(&mut self, len: usize) -> bool {
        let fits = self.used == 0 || self.used.saturating_add(truesize(len)) <= self.limit;
        self.drops = self.drops.saturating_add(!fits as u32);
        fits
    }

    /// Appends a datagram that came in a packet of `len` bytes; [`Inbox::admit`] was asked before.
    pub(crate) fn push(&mut self, d: Datagram, len: usize) {
        let charge = truesize(len);
        self.used = self.used.saturating_add(charge);
        self.data.push_back((d, charge));
    }

    pub(crate) fn pop(&mut self) -> Option<Datagram> {
        let (d, charge) = self.data.pop_front()?;
        self.used -= charge;
        Some(d)
    }

    /// Queues an error unless the buffer is full (`sock_queue_err_skb`).
    pub(crate) fn push_error(&mut self, e: SocketError) {
        let charge = truesize(e.data.len() + 28);
        if self.used + charge < self.limit {
            self.used += charge;
            self.errors.push_back((e, charge));
        }
    }

    pub(crate) fn pop_error(&mut self) -> Option<SocketError> {
        let (e, charge) = self.errors.pop_front()?;
        self.used -= charge;
        Some(e)
    }

    /// The errno of the oldest queued error if ICMP brought it: what `SO_ERROR` becomes after the one before was read.
    pub(crate) fn next_icmp_error(&self) -> Option<Errno> {
        self.errors.front().filter(|(e, _)| e.origin != ErrorOrigin::Local).map(|(e, _)| e.errno)
    }

    pub(crate) fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    pub(crate) fn has_error(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Bytes of kernel memory in use: the `rx_queue` column of `/proc/net/udp`.
    pub(crate) fn used(&self) -> u32 {
        self.used
    }

    /// Packets that found no room: the `drops` column.
    pub(crate) fn drops(&self) -> u32 {
        self.drops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram() -> Datagram {
        let any: SocketAddr = "10.0.0.1:9".parse().unwrap();
        Datagram { from: any, to: any, data: vec![1], ttl: 64, tos: 0, iif: None }
    }

    #[test]
    fn a_full_buffer_refuses_and_reading_makes_room() {
        let mut q = Inbox::default();
        let mut n = 0;
        while q.admit(33) {
            q.push(datagram(), 33);
            n += 1;
        }
        assert_eq!((n, q.drops()), (277, 1), "212992 / 768");
        assert!(q.pop().is_some());
        assert!(q.admit(33));
        for _ in 0..276 {
            assert!(q.pop().is_some());
        }
        assert_eq!((q.pop(), q.used()), (None, 0));
    }

    #[test]
    fn an_empty_socket_takes_one_packet_of_any_size() {
        let mut q = Inbox::default();
        q.set_limit(2304);
        assert!(q.admit(60_000));
        q.push(datagram(), 60_000);
        assert!(!q.admit(33));
    }

    #[test]
    fn errors_share_the_buffer() {
        let mut q = Inbox::default();
        q.set_limit(2304);
        let dst = "10.0.0.2:9".parse().unwrap();
        let e = SocketError {
            errno: Errno::ECONNREFUSED,
            origin: ErrorOrigin::Icmp { kind: 3, code: 3 },
            offender: None,
            dst,
            info: 0,
            data: vec![],
        };
        for _ in 0..100 {
            q.push_error(e.clone());
        }
        assert_eq!(q.errors.len(), 2, "the queue is bounded by the receive buffer");
        assert_eq!(q.next_icmp_error(), Some(Errno::ECONNREFUSED));
        assert!(!q.admit(1500));
        while q.pop_error().is_some() {}
        assert_eq!((q.used(), q.has_error(), q.has_data()), (0, false, false));
    }
}
