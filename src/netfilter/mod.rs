//! Netfilter of one namespace: filter chains, connection tracking and NAT, as Linux 6.18 has them.
//!
//! ```text
//!  prerouting / output:   chains < -200 · conntrack · chains < -100 · DNAT · chains
//!  forward:               chains
//!  input / postrouting:   chains < 100 · SNAT · chains · confirm
//! ```
//!
//! [`Netfilter::hook`] is called once per hook a packet passes, with the packet's IP header in front. It needs whole
//! packets: while [`Netfilter::tracks`] the caller reassembles fragments before prerouting and output (`nf_defrag`); a
//! fragment that arrives nevertheless is INVALID.
//!
//! A packet refers to its entry by `Meta::ct`. What leaves the namespace over a wire loses `ct` and `mark`; what is
//! looped back over `lo` keeps them. An ICMP error or reset about a packet gets [`attach`]`(meta.ct)` before output, so
//! that it is translated back with the flow it is about. Dropping a packet needs no call.
//!
//! Not done: helpers and expectations, zones, SCTP and
//! UDP-Lite states (tracked as generic protocols), GRE keys of PPTP, sets, maps, jumps and user chains.

mod chain;
mod conntrack;
mod expr;
mod hook;
mod matching;
mod nat;

pub use chain::{Action, Chain, Counter, Policy, RejectWith, Rule, priority};
pub use conntrack::{Count, Entry, FlowChange, Stats, TcpState, Tunables};
pub use expr::{AddrMatch, CtStates, ExprParseError, Family, MarkMatch, Ports, TcpFlags};
pub use hook::{HookEnv, HookFacts, HookOut, Verdict, attach};
pub use matching::Match;
pub use nat::{NatAction, NatRule, NatTarget};

use crate::{
    base::{DevId, Rng, Time},
    trace::HookPoint,
    wire::CtRef,
};
use conntrack::Conntrack;
use std::{fmt, net::IpAddr};

/// The netfilter state of a namespace. A namespace without any has no cost: it holds none of this.
pub struct Netfilter {
    ct: Conntrack,
    chains: Vec<Chain>,
    /// Per hook the chains to run, by priority.
    chain_order: [Vec<usize>; 5],
    nat: Vec<NatRule>,
    /// Per hook the NAT rules to consult.
    nat_order: [Vec<usize>; 5],
    always_track: bool,
    /// Whether conntrack is active, for IPv6 and IPv4.
    tracking: [bool; 2],
    /// Whether NAT is active, for IPv6 and IPv4.
    translating: [bool; 2],
    rng: Rng,
}

/// A NAT rule at a hook where its action cannot work, such as a masquerade in prerouting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisplacedRule(
    /// The rule.
    pub Box<NatRule>,
);

impl fmt::Display for MisplacedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be done in {}", self.0, self.0.hook.name())
    }
}

impl std::error::Error for MisplacedRule {}

impl Netfilter {
    /// Nothing configured. `seed` and the namespace's name key the stream translated ports are drawn from.
    pub fn new(seed: u64, ns_name: &str) -> Netfilter {
        Netfilter {
            ct: Conntrack::default(),
            chains: Vec::new(),
            chain_order: Default::default(),
            nat: Vec::new(),
            nat_order: Default::default(),
            always_track: false,
            tracking: [false; 2],
            translating: [false; 2],
            rng: Rng::keyed(seed, &[ns_name, "netfilter"]),
        }
    }

    /// Adds a filter chain behind those of the same hook and priority.
    pub fn add_chain(&mut self, chain: Chain) {
        self.chains.push(chain);
        self.reorder();
    }

    /// The filter chains in the order they were added.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// Changes the filter chains and their rules in any way.
    pub fn update_chains(&mut self, change: impl FnOnce(&mut Vec<Chain>)) {
        change(&mut self.chains);
        self.reorder();
    }

    /// Adds a NAT rule behind those of the same hook. Flows that exist keep the translation they have.
    ///
    /// # Errors
    /// The hook is none where the action can work.
    pub fn add_nat(&mut self, rule: NatRule) -> Result<(), MisplacedRule> {
        if !rule.is_well_placed() {
            return Err(MisplacedRule(Box::new(rule)));
        }
        self.nat.push(rule);
        self.reorder();
        Ok(())
    }

    /// The NAT rules in the order they were added.
    pub fn nat_rules(&self) -> &[NatRule] {
        &self.nat
    }

    /// Removes every chain and NAT rule (`nft flush ruleset`). Entries stay until they expire.
    pub fn flush_rules(&mut self) {
        self.chains.clear();
        self.nat.clear();
        self.reorder();
    }

    /// Tracks connections even if no rule asks for it.
    pub fn track_always(&mut self, on: bool) {
        self.always_track = on;
        self.reorder();
    }

