//! Random numbers as `sch_netem.c` draws them: correlated, and shaped by a distribution. Integers only, so every
//! platform draws the same.

use super::Distribution;
use crate::base::{Rng, Time};

/// What a share of a million is out of 2^32 - 1, the scale of `tc`.
pub(super) fn scale(ppm: u32) -> u32 {
    (ppm.min(1_000_000) as u64 * u32::MAX as u64 / 1_000_000) as u32
}

/// `struct crndstate`: uniform numbers that remember the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Correlated {
    last: Option<u32>,
}

impl Correlated {
    /// `get_crandom()`: 32 uniform bits, a share `correlation` (ppm) of the last result mixed in.
    pub(super) fn next(&mut self, correlation: u32, rng: &mut Rng) -> u32 {
        let fresh = (rng.next_u64() >> 32) as u32;
        if correlation == 0 {
            return fresh;
        }
        let rho = scale(correlation) as u64 + 1;
        let last = self.last.unwrap_or(fresh) as u64;
        let mixed = ((fresh as u64 * ((1 << 32) - rho) + last * rho) >> 32) as u32;
        self.last = Some(mixed);
        mixed
    }

    /// True with probability `ppm`; draws nothing if that is 0.
    pub(super) fn happens(&mut self, ppm: u32, correlation: u32, rng: &mut Rng) -> bool {
        ppm > 0 && scale(ppm) >= self.next(correlation, rng)
    }
}

/// How far `jitter` throws a frame from its mean delay, in nanoseconds. Uniform: within plus or minus `jitter`. Normal:
/// `jitter` is the standard deviation.
///
/// `tabledist()` takes the random number modulo the range; that forgets its high bits and with them the correlation, so
/// here it is scaled into the range instead.
pub(super) fn offset(jitter: Time, shape: Distribution, random: u32) -> i128 {
    let jitter = jitter as i128;
    match shape {
        Distribution::Uniform => ((random as i128 * 2 * jitter) >> 32) - jitter,
        Distribution::Normal => jitter * NORMAL[(random >> 20) as usize] as i128 / SIGMA as i128,
    }
}

/// One standard deviation in [`NORMAL`] (`NETEM_DIST_SCALE`).
const SIGMA: u64 = 8192;

/// The normal distribution as 4096 equally likely values, like the table `tc` reads from `normal.dist`.
static NORMAL: [i16; 4096] = normal();

/// One in the fixed-point arithmetic of [`normal`].
const ONE: u64 = 1 << 30;

/// exp(-y) for y up to 8, both in units of 1/[`ONE`]: the power series of exp(-y/16), four times squared.
const fn exp_neg(y: u64) -> u64 {
    let x = y / 16;
    let (mut term, mut sum, mut n) = (ONE as i64, ONE as i64, 1);
    while n < 12 {
        term = -(term * x as i64 / ONE as i64) / n;
        sum += term;
        n += 1;
    }
    let mut e = sum as u64;
    let mut squared = 0;
    while squared < 4 {
        e = e * e / ONE;
        squared += 1;
    }
    e
}

/// Walks the density of N(0, 1) outward from 0 to 4 sigma in steps of 1/512 and notes where each 4096th of the area
/// has its middle; the other half is the mirror image.
const fn normal() -> [i16; 4096] {
    const STEPS: u64 = 4 * 512;
    let mut density = [0u64; STEPS as usize];
    let (mut i, mut total) = (0, 0);
    while i < STEPS {
        // x²/2 at the middle of the step, x = (2i + 1)/1024.
        let odd = 2 * i + 1;
        density[i as usize] = exp_neg(odd * odd * (ONE >> 20) / 2);
        total += density[i as usize];
        i += 1;
    }
    let mut table = [0i16; 4096];
    let (mut step, mut below, mut k) = (0, 0, 0);
    while k < 2048 {
        let target = total * (2 * k + 1) / 4096;
        while below + density[step as usize] < target {
            below += density[step as usize];
            step += 1;
        }
        let part = (target - below) * 16 / density[step as usize];
        let x = (step * 16 + part) as i16; // 16 units of 1/8192 sigma a step
        table[2048 + k as usize] = x;
        table[2047 - k as usize] = -x;
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_table_has_the_quantiles_of_the_normal_distribution() {
        // Quantiles of N(0, 1) from the usual tables, at the middle of each entry within 0.002 sigma.
        for (share, z) in [(0.5, 0.0), (0.8413, 0.9998), (0.9772, 1.9991), (0.99865, 2.9998), (0.1587, -0.9998)] {
            let entry = NORMAL[(share * 4096.0) as usize] as f64 / SIGMA as f64;
            assert!((entry - z).abs() < 0.01 * (1.0 + z.abs()), "{share}: {entry}");
        }
        assert!(NORMAL.is_sorted());
        let square: i64 = NORMAL.iter().map(|x| *x as i64 * *x as i64).sum();
        let sigma = ((square / 4096) as f64).sqrt() / SIGMA as f64;
        assert!((sigma - 1.0).abs() < 0.005, "{sigma}");
        assert_eq!(NORMAL.iter().map(|x| *x as i64).sum::<i64>(), 0);
    }

    #[test]
    fn correlation_brings_neighbours_together_and_keeps_the_mean() {
        let distance = |correlation| {
            let (mut state, mut rng) = (Correlated::default(), Rng::keyed(3, &["x"]));
            let draws: Vec<_> = (0..4000).map(|_| state.next(correlation, &mut rng) as i64).collect();
            let mean = draws.iter().sum::<i64>() / 4000;
            assert!((mean - (1 << 31)).abs() < 1 << 28, "{mean}");
            draws.windows(2).map(|w| (w[0] - w[1]).abs()).sum::<i64>()
        };
        assert!(distance(750_000) < distance(0) / 2);
    }

    #[test]
    fn certain_and_impossible_are_exact() {
        let (mut state, mut rng) = (Correlated::default(), Rng::keyed(4, &["x"]));
        assert!((0..1000).all(|_| state.happens(1_000_000, 0, &mut rng) && !state.happens(0, 0, &mut rng)));
    }

    #[test]
    fn uniform_jitter_stays_within_its_bounds() {
        for random in [0, 1, 1 << 31, u32::MAX] {
            let offset = offset(1_000_000, Distribution::Uniform, random);
            assert!((-1_000_000..1_000_000).contains(&offset), "{offset}");
        }
        assert_eq!(offset(10, Distribution::Uniform, 1 << 31), 0);
    }
}
