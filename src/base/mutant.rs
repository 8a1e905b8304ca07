//! Deliberately wrong behaviours, for one purpose: to see that the cases of the kernel catch them.
//!
//! Only the unit tests can switch one on (`conform::mutants`). Everywhere else [`mutated`] is the constant `false`, and what
//! asks for it compiles to nothing.

/// A behaviour that is wrong while it is switched on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// Routers send packets on with the TTL they came with.
    KeepsTtl,
    /// Routers send packets on though their TTL is used up.
    ForwardsDeadPackets,
    /// Bridges keep a station on the port where they first saw it.
    StationNeverMoves,
    /// Bridges send a flooded frame back where it came from, too.
    FloodsBack,
    /// NAT translates addresses, but leaves ports as they are.
    ForgetsPort,
    /// NAT translates the outer header of an ICMP error, but not the packet it quotes.
    ForgetsQuote,
    /// Addresses are translated without correcting the checksum of the upper layer.
    StaleChecksum,
    /// Connections are remembered for ever.
    NeverForgets,
    /// Reverse paths are not checked.
    AcceptsAnySource,
    /// ICMP errors are sent as often as there is a reason.
    UnlimitedErrors,
    /// ICMP errors about ICMP errors and broadcasts are sent as well.
    ReportsAnything,
}

#[cfg(test)]
thread_local! {
    /// The one that is switched on in this thread.
    pub(crate) static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether `mutant` is switched on: never, outside of the unit tests.
#[inline(always)]
pub(crate) fn mutated(mutant: Mutant) -> bool {
    #[cfg(test)]
    return ACTIVE.get() == Some(mutant);
    #[cfg(not(test))]
    {
        let _ = mutant;
        false
    }
}
