//! The settings of netem, in the words of `tc qdisc`.

use crate::base::{MS, SEC, Time, US};
use std::fmt;

/// The shape of jitter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Distribution {
    /// Equally likely within plus or minus the jitter: what netem does unless told otherwise.
    #[default]
    Uniform,
    /// Normal with the jitter as standard deviation.
    Normal,
}

/// Which frames get lost. Shares are in parts per million.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Each frame with the same probability, which may depend on the frame before.
    Random {
        /// Probability.
        share: u32,
        /// How much of the last random number goes into the next.
        correlation: u32,
    },
    /// The Gilbert-Elliott model: a link is good or bad, and loses frames with a probability of its own in each state.
    GilbertElliott {
        /// `p`: from good to bad, for each frame.
        p: u32,
        /// `r`: from bad to good.
        r: u32,
        /// `1-h`: loss while bad.
        bad: u32,
        /// `1-k`: loss while good.
        good: u32,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Loss::Random { share: 0, correlation: 0 }
    }
}

/// What netem does to the frames that leave a device. The default does nothing but hold at most 1000 frames.
///
/// Times are in nanoseconds, shares and correlations in parts per million. `Display` writes it as `tc qdisc show` does.
///
/// ```
/// use netsim::{base::MS, link::{Loss, NetemConfig}};
/// let config = NetemConfig {
///     delay: 100 * MS,
///     jitter: 10 * MS,
///     loss: Loss::Random { share: 5_000, correlation: 0 },
///     rate: 80_000,
///     ..NetemConfig::default()
/// };
/// assert_eq!(config.to_string(), "limit 1000 delay 100ms  10ms loss 0.5% rate 80Kbit");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetemConfig {
    /// How long each frame is held.
    pub delay: Time,
    /// By how much that varies. Frames whose time comes earlier overtake.
    pub jitter: Time,
    /// How much of the last random number goes into the next delay.
    pub delay_correlation: u32,
    /// The shape of the jitter.
    pub distribution: Distribution,
    /// Which frames are lost.
    pub loss: Loss,
    /// Share of frames that go out twice.
    pub duplicate: u32,
    /// Correlation of `duplicate`.
    pub duplicate_correlation: u32,
    /// Share of the frames chosen by `gap` that skip the delay. 0 with a gap means all of them.
    pub reorder: u32,
    /// Correlation of `reorder`.
    pub reorder_correlation: u32,
    /// Every frame of this number is one that may skip the delay: 5 means the fifth, tenth, … 0 means every frame if
    /// `reorder` is set.
    pub gap: u32,
    /// Share of frames in which one bit is flipped.
    pub corrupt: u32,
    /// Correlation of `corrupt`.
    pub corrupt_correlation: u32,
    /// Bits per second at which frames are serialised, Ethernet header included; 0 means without limit.
    pub rate: u64,
    /// Frames held at most; what comes beyond is dropped.
    pub limit: u32,
}

impl Default for NetemConfig {
    fn default() -> Self {
        NetemConfig {
            delay: 0,
            jitter: 0,
            delay_correlation: 0,
            distribution: Distribution::Uniform,
            loss: Loss::default(),
            duplicate: 0,
            duplicate_correlation: 0,
            reorder: 0,
            reorder_correlation: 0,
            gap: 0,
            corrupt: 0,
            corrupt_correlation: 0,
            rate: 0,
            limit: 1000,
        }
    }
}

impl NetemConfig {
    /// `reorder` and `gap` as the kernel sees them: `tc` completes one with the other (`netem_change()`).
    pub(super) fn reordering(&self) -> (u32, u32) {
        match (self.reorder, self.gap) {
            (0, gap) => (1_000_000, gap),
            (reorder, gap) => (reorder, gap.max(1)),
        }
    }
}

