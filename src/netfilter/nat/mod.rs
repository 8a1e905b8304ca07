//! Network address translation: the rules, and what they ask for (nf_nat_core.c, nf_nat_masquerade.c).
//!
//! Only the first packet of a flow consults the rules; `unique` then chooses the flow's tuple and `rewrite` applies it to
//! every packet. A flow no rule fits gets a null binding, which keeps its addresses but moves its source port if the
//! tuple is taken.

pub(crate) mod rewrite;
pub(crate) mod unique;

use super::{
    chain::Counter,
    expr::{ExprParseError, Family, Ports},
    matching::Match,
};
use crate::{base::Prefix, trace::HookPoint};
use std::{fmt, net::IpAddr, str::FromStr};

/// Which end of a packet is translated (`enum nf_nat_manip_type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manip {
    Src,
    Dst,
}

impl Manip {
    /// The end a hook translates (`HOOK2MANIP`); `None` for the forward hook.
    pub fn at(hook: HookPoint) -> Option<Manip> {
        match hook {
            HookPoint::Prerouting | HookPoint::Output => Some(Manip::Dst),
            HookPoint::Input | HookPoint::Postrouting => Some(Manip::Src),
            HookPoint::Forward => None,
        }
    }

    /// The other end.
    pub fn opposite(self) -> Manip {
        match self {
            Manip::Src => Manip::Dst,
            Manip::Dst => Manip::Src,
        }
    }
}

/// Addresses and ports to translate to.
///
/// ```
/// use netsim::netfilter::{NatTarget, Ports};
/// let t: NatTarget = "203.0.113.77:4000-4001".parse().unwrap();
/// assert_eq!(t.ports, Some(Ports { min: 4000, max: 4001 }));
/// assert_eq!(t.to_string(), "203.0.113.77:4000-4001");
/// let t: NatTarget = "[fd00::1]:80".parse().unwrap();
/// assert_eq!(t.to_string(), "[fd00::1]:80");
/// assert_eq!(":5300".parse::<NatTarget>().unwrap().addrs, None);
/// assert!("203.0.113.9-203.0.113.1".parse::<NatTarget>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NatTarget {
    /// The lowest and the highest address, of one family.
    pub addrs: Option<(IpAddr, IpAddr)>,
    /// The ports, or ICMP identifiers.
    pub ports: Option<Ports>,
}

impl NatTarget {
    /// One address, any port.
    pub fn addr(addr: IpAddr) -> NatTarget {
        NatTarget { addrs: Some((addr, addr)), ports: None }
    }
}

impl FromStr for NatTarget {
    type Err = ExprParseError;

    /// `ADDR`, `ADDR-ADDR`, either with `:PORTS` behind, or `:PORTS`. An IPv6 address with ports stands in brackets.
    fn from_str(s: &str) -> Result<NatTarget, ExprParseError> {
        let error =
            || ExprParseError::new(s, "a translation such as 10.0.0.1, 10.0.0.1:80, :8000-8010 or [fd00::1]:80");
        let addr = |t: &str| t.parse::<IpAddr>().map_err(|_| error());
        if let Ok(a) = s.parse() {
            return Ok(NatTarget::addr(a));
        }
        let (addrs, ports) = match s.rsplit_once(':') {
            Some((a, p)) if !a.contains(':') || a.ends_with(']') => (a, Some(p.parse::<Ports>().map_err(|_| error())?)),
            _ => (s, None),
        };
        let addrs = addrs.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(addrs);
        let addrs = match addrs.split_once('-') {
            _ if addrs.is_empty() && ports.is_some() => None,
            Some((min, max)) => Some((addr(min)?, addr(max)?)),
            None => Some((addr(addrs)?, addr(addrs)?)),
        };
        match addrs {
            Some((min, max)) if min > max || min.is_ipv4() != max.is_ipv4() => Err(error()),
            addrs => Ok(NatTarget { addrs, ports }),
        }
    }
}

impl fmt::Display for NatTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((min, max)) = self.addrs {
            let bracket = self.ports.is_some() && min.is_ipv6();
            f.write_str(if bracket { "[" } else { "" })?;
            write!(f, "{min}")?;
            if max != min {
                write!(f, "-{max}")?;
            }
            f.write_str(if bracket { "]" } else { "" })?;
        }
        match self.ports {
            Some(ports) => write!(f, ":{ports}"),
            None => Ok(()),
        }
    }
}

/// How a rule translates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatAction {
    /// Source: the address the egress device would use.
    Masquerade {
        /// The ports to use instead of any.
        ports: Option<Ports>,
        /// Never keep the port (`random` and `fully-random` are one in today's kernels).
        random: bool,
    },
    /// Source: one of these.
    Snat {
        /// The addresses and ports.
        to: NatTarget,
        /// Never keep the port.
        random: bool,
        /// Choose among several addresses by the client alone, not by client and server.
        persistent: bool,
    },
    /// Destination: one of these.
    Dnat {
        /// The addresses and ports.
        to: NatTarget,
    },
    /// Source: the same host in another network (nft `snat prefix to`, iptables `NETMAP`).
    SnatPrefix {
        /// The network.
        to: Prefix,
    },
    /// Destination: the same host in another network.
    DnatPrefix {
        /// The network.
        to: Prefix,
    },
    /// Destination: this host, at the first address of the ingress device; on output at the loopback address.
    Redirect {
        /// The ports to use instead of the packet's.
        ports: Option<Ports>,
    },
}

