//! Random streams. Each is keyed by (seed, entity name), so adding a bystander changes nobody's draws.

/// A small fast generator (SplitMix64, Steele et al., OOPSLA 2014): 64 bits of state, period 2^64.
///
/// ```
/// use netsim::base::Rng;
/// let mut a = Rng::keyed(7, &["host", "eth0"]);
/// let mut b = Rng::keyed(7, &["host", "eth0"]);
/// assert_eq!(a.next_u64(), b.next_u64());
/// assert_ne!(Rng::keyed(7, &["host", "eth1"]).next_u64(), Rng::keyed(8, &["host", "eth1"]).next_u64());
/// ```
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of the entity called `name` under `seed`.
    pub fn keyed(seed: u64, name: &[&str]) -> Rng {
        Rng(mix(seed ^ mix(key_of(name))))
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.0)
    }

    /// A uniform number below `n`; 0 if `n` is 0. Multiply-shift (Lemire): the bias is below n/2^64.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((self.next_u64() as u128 * n as u128) >> 64) as u64
    }

    /// A uniform number in `lo..=hi`. Panics if `lo > hi`.
    pub fn between(&mut self, lo: u64, hi: u64) -> u64 {
        assert!(lo <= hi, "an empty range has no random member");
        if lo == 0 && hi == u64::MAX { self.next_u64() } else { lo + self.below(hi - lo + 1) }
    }

    /// True with probability `ppm` in a million.
    pub fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && self.below(1_000_000) < ppm as u64
    }
}

/// A 64-bit key of a list of names (FNV-1a with a separator, then mixed): the same on every platform.
pub fn key_of(name: &[&str]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    for part in name {
        for b in part.bytes().chain([0xff]) {
            h = (h ^ b as u64).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    mix(h)
}

#[inline]
fn mix(z: u64) -> u64 {
    finish(z.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

#[inline]
fn finish(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
