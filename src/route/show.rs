//! Routes and rules in the words of `ip route show` and `ip rule show` (iproute2 6.1).
//!
//! iproute2 leaves a blank at the end of most lines; here there is none.

use std::fmt::Write;

use super::{
    rule::{Rule, RuleAction},
    types::{Family, NextHop, Protocol, Route, RouteType, Scope, table},
};
use crate::base::{DevId, Prefix};

impl Route {
    /// The route as `ip route show` prints it in a listing of its own table; `name` tells a device's name. The hops of a
    /// multipath route follow on lines of their own, each after a tab.
    ///
    /// ```
    /// use netsim::{base::DevId, route::{NextHop, Protocol, Route, RouteType::{Prohibit, Unicast}}};
    /// let near = Route::new("10.0.0.0/24".parse().unwrap(), Unicast, NextHop::dev(DevId(1)));
    /// let near = near.with_protocol(Protocol::Kernel).with_src("10.0.0.1".parse().unwrap());
    /// assert_eq!(near.show(&|_| "eth0"), "10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1");
    /// let no = Route::special("172.16.0.0/12".parse().unwrap(), Prohibit);
    /// assert_eq!(no.show(&|_| "eth0"), "prohibit 172.16.0.0/12");
    /// ```
    pub fn show<'n>(&self, name: &dyn Fn(DevId) -> &'n str) -> String {
        self.print(name, false)
    }

    /// The same as `ip route show table all` prints it: with the table, unless it is main.
    pub fn show_with_table<'n>(&self, name: &dyn Fn(DevId) -> &'n str) -> String {
        self.print(name, true)
    }

    fn print<'n>(&self, name: &dyn Fn(DevId) -> &'n str, with_table: bool) -> String {
        let mut line = Words(String::new());
        let ipv6 = self.family() == Family::V6;
        if self.kind != RouteType::Unicast {
            line.word(self.kind.name());
        }
        line.word(prefix(self.dst, "default"));
        if self.tos != 0 {
            line.word(format_args!("tos {:#04x}", self.tos));
        }
        let single = match &self.hops[..] {
            [hop] => Some(hop),
            _ => None,
        };
        if let Some(hop) = single {
            line.way(hop, ipv6, name);
        }
        if with_table && self.table != table::MAIN {
            match table::name(self.table) {
                Some(table) => line.word(format_args!("table {table}")),
                None => line.word(format_args!("table {}", self.table)),
            }
        }
        if self.protocol != Protocol::Boot {
            line.word(format_args!("proto {}", self.protocol));
        }
        if !ipv6 && self.scope != Scope::Global {
            line.word(format_args!("scope {}", self.scope.name()));
        }
        if let Some(src) = self.src {
            line.word(format_args!("src {src}"));
        }
        if ipv6 || self.metric != 0 {
            line.word(format_args!("metric {}", self.metric));
        }
        match single {
            Some(hop) => line.state(hop),
            // The kernel marks an IPv4 multipath route as a whole when every hop is.
            // That takes all that still live to be on the one device that lost its carrier (fib_sync_down_dev).
            None if !ipv6 && self.lost_its_carrier() => line.word("linkdown"),
            None => {}
        }
        if let Some(mtu) = self.mtu {
            let lock = if self.mtu_lock { "lock " } else { "" };
            line.word(format_args!("mtu {lock}{mtu}"));
        }
        if self.advmss != 0 {
            line.word(format_args!("advmss {}", self.advmss));
        }
        if ipv6 {
            line.word("pref medium");
        }
        if single.is_none() {
            for hop in self.hops.iter() {
                line.0.push_str("\n\tnexthop");
                line.way(hop, ipv6, name);
                line.word(format_args!("weight {}", hop.weight));
                line.state(hop);
            }
        }
        line.0
    }
}

impl Route {
    /// Whether the route as a whole is without carrier.
    fn lost_its_carrier(&self) -> bool {
        let mut alive = self.hops.iter().filter(|hop| !hop.dead).map(|hop| hop.dev);
        let first = alive.next();
        first.is_some_and(|dev| alive.all(|d| d == dev)) && self.hops.iter().all(|hop| hop.linkdown)
    }
}