impl fmt::Display for NatAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut flag = "";
        match self {
            NatAction::Masquerade { ports, random } => {
                f.write_str("masquerade")?;
                if let Some(ports) = ports {
                    write!(f, " to :{ports}")?;
                }
                flag = if *random { " fully-random" } else { "" };
            }
            NatAction::Snat { to, random, persistent } => {
                write!(f, "snat to {to}")?;
                flag = match (random, persistent) {
                    (true, true) => " fully-random,persistent",
                    (true, false) => " fully-random",
                    (false, true) => " persistent",
                    (false, false) => "",
                };
            }
            NatAction::Dnat { to } => write!(f, "dnat to {to}")?,
            NatAction::SnatPrefix { to } => write!(f, "snat prefix to {to}")?,
            NatAction::DnatPrefix { to } => write!(f, "dnat prefix to {to}")?,
            NatAction::Redirect { ports: Some(ports) } => write!(f, "redirect to :{ports}")?,
            NatAction::Redirect { ports: None } => f.write_str("redirect")?,
        }
        f.write_str(flag)
    }
}

/// A rule of the NAT chain of one hook.
///
/// ```
/// use netsim::netfilter::{Match, NatAction, NatRule};
/// let rule = NatRule::new(
///     Match { oif: Some("wan".into()), src: "10.0.0.0/24".parse().ok(), ..Match::default() },
///     NatAction::Masquerade { ports: None, random: false },
/// );
/// assert_eq!(rule.to_string(), "oifname \"wan\" ip saddr 10.0.0.0/24 masquerade");
/// assert_eq!(rule.hook.name(), "postrouting");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatRule {
    /// Where: source translation in postrouting or input, destination translation in prerouting or output.
    pub hook: HookPoint,
    /// Which packets it sees.
    pub family: Family,
    /// Which flows.
    pub matches: Match,
    /// How.
    pub action: NatAction,
    /// Flows it translated: their first packets.
    pub counter: Counter,
}

impl NatRule {
    /// A rule at the usual hook: postrouting for source, prerouting for destination translation; of the family of its
    /// addresses, IPv4 if it has none.
    pub fn new(matches: Match, action: NatAction) -> NatRule {
        let (hook, to) = match action {
            NatAction::Masquerade { .. } => (HookPoint::Postrouting, None),
            NatAction::Snat { to, .. } => (HookPoint::Postrouting, to.addrs.map(|(a, _)| a)),
            NatAction::SnatPrefix { to } => (HookPoint::Postrouting, Some(to.addr())),
            NatAction::Dnat { to } => (HookPoint::Prerouting, to.addrs.map(|(a, _)| a)),
            NatAction::DnatPrefix { to } => (HookPoint::Prerouting, Some(to.addr())),
            NatAction::Redirect { .. } => (HookPoint::Prerouting, None),
        };
        let v6 =
            to.is_some_and(|a| a.is_ipv6()) || [matches.src, matches.dst].iter().flatten().any(|m| !m.prefix.is_ipv4());
        let family = if v6 { Family::Ip6 } else { Family::Ip };
        NatRule { hook, family, matches, action, counter: Counter::default() }
    }

    /// The same rule for packets this namespace sends: destination translation before they are routed.
    pub fn on_output(mut self) -> NatRule {
        self.hook = HookPoint::Output;
        self
    }

    /// Whether the action belongs to the hook.
    pub(crate) fn is_well_placed(&self) -> bool {
        let manip = match self.action {
            NatAction::Masquerade { .. } => return self.hook == HookPoint::Postrouting,
            NatAction::Snat { .. } | NatAction::SnatPrefix { .. } => Manip::Src,
            NatAction::Dnat { .. } | NatAction::DnatPrefix { .. } | NatAction::Redirect { .. } => Manip::Dst,
        };
        Manip::at(self.hook) == Some(manip)
    }
}

impl fmt::Display for NatRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.matches, self.action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_are_written() {
        for text in
            ["10.0.0.1", "10.0.0.1-10.0.0.9", "10.0.0.1:80", "10.0.0.1-10.0.0.9:1-2", ":53", "fd00::1", "[fd00::1]:1-9"]
        {
            assert_eq!(text.parse::<NatTarget>().unwrap().to_string(), text);
        }
        for text in ["", ":", "10.0.0.1:", "10.0.0.300", "10.0.0.1:70000", "10.0.0.1-fd00::1", "nowhere", "[fd00::1"] {
            assert!(text.parse::<NatTarget>().is_err(), "{text}");
        }
    }

    #[test]
    fn rules_know_their_hook_and_family() {
        let dnat = NatRule::new(Match::default(), NatAction::Dnat { to: "[fd00::1]:80".parse().unwrap() });
        assert_eq!((dnat.hook, dnat.family), (HookPoint::Prerouting, Family::Ip6));
        assert!(dnat.clone().on_output().is_well_placed());
        let masq = NatRule::new(Match::default(), NatAction::Masquerade { ports: None, random: true });
        assert!(masq.is_well_placed() && !masq.clone().on_output().is_well_placed());
        assert_eq!(masq.to_string(), "masquerade fully-random");
        let to = "10.0.0.1".parse().unwrap();
        let snat = NatRule {
            hook: HookPoint::Input,
            ..NatRule::new(Match::default(), NatAction::Snat { to, random: false, persistent: true })
        };
        assert!(snat.is_well_placed());
        assert_eq!(snat.to_string(), "snat to 10.0.0.1 persistent");
    }
}
