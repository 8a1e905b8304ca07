//! Packets in words, packets checked, packets built: the only door to etherparse.
//!
//! None of this is on the hot path. Because etherparse shares no code with [`super::checksum`], [`super::ip`] and their
//! neighbours, [`verify`] is an independent witness: tests ask it about every packet on every tap.

pub mod build;
mod control;
mod verify;
mod words;

#[cfg(test)]
mod agreement;

pub use verify::{Flaw, verify};

/// What a captured packet begins with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LinkKind {
    /// An Ethernet header.
    Ethernet,
    /// An IPv4 or IPv6 header: `lo` and IP tunnels.
    Ip,
}

/// Describes a packet in one line, in the manner of tcpdump. MAC addresses are left out unless they matter.
///
/// Takes any bytes. What is cut off, unknown or nested too deeply is named as such.
///
/// ```
/// use netsim::wire::dissect::{LinkKind, build, summary};
/// let packet = build::ip([10, 0, 0, 1], [203, 0, 113, 10]).df().echo(1001, 1, &[0; 56]);
/// assert_eq!(
///     summary(&packet, LinkKind::Ip),
///     "IP 10.0.0.1>203.0.113.10 ttl=64 df ICMP echo-request id=1001 seq=1 len=56"
/// );
/// assert_eq!(summary(&packet[..7], LinkKind::Ip), "IP truncated(7)");
/// ```
pub fn summary(bytes: &[u8], link: LinkKind) -> String {
    let mut line = String::new();
    let done = match link {
        LinkKind::Ethernet => words::frame(&mut line, bytes, words::DEPTH),
        LinkKind::Ip => words::packet(&mut line, bytes, words::DEPTH),
    };
    done.expect("writing to a String cannot fail");
    line
}
