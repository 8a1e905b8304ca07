//! Policy rules: which table a packet's route is looked up in.

use super::{
    lookup::FlowKey,
    types::{Family, table},
};
use crate::base::{DevId, Prefix};

/// What a rule does with the packets it matches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RuleAction {
    /// Look the destination up in this table; without a result the next rule is asked.
    Table(u32),
    /// The destination is unreachable: as if no table had a route.
    Unreachable,
    /// Sending is prohibited.
    Prohibit,
    /// The packet vanishes.
    Blackhole,
}

/// A policy rule; a packet must satisfy every condition that is given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// Whose packets it is about.
    pub family: Family,
    /// Rules are asked in ascending order, those of one priority as they were added.
    pub priority: u32,
    /// Where the packet comes from.
    pub from: Option<Prefix>,
    /// Where the packet goes.
    pub to: Option<Prefix>,
    /// The device it came in by; the loopback device stands for locally generated packets.
    pub iif: Option<DevId>,
    /// The device the sending socket is bound to.
    pub oif: Option<DevId>,
    /// The mark's value where the mask has ones.
    pub fwmark: Option<(u32, u32)>,
    /// The type of service, 0 for any.
    pub tos: u8,
    /// The upper-layer protocol.
    pub ipproto: Option<u8>,
    /// First and last source port.
    pub sport: Option<(u16, u16)>,
    /// First and last destination port.
    pub dport: Option<(u16, u16)>,
    /// What happens to packets that match.
    pub action: RuleAction,
    /// Results with a prefix no longer than this do not count.
    pub suppress_prefixlength: Option<u8>,
    /// The rule applies to packets that do *not* satisfy the conditions.
    pub invert: bool,
}

impl Rule {
    /// A rule for all packets of a family.
    pub const fn new(family: Family, priority: u32, action: RuleAction) -> Rule {
        Rule {
            family,
            priority,
            from: None,
            to: None,
            iif: None,
            oif: None,
            fwmark: None,
            tos: 0,
            ipproto: None,
            sport: None,
            dport: None,
            action,
            suppress_prefixlength: None,
            invert: false,
        }
    }

    /// Whether the rule applies (`fib_rule_match`).
    pub(super) fn matches(&self, key: &FlowKey, loopback: Option<DevId>) -> bool {
        let within = |prefix: Option<Prefix>, addr: Option<std::net::IpAddr>| match (prefix, addr) {
            (None, _) => true,
            (Some(prefix), Some(addr)) => prefix.contains(addr),
            // The source is not chosen yet: the kernel compares with 0.0.0.0.
            (Some(prefix), None) => prefix.contains(self.family.any().addr()),
        };
        let all = within(self.from, key.src)
            && within(self.to, Some(key.dst))
            && self.iif.is_none_or(|dev| key.iif.or(loopback) == Some(dev))
            && self.oif.is_none_or(|dev| key.oif == Some(dev))
            && self.fwmark.is_none_or(|(mark, mask)| (mark ^ key.mark) & mask == 0)
            && (self.tos == 0 || self.tos == key.tos & super::lookup::TOS_MASK)
            && self.ipproto.is_none_or(|proto| proto == key.proto)
            && self.sport.is_none_or(|(low, high)| (low..=high).contains(&key.ports.0))
            && self.dport.is_none_or(|(low, high)| (low..=high).contains(&key.ports.1));
        all != self.invert
    }
}

/// Which rule to delete: what is given must be equal.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RuleSelector {
    /// Its priority.
    pub priority: Option<u32>,
    /// Its source prefix.
    pub from: Option<Prefix>,
    /// Its destination prefix.
    pub to: Option<Prefix>,
    /// Its input device.
    pub iif: Option<DevId>,
    /// Its bound device.
    pub oif: Option<DevId>,
    /// Its mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// Its type of service, 0 for any.
    pub tos: u8,
    /// Its upper-layer protocol.
    pub ipproto: Option<u8>,
    /// Its source ports.
    pub sport: Option<(u16, u16)>,
    /// Its destination ports.
    pub dport: Option<(u16, u16)>,
    /// Its action.
    pub action: Option<RuleAction>,
    /// Its bound on prefix lengths.
    pub suppress_prefixlength: Option<u8>,
    /// Whether it must be an inverted one.
    pub invert: bool,
}

impl RuleSelector {
    pub(super) fn matches(&self, rule: &Rule) -> bool {
        fn agrees<T: PartialEq>(wanted: &Option<T>, actual: &Option<T>) -> bool {
            wanted.is_none() || wanted == actual
        }
        agrees(&self.priority, &Some(rule.priority))
            && agrees(&self.from, &rule.from)
            && agrees(&self.to, &rule.to)
            && agrees(&self.iif, &rule.iif)
            && agrees(&self.oif, &rule.oif)
            && agrees(&self.fwmark, &rule.fwmark)
            && (self.tos == 0 || self.tos == rule.tos)
            && agrees(&self.ipproto, &rule.ipproto)
            && agrees(&self.sport, &rule.sport)
            && agrees(&self.dport, &rule.dport)
            && agrees(&self.action, &Some(rule.action))
            && agrees(&self.suppress_prefixlength, &rule.suppress_prefixlength)
            && (!self.invert || rule.invert)
    }
}

/// The rules every namespace starts with (case default-tables). IPv6 has no table default.
static DEFAULTS4: [Rule; 3] = [
    Rule::new(Family::V4, 0, RuleAction::Table(table::LOCAL)),
    Rule::new(Family::V4, 32766, RuleAction::Table(table::MAIN)),
    Rule::new(Family::V4, 32767, RuleAction::Table(table::DEFAULT)),
];
static DEFAULTS6: [Rule; 2] = [
    Rule::new(Family::V6, 0, RuleAction::Table(table::LOCAL)),
    Rule::new(Family::V6, 32766, RuleAction::Table(table::MAIN)),
];

/// The default rules of a family.
pub(super) fn defaults(family: Family) -> &'static [Rule] {
    match family {
        Family::V4 => &DEFAULTS4,
        Family::V6 => &DEFAULTS6,
    }
}