    /// Whether packets of that IP version are tracked: some rule translates or looks at conntrack. If so, the caller
    /// reassembles fragments before the hooks.
    pub fn tracks(&self, ipv4: bool) -> bool {
        self.tracking[ipv4 as usize]
    }

    /// Whether packets of that IP version pass a hook untouched: no chain is there, and conntrack and NAT have nothing to
    /// do at it. Then the caller can spare itself [`Netfilter::hook`].
    #[inline]
    pub fn is_idle(&self, hook: HookPoint, ipv4: bool) -> bool {
        self.chain_order[hook as usize].is_empty() && (hook == HookPoint::Forward || !self.tracks(ipv4))
    }

    /// The conntrack settings.
    pub fn tunables(&self) -> &Tunables {
        &self.ct.tunables
    }

    /// The conntrack settings, to change.
    pub fn tunables_mut(&mut self) -> &mut Tunables {
        &mut self.ct.tunables
    }

    /// What `/proc/net/stat/nf_conntrack` counts.
    pub fn stats(&self) -> Stats {
        self.ct.stats
    }

    /// Entries in the table, with those that have expired and were not met since (`nf_conntrack_count`).
    pub fn count(&self) -> usize {
        self.ct.count()
    }

    /// Live entries. Takes time proportional to the table.
    pub fn len(&self, now: Time) -> usize {
        self.ct.entries(now).len()
    }

    /// Whether no entry is live. Takes time proportional to the table.
    pub fn is_empty(&self, now: Time) -> bool {
        self.len(now) == 0
    }

    /// Live entries in the order they were created. Takes time proportional to the table.
    pub fn entries(&self, now: Time) -> Vec<&Entry> {
        self.ct.entries(now)
    }

    /// The entry a packet refers to.
    pub fn entry(&self, ct: Option<CtRef>) -> Option<&Entry> {
        self.ct.get(ct)
    }

    /// Frees expired entries; returns how many. Their end is noted in `out`.
    pub fn expire(&mut self, now: Time, out: &mut HookOut) -> usize {
        self.ct.remove_if(&mut out.changes, |e| e.is_expired(now))
    }

    /// Removes every entry (`conntrack -F`); returns how many.
    pub fn flush(&mut self, out: &mut HookOut) -> usize {
        self.ct.remove_if(&mut out.changes, |_| true)
    }

    /// Removes the entries `doomed` picks (`conntrack -D`); returns how many.
    pub fn delete_if(&mut self, out: &mut HookOut, doomed: impl Fn(&Entry) -> bool) -> usize {
        self.ct.remove_if(&mut out.changes, doomed)
    }

    /// A device went down: flows masqueraded behind it are forgotten (`masq_device_event`); returns how many.
    pub fn device_down(&mut self, dev: DevId, out: &mut HookOut) -> usize {
        self.ct.remove_if(&mut out.changes, |e| e.masq_dev == Some(dev))
    }

    /// An address was removed from a device: flows masqueraded as it are forgotten (`masq_inet_event`); returns how many.
    pub fn addr_removed(&mut self, dev: DevId, addr: IpAddr, out: &mut HookOut) -> usize {
        self.ct.remove_if(&mut out.changes, |e| e.masq_dev == Some(dev) && e.reply.dst == addr)
    }

    /// Brings the derived tables up to date with the rules.
    fn reorder(&mut self) {
        for order in self.chain_order.iter_mut().chain(&mut self.nat_order) {
            order.clear();
        }
        for (i, chain) in self.chains.iter().enumerate() {
            self.chain_order[chain.hook as usize].push(i);
        }
        for order in &mut self.chain_order {
            order.sort_by_key(|i| self.chains[*i].priority); // stable: equal priorities in the order of addition
        }
        for (i, rule) in self.nat.iter().enumerate() {
            self.nat_order[rule.hook as usize].push(i);
        }
        for ipv4 in [false, true] {
            let nat = self.nat.iter().any(|r| r.family.covers(ipv4));
            let ct = self.chains.iter().any(|c| c.family.covers(ipv4) && c.needs_conntrack());
            self.translating[ipv4 as usize] = nat;
            self.tracking[ipv4 as usize] = nat || ct || self.always_track;
        }
    }
}

impl fmt::Display for Netfilter {
    /// The rules in the words of nft.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chain in &self.chains {
            write!(f, "{chain}")?;
        }
        for order in &self.nat_order {
            let Some(first) = order.first() else { continue };
            let hook = self.nat[*first].hook;
            let at = match nat::Manip::at(hook) {
                Some(nat::Manip::Src) => priority::SRCNAT,
                _ => priority::DSTNAT,
            };
            writeln!(f, "chain {} {{\n  type nat hook {} priority {at}; policy accept;", hook.name(), hook.name())?;
            for i in order {
                writeln!(f, "  {}", self.nat[*i])?;
            }
            writeln!(f, "}}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Netfilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netfilter").field("entries", &self.count()).field("rules", &self.to_string()).finish()
    }
}