impl fmt::Display for NetemConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limit {}", self.limit)?;
        if self.delay > 0 || self.jitter > 0 {
            write!(f, " delay {}", Span(self.delay))?;
            if self.jitter > 0 {
                write!(f, "  {}", Span(self.jitter))?;
                correlation(f, self.delay_correlation)?;
            }
        }
        match self.loss {
            Loss::Random { share, correlation } => chance(f, "loss", share, correlation)?,
            Loss::GilbertElliott { p, r, bad, good } => {
                let [p, r, bad, good] = [p, r, bad, good].map(Share);
                write!(f, " loss gemodel p {p} r {r} 1-h {bad} 1-k {good}")?;
            }
        }
        chance(f, "duplicate", self.duplicate, self.duplicate_correlation)?;
        let (reorder, gap) = self.reordering();
        if gap > 0 {
            chance(f, "reorder", reorder, self.reorder_correlation)?;
        }
        chance(f, "corrupt", self.corrupt, self.corrupt_correlation)?;
        if self.rate > 0 {
            write!(f, " rate {}", BitRate(self.rate))?;
        }
        if gap > 0 {
            write!(f, " gap {gap}")?;
        }
        Ok(())
    }
}

fn chance(f: &mut fmt::Formatter<'_>, word: &str, share: u32, with: u32) -> fmt::Result {
    if share == 0 {
        return Ok(());
    }
    write!(f, " {word} {}", Share(share))?;
    correlation(f, with)
}

fn correlation(f: &mut fmt::Formatter<'_>, share: u32) -> fmt::Result {
    if share > 0 { write!(f, " {}", Share(share)) } else { Ok(()) }
}

/// Parts per million as a percentage.
struct Share(u32);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", decimal(self.0 as u64, 10_000))
    }
}

/// A span of time as `sprint_time()` of iproute2 writes it.
pub(super) struct Span(pub(super) Time);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            t if t >= SEC => (SEC, "s"),
            t if t >= MS => (MS, "ms"),
            t if t >= US => (US, "us"),
            _ => (1, "ns"),
        };
        write!(f, "{}{name}", decimal(self.0, unit))
    }
}

/// Bits per second as iproute2 writes them: the largest unit that leaves a whole number.
pub(super) struct BitRate(pub(super) u64);

impl fmt::Display for BitRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut rate, mut units) = (self.0, ["", "K", "M", "G", "T"].into_iter());
        let mut unit = units.next().unwrap_or_default();
        while rate >= 1000 && rate % 1000 == 0 {
            let Some(next) = units.next() else { break };
            (rate, unit) = (rate / 1000, next);
        }
        write!(f, "{rate}{unit}bit")
    }
}

/// `n / unit` with as many decimals as it takes; `unit` is a power of ten.
fn decimal(n: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", n / unit, n % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_as_in_tc() {
        let all = NetemConfig {
            delay: 1_500 * MS,
            jitter: 250 * US,
            delay_correlation: 250_000,
            loss: Loss::GilbertElliott { p: 10_000, r: 100_000, bad: 1_000_000, good: 1 },
            duplicate: 333_333,
            duplicate_correlation: 10_000,
            reorder: 250_000,
            reorder_correlation: 500_000,
            gap: 5,
            corrupt: 1_000,
            rate: 1_500_000,
            limit: 10,
            ..NetemConfig::default()
        };
        let words = "limit 10 delay 1.5s  250us 25% loss gemodel p 1% r 10% 1-h 100% 1-k 0.0001% \
                     duplicate 33.3333% 1% reorder 25% 50% corrupt 0.1% rate 1500Kbit gap 5";
        assert_eq!(all.to_string(), words);
        assert_eq!(NetemConfig::default().to_string(), "limit 1000");
        assert_eq!(
            [0, 999, 1000, 10_000_000_000].map(|r| BitRate(r).to_string()),
            ["0bit", "999bit", "1Kbit", "10Gbit"]
        );
        assert_eq!([7, 0].map(|t| Span(t).to_string()), ["7ns", "0ns"]);
    }
}
