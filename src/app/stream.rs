//! What the TCP programs share: connecting, a pattern to send, a digest of what arrived, and times in words.

use super::Context;
use crate::{
    base::{Errno, MS, SockId, Time},
    socket::{Family, SockKind, tcp::TcpState},
};
use std::net::SocketAddr;

/// Most lines a server prints, and most peers it remembers.
pub(super) const MAX_PEERS: usize = 1024;

/// The family of an address.
pub(super) fn family(a: SocketAddr) -> Family {
    if a.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// An address as people write it: mapped IPv4 addresses without their prefix.
pub(super) fn plain(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip().to_canonical(), a.port())
}

/// Starts connecting; success means that the attempt is under way.
pub(super) fn connect(cx: &mut Context<'_>, to: SocketAddr, bind: Option<SocketAddr>) -> Result<SockId, Errno> {
    let sock = cx.kernel.socket(cx.ns, family(to), SockKind::Tcp, Some(cx.app))?;
    let connected = bind.map_or(Ok(()), |at| cx.kernel.bind(sock, at)).and_then(|()| cx.kernel.connect(sock, to));
    match connected {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(sock),
        Err(e) => {
            cx.kernel.close(sock);
            Err(e)
        }
    }
}

/// How a connection attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Waiting,
    Connected,
    Failed(Errno),
}

/// Asks how a connection attempt stands. Call it until it no longer says [`Attempt::Waiting`].
pub(super) fn attempt(cx: &mut Context<'_>, sock: SockId) -> Attempt {
    match cx.kernel.tcp_state(sock) {
        Some(TcpState::SynSent | TcpState::SynReceived) => {
            // Looking at the socket asks to be told again.
            let _ = cx.kernel.recv(sock, &mut []);
            Attempt::Waiting
        }
        Some(TcpState::Closed) | None => Attempt::Failed(cx.kernel.take_error(sock).unwrap_or(Errno::ECONNABORTED)),
        // Established, or the peer has closed already: there may be something to read.
        Some(_) => Attempt::Connected,
    }
}

/// Opens a listening socket.
pub(super) fn listen(cx: &mut Context<'_>, at: SocketAddr, backlog: usize) -> Result<SockId, Errno> {
    let sock = cx.kernel.socket(cx.ns, family(at), SockKind::Tcp, Some(cx.app))?;
    cx.kernel.set_option(sock, crate::socket::SockOpt::ReuseAddr(true))?;
    cx.kernel.bind(sock, at)?;
    cx.kernel.listen(sock, backlog)?;
    Ok(sock)
}

/// Milliseconds with one decimal.
pub(super) fn milliseconds(t: Time) -> String {
    let tenths = (t + MS / 20) / (MS / 10);
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

/// Bytes as text for a line: what is not printable ASCII is escaped, what is long is cut off.
pub(super) fn preview(data: &[u8]) -> String {
    const SHOWN: usize = 32;
    let text = data[..data.len().min(SHOWN)].escape_ascii().to_string();
    if data.len() > SHOWN { format!("\"{text}\"…") } else { format!("\"{text}\"") }
}

/// A stream of bytes that depends on a seed and on the position only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern(pub(super) u64);

impl Pattern {
    /// Fills `b` with the bytes from position `at` on.
    pub(super) fn fill(self, at: u64, b: &mut [u8]) {
        for (i, byte) in b.iter_mut().enumerate() {
            let position = at + i as u64;
            *byte = (self.word(position / 8) >> (position % 8 * 8)) as u8;
        }
    }

    /// SplitMix64.
    fn word(self, n: u64) -> u64 {
        let mut z = self.0.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A running FNV-1a hash: both ends of a connection compare theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub(super) fn add(&mut self, data: &[u8]) {
        for byte in data {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(super) fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_does_not_depend_on_how_it_is_cut() {
        let (mut whole, mut parts) = ([0; 100], [0; 100]);
        Pattern(7).fill(3, &mut whole);
        for (i, b) in parts.chunks_mut(9).enumerate() {
            Pattern(7).fill(3 + 9 * i as u64, b);
        }
        assert_eq!(whole, parts);
        let mut other = [0; 100];
        Pattern(8).fill(3, &mut other);
        assert_ne!(whole, other);
    }

    #[test]
    fn a_digest_notices_order() {
        let of = |parts: &[&[u8]]| {
            let mut d = Digest::default();
            parts.iter().for_each(|p| d.add(p));
            d.value()
        };
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"abc"]));
        assert_ne!(of(&[b"acb"]), of(&[b"abc"]));
        assert_eq!(of(&[]), 0xcbf2_9ce4_8422_2325);
    }

    #[test]
    fn words() {
        assert_eq!(milliseconds(40_249_999), "40.2 ms");
        assert_eq!(milliseconds(0), "0.0 ms");
        assert_eq!(preview(b"hello\n"), "\"hello\\n\"");
        assert_eq!(preview(&[0; 40]).chars().filter(|c| *c == 'x').count(), 32);
        assert!(preview(&[b'a'; 33]).ends_with('…'));
    }
}
