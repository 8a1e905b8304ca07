//! Reading routes and rules in the words of `ip route add` and `ip rule add`.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
};

use super::{
    rule::{Rule, RuleAction, RuleSelector},
    selector::{HopSelector, RouteSelector},
    types::{Family, NextHop, Protocol, Route, RouteType, Scope, table},
    words::{Reader, Spanned, Word, WordError, number},
};
use crate::base::{DevId, Prefix};

/// Tells the device of a name.
type Find<'f> = &'f dyn Fn(&str) -> Option<DevId>;

/// A next hop as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HopSpec {
    /// The gateway.
    pub via: Option<Spanned<IpAddr>>,
    /// The name of the device.
    pub dev: Option<Spanned<String>>,
    /// The share among several hops, 1 to 256.
    pub weight: Option<Spanned<u32>>,
    /// Whether the gateway counts as reachable.
    pub onlink: bool,
}

/// A route as it was written: what is not given is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSpec {
    /// The destination.
    pub dst: Spanned<Prefix>,
    /// The type.
    pub kind: Option<RouteType>,
    /// The table.
    pub table: Option<Spanned<u32>>,
    /// The metric.
    pub metric: Option<Spanned<u32>>,
    /// The type of service.
    pub tos: Option<Spanned<u8>>,
    /// The preferred source.
    pub src: Option<Spanned<IpAddr>>,
    /// The scope.
    pub scope: Option<Spanned<Scope>>,
    /// Who made it.
    pub protocol: Option<Spanned<Protocol>>,
    /// The bound on the path MTU, in bytes.
    pub mtu: Option<Spanned<u32>>,
    /// Whether that bound is fixed: no smaller one is learned, and packets may be fragmented.
    pub mtu_lock: bool,
    /// The most bytes of a TCP segment the peer is told.
    pub advmss: Option<Spanned<u32>>,
    /// The next hops: none, one, or several after `nexthop`.
    pub hops: Vec<HopSpec>,
    /// Whether they stood after `nexthop`, even if there is but one.
    pub multipath: bool,
}

/// A rule as it was written: what is not given is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleSpec {
    /// Whose packets it is about: the family of its prefixes, else what the caller said.
    pub family: Family,
    /// The priority.
    pub priority: Option<Spanned<u32>>,
    /// Where packets come from; `None` for `all`.
    pub from: Option<Spanned<Prefix>>,
    /// Where they go; `None` for `all`.
    pub to: Option<Spanned<Prefix>>,
    /// The name of the device they come in by.
    pub iif: Option<Spanned<String>>,
    /// The name of the device the socket is bound to.
    pub oif: Option<Spanned<String>>,
    /// Mark and mask.
    pub fwmark: Option<Spanned<(u32, u32)>>,
    /// The type of service.
    pub tos: Option<Spanned<u8>>,
    /// The upper-layer protocol.
    pub ipproto: Option<Spanned<u8>>,
    /// First and last source port.
    pub sport: Option<Spanned<(u16, u16)>>,
    /// First and last destination port.
    pub dport: Option<Spanned<(u16, u16)>>,
    /// What to do; table main if not given.
    pub action: Option<Spanned<RuleAction>>,
    /// Results with a prefix no longer than this do not count.
    pub suppress_prefixlength: Option<Spanned<u8>>,
    /// Whether it starts with `not`.
    pub invert: bool,
}