/// The protocols iproute2 knows by name.
pub(super) const PROTOCOLS: [(u8, &str); 6] =
    [(1, "icmp"), (6, "tcp"), (17, "udp"), (58, "ipv6-icmp"), (132, "sctp"), (47, "gre")];

impl Rule {
    /// The rule as `ip rule show` prints it; `name` tells a device's name.
    ///
    /// ```
    /// use netsim::route::{Family, Rule, RuleAction};
    /// let rule = Rule::new(Family::V4, 100, RuleAction::Table(254));
    /// assert_eq!(rule.show(&|_| "eth0"), "100:\tfrom all lookup main");
    /// ```
    pub fn show<'n>(&self, name: &dyn Fn(DevId) -> &'n str) -> String {
        let mut line = Words(format!("{}:\t", self.priority));
        if self.invert {
            line.word("not");
        }
        line.word(format_args!("from {}", self.from.map_or("all".into(), |p| prefix(p, "0/0"))));
        if let Some(to) = self.to {
            line.word(format_args!("to {}", prefix(to, "0/0")));
        }
        if self.tos != 0 {
            line.word(format_args!("tos {:#04x}", self.tos));
        }
        match self.fwmark {
            Some((mark, u32::MAX)) => line.word(format_args!("fwmark {mark:#x}")),
            Some((mark, mask)) => line.word(format_args!("fwmark {mark:#x}/{mask:#x}")),
            None => {}
        }
        if let Some(dev) = self.iif {
            line.word(format_args!("iif {}", name(dev)));
        }
        if let Some(dev) = self.oif {
            line.word(format_args!("oif {}", name(dev)));
        }
        if let Some(proto) = self.ipproto {
            match PROTOCOLS.iter().find(|(n, _)| *n == proto) {
                Some((_, name)) => line.word(format_args!("ipproto {name}")),
                None => line.word(format_args!("ipproto ipproto-{proto}")),
            }
        }
        for (what, ports) in [("sport", self.sport), ("dport", self.dport)] {
            match ports {
                Some((low, high)) if low == high => line.word(format_args!("{what} {low}")),
                Some((low, high)) => line.word(format_args!("{what} {low}-{high}")),
                None => {}
            }
        }
        match self.action {
            RuleAction::Table(id) => match table::name(id) {
                Some(table) => line.word(format_args!("lookup {table}")),
                None => line.word(format_args!("lookup {id}")),
            },
            RuleAction::Unreachable => line.word("unreachable"),
            RuleAction::Prohibit => line.word("prohibit"),
            RuleAction::Blackhole => line.word("blackhole"),
        }
        if let Some(len) = self.suppress_prefixlength {
            line.word(format_args!("suppress_prefixlength {len}"));
        }
        line.0
    }
}

/// A prefix as iproute2 writes it: hosts without length, the whole address space by a word.
fn prefix(prefix: Prefix, any: &str) -> String {
    if prefix.is_any() {
        any.into()
    } else if prefix.is_host() {
        prefix.addr().to_string()
    } else {
        prefix.to_string()
    }
}

/// A line that is put together word by word.
struct Words(String);

impl Words {
    fn word(&mut self, word: impl std::fmt::Display) {
        if !self.0.is_empty() && !self.0.ends_with('\t') {
            self.0.push(' ');
        }
        write!(self.0, "{word}").expect("writing to a string cannot fail");
    }

    fn way<'n>(&mut self, hop: &NextHop, ipv6: bool, name: &dyn Fn(DevId) -> &'n str) {
        match hop.via {
            Some(via) if via.is_ipv4() == ipv6 => self.word(format_args!("via inet6 {via}")),
            Some(via) => self.word(format_args!("via {via}")),
            None => {}
        }
        if let Some(dev) = hop.dev {
            self.word(format_args!("dev {}", name(dev)));
        }
    }

    fn state(&mut self, hop: &NextHop) {
        for (set, word) in [(hop.dead, "dead"), (hop.onlink, "onlink"), (hop.linkdown, "linkdown")] {
            if set {
                self.word(word);
            }
        }
    }
}
