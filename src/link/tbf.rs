//! The token bucket filter (`net/sched/sch_tbf.c`): a rate, a burst, and a queue bounded in bytes.

use super::{
    QdiscEvent,
    netem_config::{BitRate, Span},
};
use crate::{
    base::{SEC, Time},
    trace::DropReason,
    wire::Frame,
};
use std::{collections::VecDeque, fmt};

/// The settings of a token bucket filter. `Display` writes them as `tc qdisc show` does.
///
/// ```
/// use netsim::{base::MS, link::TbfConfig};
/// let config = TbfConfig::with_latency(1_000_000, 5_000, 70 * MS);
/// assert_eq!(config.limit, 13_750);
/// assert_eq!(config.to_string(), "rate 1Mbit burst 5000b lat 70ms");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TbfConfig {
    /// Bits per second, Ethernet header included. At least 1 is used.
    pub rate: u64,
    /// Bytes that may leave at once after a pause. Larger frames are dropped.
    pub burst: u32,
    /// Bytes that may wait.
    pub limit: u64,
}

impl TbfConfig {
    /// The filter whose queue no frame waits in longer than `latency` nanoseconds: what `tc … latency` computes.
    pub fn with_latency(rate: u64, burst: u32, latency: Time) -> TbfConfig {
        let bytes = rate as u128 * latency as u128 / (8 * SEC as u128);
        TbfConfig { rate, burst, limit: u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(burst as u64) }
    }
}

impl fmt::Display for TbfConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.limit.saturating_sub(self.burst as u64) as u128 * 8;
        let latency = Time::try_from(bits * SEC as u128 / self.rate.max(1) as u128).unwrap_or(Time::MAX);
        let burst = match self.burst {
            b if b >= 1 << 20 && b % (1 << 20) == 0 => format!("{}Mb", b >> 20),
            b if b >= 1 << 10 && b % (1 << 10) == 0 => format!("{}Kb", b >> 10),
            b => format!("{b}b"),
        };
        write!(f, "rate {} burst {burst} lat {}", BitRate(self.rate), Span(latency))
    }
}

/// The queue of a device with a token bucket filter.
pub(crate) struct Tbf {
    config: TbfConfig,
    /// Tokens in billionths of a bit, so that a rate in bits per second fills in whole tokens every nanosecond.
    tokens: u128,
    /// When `tokens` was right.
    at: Time,
    queue: VecDeque<Frame>,
    bytes: u64,
}

/// Tokens that `bytes` cost.
fn cost(bytes: usize) -> u128 {
    bytes as u128 * 8 * SEC as u128
}

impl Tbf {
    /// A filter with its bucket full.
    pub(crate) fn new(config: TbfConfig) -> Tbf {
        let tokens = cost(config.burst as usize);
        Tbf { config, tokens, at: 0, queue: VecDeque::new(), bytes: 0 }
    }

    pub(crate) fn config(&self) -> &TbfConfig {
        &self.config
    }

    /// `tbf_change()`: the bucket is full again, the queue stays.
    pub(crate) fn change(&mut self, config: TbfConfig) {
        self.tokens = cost(config.burst as usize);
        self.config = config;
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// `tbf_enqueue()`.
    pub(crate) fn enqueue(&mut self, frame: Frame, out: &mut Vec<QdiscEvent>) {
        let len = frame.len() as u64;
        if len > self.config.burst as u64 || self.bytes + len > self.config.limit {
            return out.push(QdiscEvent::Drop(frame, DropReason::QdiscDrop));
        }
        self.bytes += len;
        self.queue.push_back(frame);
    }

    /// `tbf_dequeue()`: the next frame, if there are tokens for it. There always are at the end of time.
    pub(crate) fn dequeue(&mut self, now: Time) -> Option<Frame> {
        if now == Time::MAX {
            return self.pop();
        }
        let price = self.price()?;
        let tokens = self.tokens_at(now);
        if tokens < price {
            return None;
        }
        (self.tokens, self.at) = (tokens - price, now);
        self.pop()
    }

    /// When [`Tbf::dequeue`] has a frame: the first nanosecond with enough tokens.
    pub(crate) fn next_at(&self) -> Option<Time> {
        let missing = self.price()?.saturating_sub(self.tokens);
        let wait = missing.div_ceil(self.config.rate.max(1) as u128);
        Some(self.at.saturating_add(Time::try_from(wait).unwrap_or(Time::MAX)))
    }

    /// What the first frame costs. A frame that a smaller burst no longer admits goes for a full bucket, or the queue
    /// would never move again.
    fn price(&self) -> Option<u128> {
        Some(cost(self.queue.front()?.len()).min(cost(self.config.burst as usize)))
    }

    fn tokens_at(&self, now: Time) -> u128 {
        let filled = now.saturating_sub(self.at) as u128 * self.config.rate.max(1) as u128;
        (self.tokens + filled).min(cost(self.config.burst as usize))
    }

    fn pop(&mut self) -> Option<Frame> {
        let frame = self.queue.pop_front()?;
        self.bytes -= frame.len() as u64;
        Some(frame)
    }
}
