//! Double-entry bookkeeping of frames: created = delivered + dropped(reason) + in flight.

use super::DropReason;

/// Counts what became of every frame of a world.
#[derive(Clone, Debug)]
pub struct Ledger {
    created: u64,
    delivered: u64,
    dropped: [u64; DropReason::ALL.len()],
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger { created: 0, delivered: 0, dropped: [0; DropReason::ALL.len()] }
    }
}

/// The ledger does not balance: a bug in netsim, never a user's mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerError {
    /// Frames created.
    pub created: u64,
    /// Frames that reached a goal.
    pub delivered: u64,
    /// Frames dropped, all reasons together.
    pub dropped: u64,
    /// Frames found in links, queues and tables.
    pub in_flight: u64,
}

impl std::fmt::Display for LedgerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LedgerError { created, delivered, dropped, in_flight } = self;
        write!(
            f,
            "the frame ledger does not balance: {created} created, but {delivered} delivered + {dropped} dropped + {in_flight} in flight"
        )
    }
}

impl std::error::Error for LedgerError {}

impl Ledger {
    /// A frame was born.
    #[inline]
    pub fn create(&mut self) {
        self.created += 1;
    }

    /// A frame reached its goal.
    #[inline]
    pub fn deliver(&mut self) {
        self.delivered += 1;
    }

    /// A frame was dropped.
    #[inline]
    pub fn discard(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }

    /// Frames created so far.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Frames delivered so far.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Frames dropped for `reason` so far.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// The reasons that occurred, with their counts, in the order of the catalogue.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|r| (*r, self.dropped[*r as usize])).filter(|(_, n)| *n > 0)
    }

    /// Frames dropped, all reasons together.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Checks the books against the number of frames actually found in links, queues and tables.
    ///
    /// # Errors
    /// If they do not balance.
    pub fn check(&self, in_flight: u64) -> Result<(), LedgerError> {
        let dropped = self.dropped_total();
        if self.created == self.delivered + dropped + in_flight {
            Ok(())
        } else {
            Err(LedgerError { created: self.created, delivered: self.delivered, dropped, in_flight })
        }
    }
}
