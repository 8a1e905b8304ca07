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

/// 2⁶⁴ divided by the golden ratio: its multiples differ in all bits.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of bytes that depends on a seed and on the position only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern(pub(super) u64);

impl Pattern {
    /// Fills `b` with the bytes from position `at` on.
    pub(super) fn fill(self, at: u64, b: &mut [u8]) {
        // The bytes of one word are computed together: a transfer would spend more on its pattern than on TCP.
        let head = (at.wrapping_neg() % 8).min(b.len() as u64) as usize;
        let (first, rest) = b.split_at_mut(head);
        first.copy_from_slice(&self.word(at / 8).to_le_bytes()[(at % 8) as usize..][..head]);
        let from = at.div_ceil(8);
        let (words, last) = rest.as_chunks_mut();
        for (n, bytes) in (from..).zip(&mut *words) {
            *bytes = self.word(n).to_le_bytes();
        }
        last.copy_from_slice(&self.word(from + words.len() as u64).to_le_bytes()[..last.len()]);
    }

    /// SplitMix64.
    fn word(self, n: u64) -> u64 {
        let mut z = self.0.wrapping_add(n.wrapping_add(1).wrapping_mul(GOLDEN));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A running digest of a stream: both ends of a connection compare theirs. It does not depend on how the stream was cut.
///
/// A sum over words of eight bytes, each mixed with its number by a folded multiplication: one word does not wait for the
/// one before, which makes it ten times as fast as a byte-wise FNV-1a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    sum: u64,
    /// Bytes so far.
    len: u64,
    /// Bytes of the word that is not yet complete, from the least significant one on.
    partial: u64,
}

impl Default for Digest {
    fn default() -> Digest {
        Digest { sum: 0xcbf2_9ce4_8422_2325, len: 0, partial: 0 }
    }
}

impl Digest {
    pub(super) fn add(&mut self, data: &[u8]) {
        let have = (self.len % 8) as usize;
        let (first, rest) = data.split_at(((8 - have) % 8).min(data.len()));
        for byte in first {
            self.push(*byte);
        }
        let (words, last) = rest.as_chunks();
        // In local variables: the loop is most of what a program does with a large transfer.
        let (mut sum, mut number) = (self.sum, self.number());
        for w in words {
            sum = sum.wrapping_add(mixed(u64::from_le_bytes(*w), number));
            number = number.wrapping_add(GOLDEN);
        }
        self.sum = sum;
        self.len += words.len() as u64 * 8;
        for byte in last {
            self.push(*byte);
        }
    }

    fn push(&mut self, byte: u8) {
        self.partial |= u64::from(byte) << (self.len % 8 * 8);
        if self.len % 8 == 7 {
            self.sum = self.with(self.partial);
            self.partial = 0;
        }
        self.len += 1;
    }

    /// What the word at the current position is mixed with.
    fn number(&self) -> u64 {
        (self.len / 8 + 1).wrapping_mul(GOLDEN)
    }

    /// The sum with the word at the current position.
    fn with(&self, word: u64) -> u64 {
        self.sum.wrapping_add(mixed(word, self.number()))
    }

    pub(super) fn value(self) -> u64 {
        self.with(self.partial) ^ self.len
    }
}

/// A folded multiplication.
#[inline]
fn mixed(word: u64, number: u64) -> u64 {
    let product = u128::from(word ^ number) * 0xa076_1d64_78bd_642f;
    product as u64 ^ (product >> 64) as u64
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
        for (i, byte) in whole.iter().enumerate() {
            let mut one = [0];
            Pattern(7).fill(3 + i as u64, &mut one);
            assert_eq!(one, [*byte]);
        }
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
        assert_ne!(of(&[]), 0);
        assert_ne!(of(&[]), of(&[&[0]]), "zeros at the end count");
        let data: Vec<u8> = (0..=255).collect();
        for cut in 0..data.len() {
            let (a, b) = data.split_at(cut);
            assert_eq!(of(&[a, b]), of(&[&data]), "{cut}");
            let mut flipped = data.clone();
            flipped[cut] ^= 1;
            assert_ne!(of(&[&flipped]), of(&[&data]), "{cut}");
        }
        let swapped: Vec<u8> = data[8..16].iter().chain(&data[..8]).chain(&data[16..]).copied().collect();
        assert_ne!(of(&[&swapped]), of(&[&data]));
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
