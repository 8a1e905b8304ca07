//! The digest of a trace: equal digests mean equal runs.

use super::{Names, Record};
use std::hash::{Hash, Hasher};

/// One hash chain per namespace, combined by namespace name, so that the digest depends neither on how namespaces are
/// spread over threads nor on the order in which they were built.
#[derive(Default)]
pub struct Digest {
    chains: Vec<Chain>,
}

impl Digest {
    /// Appends a record to its namespace's chain.
    pub fn record(&mut self, r: &Record<'_>) {
        let i = r.ns.index();
        if i >= self.chains.len() {
            self.chains.resize(i + 1, Chain::default());
        }
        let chain = &mut self.chains[i];
        r.time.hash(chain);
        r.dev.hash(chain);
        r.frame.hash(chain);
        r.event.hash(chain);
    }

    /// The digest so far.
    pub fn value(&self, names: &Names) -> u64 {
        let mut parts: Vec<(&str, u64)> = self
            .chains
            .iter()
            .enumerate()
            .filter(|(_, c)| c.0 != Chain::default().0)
            .map(|(i, c)| (names.ns(crate::base::NsId(i as u32)), c.0))
            .collect();
        parts.sort_unstable();
        let mut all = Chain::default();
        parts.hash(&mut all);
        all.0
    }
}

/// A 64-bit multiply-fold hash with fixed constants. Every integer is fed little-endian and `usize` as 64 bits, so the
/// value is the same on every platform and in every build.
#[derive(Clone, Copy)]
struct Chain(u64);

impl Default for Chain {
    fn default() -> Self {
        Chain(0x243f_6a88_85a3_08d3)
    }
}

impl Chain {
    #[inline]
    fn word(&mut self, w: u64) {
        // The product has 192 bits; the low 128 are kept, on purpose.
        let m = u128::from(self.0 ^ w).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = (m as u64) ^ ((m >> 64) as u64) ^ self.0.rotate_left(23);
    }
}

impl Hasher for Chain {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for w in words {
            self.word(u64::from_le_bytes(*w));
        }
        let mut tail = [0; 8];
        tail[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(tail) ^ ((rest.len() as u64 + 1) << 56));
    }

    fn write_u8(&mut self, i: u8) {
        self.word(i as u64);
    }
    fn write_u16(&mut self, i: u16) {
        self.word(i as u64);
    }
    fn write_u32(&mut self, i: u32) {
        self.word(i as u64);
    }
    fn write_u64(&mut self, i: u64) {
        self.word(i);
    }
    fn write_u128(&mut self, i: u128) {
        self.word(i as u64);
        self.word((i >> 64) as u64);
    }
    fn write_usize(&mut self, i: usize) {
        self.word(i as u64);
    }
    fn write_isize(&mut self, i: isize) {
        self.word(i as i64 as u64);
    }
    fn write_i64(&mut self, i: i64) {
        self.word(i as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::NsId, trace::Event};

    fn digest(names: &Names, lines: &[(NsId, &str)]) -> u64 {
        let mut d = Digest::default();
        for (ns, text) in lines {
            d.record(&Record { time: 1, ns: *ns, dev: None, frame: None, event: Event::Step { text } });
        }
        d.value(names)
    }

    #[test]
    fn order_counts_within_a_namespace_only() {
        let mut names = Names::default();
        let (a, b) = (names.add_ns("a"), names.add_ns("b"));
        let one = digest(&names, &[(a, "x"), (a, "y"), (b, "z")]);
        assert_eq!(one, digest(&names, &[(b, "z"), (a, "x"), (a, "y")]));
        assert_ne!(one, digest(&names, &[(a, "y"), (a, "x"), (b, "z")]));
        assert_ne!(one, digest(&names, &[(a, "x"), (a, "y"), (a, "z")]));
    }
}