/// Reads a route: `[TYPE] PREFIX [via ADDRESS] [dev NAME] [onlink] [metric N] [src ADDRESS] [table T] [proto P]
/// [scope S] [tos N] [mtu N]`, or `nexthop [via ADDRESS] [dev NAME] [weight N] [onlink]` several times at the end.
///
/// `default` is the default route of the family of the gateway or source, IPv4 if neither is given.
///
/// ```
/// use netsim::{base::DevId, route::parse_route};
/// let spec = parse_route("default via 10.0.0.1 dev eth0 metric 5").unwrap();
/// let route = spec.resolve(&|name| (name == "eth0").then_some(DevId(2))).unwrap();
/// assert_eq!(route.show(&|_| "eth0"), "default via 10.0.0.1 dev eth0 metric 5");
/// assert_eq!(spec.resolve(&|_| None).unwrap_err().at, 25..29);
/// ```
///
/// # Errors
/// Which word is wrong, where, and what was expected.
pub fn parse_route(text: &str) -> Result<RouteSpec, WordError> {
    let mut reader = Reader::new(text);
    let first = reader.need("a route, such as `default via 10.0.0.1`")?;
    let kind = RouteType::from_name(first.text);
    let word = if kind.is_some() { reader.need("a prefix after the type of the route")? } else { first };
    let word = if word.text == "to" { reader.need("a prefix after `to`")? } else { word };
    let (mut table, mut metric, mut tos, mut src) = (None, None, None, None);
    let (mut scope, mut protocol, mut mtu, mut advmss) = (None, None, None, None);
    let mut mtu_lock = false;
    let mut hops: Vec<HopSpec> = Vec::new();
    let mut single = HopSpec::default();
    let dst = word;
    while let Some(word) = reader.next() {
        match word.text {
            "table" => reader.value(&mut table, &word, "a table (main, local, default or a number)", table::parse)?,
            "metric" | "preference" | "priority" => reader.value(&mut metric, &word, "a number", number)?,
            "tos" | "dsfield" => reader.value(&mut tos, &word, "a type of service (0x00 to 0xff)", type_of_service)?,
            "src" => reader.value(&mut src, &word, "an address", |t| t.parse().ok())?,
            "scope" => reader.value(&mut scope, &word, "global, site, link or host", scope_of)?,
            "proto" | "protocol" => reader.value(&mut protocol, &word, "a protocol", Protocol::from_name)?,
            "mtu" => {
                mtu_lock = reader.take("lock");
                reader.value(&mut mtu, &word, "a number of bytes", |t| number(t).filter(|n| *n > 0))?;
            }
            "advmss" => reader.value(&mut advmss, &word, "a number of bytes", |t| number(t).filter(|n| *n > 0))?,
            "nexthop" if single == HopSpec::default() => {
                hops.push(HopSpec::default());
                read_hops(&mut reader, &mut hops)?;
            }
            "nexthop" => return Err(word.wrong("either one gateway or device, or several after `nexthop`")),
            _ if read_hop(&mut reader, &word, &mut single)? => {}
            _ => return Err(word.wrong("via, dev, metric, src, table, scope, proto, onlink, mtu, tos or nexthop")),
        }
    }
    let multipath = !hops.is_empty();
    if single != HopSpec::default() {
        hops.push(single);
    }
    let hinted = hops.iter().find_map(|hop| hop.via.as_ref()).or(src.as_ref()).map(|a| Family::of(a.value));
    let dst = destination(&dst, hinted)?;
    Ok(RouteSpec { dst, kind, table, metric, tos, src, scope, protocol, mtu, mtu_lock, advmss, hops, multipath })
}

