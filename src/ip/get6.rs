//! Asking for an IPv6 route (`ip -6 route get`; rt6_fill_node, print_route).

use super::{OutRequest, get::RouteQuery, route6::needs_device};
use crate::{
    base::{DevId, Errno, NsId, SEC},
    kernel::Kernel,
    route::{FlowKey, Protocol, RouteType, table},
    trace::DropReason,
};
use std::{
    fmt::Write,
    net::{IpAddr, Ipv6Addr},
};

impl Kernel {
    /// The line `ip -6 route get` prints.
    pub(super) fn route_get6(&self, ns: NsId, q: &RouteQuery) -> Result<String, Errno> {
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        // What comes in for an address that means something else on every link stays on its link (rt6_need_strict).
        let strict = |d: &DevId| matches!(q.dst, IpAddr::V6(a) if needs_device(a)) && *d != self.ns(ns).lo;
        let oif = q.oif.or(q.iif.filter(strict));
        let request = OutRequest {
            src: q.src,
            dst: q.dst,
            oif,
            mark: q.mark,
            tos: q.tos,
            proto: q.proto,
            sport: q.sport,
            dport: q.dport,
            any_src: false,
        };
        let hash = self.flow_hash(ns, q.src.unwrap_or(any), q.dst, q.proto, q.sport, q.dport);
        if let (Some(iif), IpAddr::V6(dst)) = (q.iif, q.dst) {
            let src = if let Some(IpAddr::V6(src)) = q.src { src } else { Ipv6Addr::UNSPECIFIED };
            match self.input_route6(ns, iif, src, dst, (q.tos, q.mark, (hash, q.proto, (q.sport, q.dport)))) {
                Err(no) if no.reason == DropReason::RouteProhibit => return Err(Errno::EACCES),
                Err(no) if no.reason == DropReason::RouteUnreachable => return Err(Errno::EHOSTUNREACH),
                Err(no) if no.reason == DropReason::RouteBlackhole => return Err(Errno::EINVAL),
                // There is a route; that a host does not forward is no concern of the tables.
                Err(no) if no.reason == DropReason::IpInAddrErrors => {}
                Err(_) => return Err(Errno::ENETUNREACH),
                Ok(_) => {}
            }
        }
        let way = self.route_output6(ns, &request)?;
        let oif = oif.filter(|d| *d != self.ns(ns).lo);
        let key = FlowKey {
            src: q.src,
            dst: q.dst,
            iif: q.iif,
            oif,
            mark: q.mark,
            tos: q.tos,
            proto: q.proto,
            ports: (q.sport, q.dport),
            hash,
        };
        let found = self.ns(ns).fib.lookup(&key, false).map_err(|_| Errno::ENETUNREACH)?;
        let learned = self.ns(ns).exceptions.as_ref().and_then(|x| x.get(self.core.now, q.dst));
        let learned = learned.filter(|_| way.kind == RouteType::Unicast);
        let mut line = String::new();
        let mut say = |word: std::fmt::Arguments<'_>| line.write_fmt(word).expect("writing to a string cannot fail");
        if found.route.kind != RouteType::Unicast {
            say(format_args!("{} ", found.route.kind.name()));
        }
        say(format_args!("{} from {}", q.dst, q.src.unwrap_or(any)));
        if way.next_hop != q.dst || found.hop.via == Some(q.dst) {
            say(format_args!(" via {}", way.next_hop));
        }
        say(format_args!(" dev {}", self.dev_name(way.dev)));
        match table::name(found.table) {
            _ if found.table == table::MAIN => {}
            Some(name) => say(format_args!(" table {name}")),
            None => say(format_args!(" table {}", found.table)),
        }
        if found.route.protocol != Protocol::Boot {
            say(format_args!(" proto {}", found.route.protocol));
        }
        if q.iif.is_none() {
            // The source that would be chosen, whatever was asked for (rt6_fill_node).
            let chosen = self.route_output6(ns, &OutRequest { src: None, ..request });
            say(format_args!(" src {}", chosen.map_or(way.src, |w| w.src)));
        }
        say(format_args!(" metric {}", found.route.metric));
        if let Some(e) = learned.filter(|e| e.expires != u64::MAX) {
            say(format_args!(" expires {}sec", e.expires.saturating_sub(self.core.now) / SEC));
        }
        if way.mtu != self.dev(way.dev).mtu6() {
            say(format_args!(" mtu {}", way.mtu));
        }
        if let Some(iif) = q.iif {
            say(format_args!(" iif {}", self.dev_name(iif)));
        }
        say(format_args!(" pref medium"));
        Ok(line)
    }
}