/// The words of one hop; whether `word` was one of them.
fn read_hop(reader: &mut Reader<'_>, word: &Word<'_>, hop: &mut HopSpec) -> Result<bool, WordError> {
    match word.text {
        "via" => {
            let family = ["inet", "inet6"].into_iter().find(|name| reader.take(name));
            let fits = |a: &IpAddr| family.is_none_or(|name| a.is_ipv4() == (name == "inet"));
            reader.value(&mut hop.via, word, "the address of the gateway", |t| t.parse().ok().filter(fits))?;
        }
        "dev" | "oif" => reader.value(&mut hop.dev, word, "the name of a device", |t| Some(t.into()))?,
        "onlink" => hop.onlink = true,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The rest of the text: hops separated by `nexthop`. The first was begun.
fn read_hops(reader: &mut Reader<'_>, hops: &mut Vec<HopSpec>) -> Result<(), WordError> {
    while let Some(word) = reader.next() {
        let full = hops.len() >= super::Fib::MAX_HOPS;
        let hop = hops.last_mut().expect("the caller began the first");
        match word.text {
            "nexthop" if full => return Err(word.wrong("at most 256 hops")),
            "nexthop" => hops.push(HopSpec::default()),
            "weight" => {
                let share = |t: &str| number(t).filter(|n| (1..=256).contains(n));
                reader.value(&mut hop.weight, &word, "a number from 1 to 256", share)?;
            }
            _ if read_hop(reader, &word, hop)? => {}
            _ => return Err(word.wrong("via, dev, weight, onlink or nexthop")),
        }
    }
    Ok(())
}

/// A destination prefix, or a word for everything.
fn destination(word: &Word<'_>, family: Option<Family>) -> Result<Spanned<Prefix>, WordError> {
    let value = match word.text {
        "default" | "all" | "any" => Some(family.unwrap_or(Family::V4).any()),
        text => prefix(text),
    };
    let value = value.ok_or_else(|| word.wrong("a prefix such as 10.0.0.0/24, an address, or `default`"))?;
    Ok(Spanned { value, at: word.at.clone() })
}

/// A prefix; iproute2 lets trailing zeros of an IPv4 one away, as in `10/8`.
fn prefix(text: &str) -> Option<Prefix> {
    text.parse().ok().or_else(|| {
        let (addr, len) = text.split_once('/')?;
        let mut octets = [0; 4];
        let given: Vec<u8> = addr.split('.').map(|o| o.parse().ok()).collect::<Option<_>>()?;
        octets.get_mut(..given.len())?.copy_from_slice(&given);
        Prefix::new(Ipv4Addr::from(octets).into(), len.parse().ok()?)
    })
}

fn type_of_service(text: &str) -> Option<u8> {
    number(text).and_then(|n| n.try_into().ok())
}

fn scope_of(text: &str) -> Option<Scope> {
    let by_number = || text.parse().ok().and_then(|n: u8| Scope::ALL.iter().copied().find(|s| s.number() == n));
    Scope::from_name(text).or_else(by_number)
}

fn device(name: &Option<Spanned<String>>, find: Find<'_>) -> Result<Option<DevId>, WordError> {
    name.as_ref().map(|name| find(&name.value).ok_or_else(|| WordError::no_device(name))).transpose()
}

impl RouteSpec {
    /// The route, with the defaults of iproute2: see [`Route::new`]. `find` tells the device of a name; IPv6 routes of a
    /// special type belong to the device `lo`.
    ///
    /// # Errors
    /// Which name is not that of a device.
    pub fn resolve(&self, find: Find<'_>) -> Result<Route, WordError> {
        let kind = self.kind.unwrap_or(RouteType::Unicast);
        let mut hops = Vec::with_capacity(self.hops.len());
        for hop in &self.hops {
            let weight = hop.weight.as_ref().map_or(1, |w| w.value);
            let via = hop.via.as_ref().map(|v| v.value);
            hops.push(NextHop { dev: device(&hop.dev, find)?, via, weight, onlink: hop.onlink, ..NextHop::default() });
        }
        if hops.is_empty() && kind.is_special() && !self.dst.value.is_ipv4() {
            hops.push(NextHop { dev: find("lo"), ..NextHop::default() });
        }
        let mut route = Route::new(self.dst.value, kind, hops.first().copied().unwrap_or_default());
        if hops.len() > 1 && kind == RouteType::Unicast {
            route.scope = Scope::Global;
        }
        fn set<T: Copy>(field: &mut T, given: &Option<Spanned<T>>) {
            *field = given.as_ref().map_or(*field, |g| g.value);
        }
        set(&mut route.table, &self.table);
        set(&mut route.tos, &self.tos);
        set(&mut route.protocol, &self.protocol);
        if route.family() == Family::V4 {
            set(&mut route.scope, &self.scope);
        }
        if self.metric.as_ref().is_some_and(|m| m.value != 0) {
            set(&mut route.metric, &self.metric);
        }
        route.src = self.src.as_ref().map(|s| s.value);
        route.mtu = self.mtu.as_ref().and_then(|m| NonZeroU32::new(m.value));
        route.mtu_lock = self.mtu_lock;
        route.advmss = self.advmss.as_ref().map_or(0, |m| m.value.min(65_495) as u16);
        Ok(route.with_hops(hops))
    }

    /// Which route `ip route del` with these words deletes.
    ///
    /// # Errors
    /// Which name is not that of a device.
    pub fn selector(&self, find: Find<'_>) -> Result<RouteSelector, WordError> {
        let in_local = matches!(self.kind, Some(RouteType::Local | RouteType::Broadcast | RouteType::Anycast));
        let hop = |hop: &HopSpec| -> Result<HopSelector, WordError> {
            Ok(HopSelector { via: hop.via.as_ref().map(|v| v.value), dev: device(&hop.dev, find)? })
        };
        Ok(RouteSelector {
            dst: self.dst.value,
            table: self.table.as_ref().map_or(if in_local { table::LOCAL } else { table::MAIN }, |t| t.value),
            tos: self.tos.as_ref().map_or(0, |t| t.value),
            kind: self.kind,
            metric: self.metric.as_ref().map(|m| m.value),
            src: self.src.as_ref().map(|s| s.value),
            scope: self.scope.as_ref().map(|s| s.value),
            protocol: self.protocol.as_ref().map(|p| p.value),
            mtu: self.mtu.as_ref().map(|m| m.value),
            hops: self.hops.iter().map(hop).collect::<Result<_, _>>()?,
            multipath: self.multipath,
        })
    }
}

/// Reads a rule: `[not] [from PREFIX] [to PREFIX] [iif NAME] [oif NAME] [fwmark MARK[/MASK]] [tos N] [pref N]
/// [lookup TABLE | unreachable | prohibit | blackhole] [suppress_prefixlength N]`.
///
/// `ipv6` decides the family of a rule without prefixes, as `ip -6` does.
///
/// ```
/// use netsim::route::parse_rule;
/// let spec = parse_rule("from 10.0.0.2 lookup 100 pref 1000", false).unwrap();
/// let rule = spec.resolve(&|_| None, 32765).unwrap();
/// assert_eq!(rule.show(&|_| ""), "1000:\tfrom 10.0.0.2 lookup 100");
/// ```
///
/// # Errors
/// Which word is wrong, where, and what was expected.
pub fn parse_rule(text: &str, ipv6: bool) -> Result<RuleSpec, WordError> {
    let mut reader = Reader::new(text);
    let (mut priority, mut from, mut to, mut iif, mut oif) = (None, None, None, None, None);
    let (mut fwmark, mut tos, mut action, mut suppress_prefixlength) = (None, None, None, None);
    let (mut ipproto, mut sport, mut dport) = (None, None, None);
    let invert = reader.take("not");
    while let Some(word) = reader.next() {
        match word.text {
            "from" => reader.value(&mut from, &word, "a prefix or `all`", prefix_or_all)?,
            "to" => reader.value(&mut to, &word, "a prefix or `all`", prefix_or_all)?,
            "iif" | "dev" => reader.value(&mut iif, &word, "the name of a device", |t| Some(t.to_owned()))?,
            "oif" => reader.value(&mut oif, &word, "the name of a device", |t| Some(t.to_owned()))?,
            "fwmark" => reader.value(&mut fwmark, &word, "a mark, or mark/mask", mark)?,
            "tos" | "dsfield" => reader.value(&mut tos, &word, "a type of service (0x00 to 0xff)", type_of_service)?,
            "ipproto" => reader.value(&mut ipproto, &word, "tcp, udp, icmp or a number", protocol_of)?,
            "sport" => reader.value(&mut sport, &word, "a port, or low-high", ports)?,
            "dport" => reader.value(&mut dport, &word, "a port, or low-high", ports)?,
            "pref" | "priority" | "preference" | "prio" | "order" => {
                reader.value(&mut priority, &word, "a number", number)?;
            }
            "lookup" | "table" => {
                let parse = |t: &str| table::parse(t).map(RuleAction::Table);
                reader.value(&mut action, &word, "a table (main, local, default or a number)", parse)?;
            }
            "unreachable" | "prohibit" | "blackhole" if action.is_some() => {
                return Err(word.wrong("only one action"));
            }
            "unreachable" => action = Some(Spanned { value: RuleAction::Unreachable, at: word.at }),
            "prohibit" => action = Some(Spanned { value: RuleAction::Prohibit, at: word.at }),
            "blackhole" => action = Some(Spanned { value: RuleAction::Blackhole, at: word.at }),
            "suppress_prefixlength" | "sup_pl" => {
                let parse = |t: &str| t.parse().ok().filter(|n: &u8| *n <= 128);
                reader.value(&mut suppress_prefixlength, &word, "a prefix length", parse)?;
            }
            _ => return Err(word.wrong("from, to, iif, oif, fwmark, tos, pref, lookup, unreachable, prohibit, …")),
        }
    }
    let given = [&from, &to].into_iter().flatten().filter_map(|p: &Spanned<Option<Prefix>>| p.value);
    let families: Vec<Family> = given.map(|p| Family::of(p.addr())).collect();
    let family = families.first().copied().unwrap_or(if ipv6 { Family::V6 } else { Family::V4 });
    let narrow = |p: Option<Spanned<Option<Prefix>>>| p.and_then(|p| Some(Spanned { value: p.value?, at: p.at }));
    let (from, to) = (narrow(from), narrow(to));
    if let Some(to) = to.as_ref().filter(|to| Family::of(to.value.addr()) != family) {
        let word = Word { text: &text[to.at.clone()], at: to.at.clone() };
        return Err(word.wrong("a prefix of the same family as after `from`"));
    }
    Ok(RuleSpec {
        family,
        priority,
        from,
        to,
        iif,
        oif,
        fwmark,
        tos,
        ipproto,
        sport,
        dport,
        action,
        suppress_prefixlength,
        invert,
    })
}

fn protocol_of(text: &str) -> Option<u8> {
    super::show::PROTOCOLS.iter().find(|(_, name)| *name == text).map(|(n, _)| *n).or_else(|| text.parse().ok())
}

/// A port, or a range of them.
fn ports(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (0 < low && low <= high).then_some((low, high))
}

/// `Some(None)` for all addresses.
fn prefix_or_all(text: &str) -> Option<Option<Prefix>> {
    match text {
        "all" | "any" | "default" | "0/0" => Some(None),
        _ => prefix(text).map(Some),
    }
}

fn mark(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((mark, mask)) => Some((number(mark)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

impl RuleSpec {
    /// The rule; `default_priority` is used if none is given, see [`super::Fib::default_priority`].
    ///
    /// # Errors
    /// Which name is not that of a device.
    pub fn resolve(&self, find: Find<'_>, default_priority: u32) -> Result<Rule, WordError> {
        let priority = self.priority.as_ref().map_or(default_priority, |p| p.value);
        let action = self.action.as_ref().map_or(RuleAction::Table(table::MAIN), |a| a.value);
        Ok(Rule {
            from: self.from.as_ref().map(|p| p.value),
            to: self.to.as_ref().map(|p| p.value),
            iif: device(&self.iif, find)?,
            oif: device(&self.oif, find)?,
            fwmark: self.fwmark.as_ref().map(|m| m.value),
            tos: self.tos.as_ref().map_or(0, |t| t.value),
            ipproto: self.ipproto.as_ref().map(|p| p.value),
            sport: self.sport.as_ref().map(|p| p.value),
            dport: self.dport.as_ref().map(|p| p.value),
            suppress_prefixlength: self.suppress_prefixlength.as_ref().map(|s| s.value),
            invert: self.invert,
            ..Rule::new(self.family, priority, action)
        })
    }

    /// Which rule `ip rule del` with these words deletes.
    ///
    /// # Errors
    /// Which name is not that of a device.
    pub fn selector(&self, find: Find<'_>) -> Result<RuleSelector, WordError> {
        Ok(RuleSelector {
            priority: self.priority.as_ref().map(|p| p.value),
            from: self.from.as_ref().map(|p| p.value),
            to: self.to.as_ref().map(|p| p.value),
            iif: device(&self.iif, find)?,
            oif: device(&self.oif, find)?,
            fwmark: self.fwmark.as_ref().map(|m| m.value),
            tos: self.tos.as_ref().map_or(0, |t| t.value),
            ipproto: self.ipproto.as_ref().map(|p| p.value),
            sport: self.sport.as_ref().map(|p| p.value),
            dport: self.dport.as_ref().map(|p| p.value),
            action: self.action.as_ref().map(|a| a.value),
            suppress_prefixlength: self.suppress_prefixlength.as_ref().map(|s| s.value),
            invert: self.invert,
        })
    }
}
