//! Asking for a route (`ip route get`): the decision a packet would meet, in the words of iproute2 (rt_fill_info,
//! print_route).

use super::{OutRequest, RouteOut};
use crate::{
    base::{DevId, Errno, NsId, SEC},
    kernel::Kernel,
    route::{FlowKey, RouteType, table},
    trace::DropReason,
};
use std::{fmt::Write, net::IpAddr};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct RouteQuery {
    /// The destination.
    pub dst: IpAddr,
    /// The source: the sender's if the packet came in, else the address a socket is bound to.
    pub src: Option<IpAddr>,
    /// The device the packet came in by; `None` for one that is sent here.
    pub iif: Option<DevId>,
    /// The device the sender is bound to.
    pub oif: Option<DevId>,
    /// Firewall mark.
    pub mark: u32,
    /// Type of service.
    pub tos: u8,
    /// Upper-layer protocol.
    pub proto: u8,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
}

impl RouteQuery {
    /// Asks how a packet sent here gets to `dst`.
    pub fn to(dst: IpAddr) -> RouteQuery {
        RouteQuery { dst, src: None, iif: None, oif: None, mark: 0, tos: 0, proto: 0, sport: 0, dport: 0 }
    }
}

/// What `ip route get` prints, word by word.
struct Answer {
    words: String,
    cache: String,
}

impl Answer {
    fn new(kind: RouteType, dst: IpAddr) -> Answer {
        let mut words = String::new();
        if kind != RouteType::Unicast {
            words.push_str(kind.name());
            words.push(' ');
        }
        let mut answer = Answer { words, cache: String::new() };
        // Writing to a String cannot fail.
        let _ = write!(answer.words, "{dst}");
        answer
    }

    fn say(&mut self, key: &str, value: impl std::fmt::Display) {
        let _ = write!(self.words, " {key} {value}");
    }

    /// The mark asked for, if any.
    fn say_mark(&mut self, mark: u32) {
        match mark {
            0 => {}
            1..16 => self.say("mark", mark),
            _ => self.say("mark", format_args!("{mark:#x}")),
        }
    }

    fn note(&mut self, text: impl std::fmt::Display) {
        let _ = write!(self.cache, "{text} ");
    }

    fn lines(self) -> String {
        format!("{} \n    cache {}", self.words, self.cache)
    }
}

impl Kernel {
    /// The two lines `ip route get` prints, one for IPv6.
    ///
    /// # Errors
    /// What a sender would get, or for a packet that came in what its drop amounts to.
    ///
    /// ```
    /// use netsim::{ip::RouteQuery, kernel::Kernel};
    /// let mut k = Kernel::new(1);
    /// let (a, b) = (k.add_namespace("a")?, k.add_namespace("b")?);
    /// let (eth0, _) = k.add_veth((a, "eth0"), (b, "eth0"))?;
    /// k.add_address(eth0, "10.0.0.1/24".parse()?, None)?;
    /// let answer = k.route_get(a, &RouteQuery::to("10.0.0.9".parse()?))?;
    /// assert_eq!(answer, "10.0.0.9 dev eth0 src 10.0.0.1 uid 0 \n    cache ");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route_get(&mut self, ns: NsId, q: &RouteQuery) -> Result<String, Errno> {
        if q.dst.is_ipv6() {
            return self.route_get6(ns, q);
        }
        match q.iif {
            Some(iif) => self.route_get_input(ns, iif, q),
            None => self.route_get_output(ns, q),
        }
    }

    fn route_get_output(&mut self, ns: NsId, q: &RouteQuery) -> Result<String, Errno> {
        let request = OutRequest {
            src: q.src,
            dst: q.dst,
            oif: q.oif,
            mark: q.mark,
            tos: q.tos,
            proto: q.proto,
            sport: q.sport,
            dport: q.dport,
            any_src: false,
        };
        let way = self.route_output(ns, &request)?;
        let mut answer = Answer::new(way.kind, q.dst);
        if let Some(src) = q.src {
            answer.say("from", src);
        }
        if way.next_hop != q.dst || self.has_gateway(ns, q, &way) {
            answer.say("via", way.next_hop);
        }
        answer.say("dev", self.dev_name(way.dev));
        self.say_table(ns, &mut answer, q);
        if q.src != Some(way.src) {
            answer.say("src", way.src);
        }
        answer.say_mark(q.mark);
        answer.say("uid", 0);
        match way.kind {
            RouteType::Local => answer.note("<local>"),
            RouteType::Broadcast => answer.note("<local,brd>"),
            RouteType::Multicast => answer.note("<mc>"),
            _ => {}
        }
        self.note_exception(ns, &mut answer, q, &way);
        Ok(answer.lines())
    }

    /// Whether the route names a gateway, which may be the destination itself.
    fn has_gateway(&self, ns: NsId, q: &RouteQuery, way: &RouteOut) -> bool {
        way.kind == RouteType::Unicast && self.look_up(ns, q, |hop, _| hop.via == Some(way.next_hop)).unwrap_or(false)
    }

    /// Looks the destination up and asks something about the hop and the table.
    fn look_up<T>(&self, ns: NsId, q: &RouteQuery, ask: impl FnOnce(&crate::route::NextHop, u32) -> T) -> Option<T> {
        let key = FlowKey {
            src: q.src,
            dst: q.dst,
            iif: q.iif,
            oif: q.oif,
            mark: q.mark,
            tos: q.tos,
            proto: q.proto,
            ports: (q.sport, q.dport),
            hash: self.query_hash(ns, q),
        };
        self.ns(ns).fib.lookup(&key, false).ok().map(|found| ask(found.hop, found.table))
    }

    /// Tables other than main are named. As long as no rule was added, local is part of main (fib_unmerge).
    fn say_table(&self, ns: NsId, answer: &mut Answer, q: &RouteQuery) {
        let own_rules = self.ns(ns).fib.has_own_rules();
        match self.look_up(ns, q, |_, table| table) {
            Some(t) if t != table::MAIN && (own_rules || t != table::LOCAL) => match table::name(t) {
                Some(name) => answer.say("table", name),
                None => answer.say("table", t),
            },
            _ => {}
        }
    }

    /// What was learned about the destination, and the route's own bound.
    fn note_exception(&self, ns: NsId, answer: &mut Answer, q: &RouteQuery, way: &RouteOut) {
        let learned = self.ns(ns).exceptions.as_ref().and_then(|x| x.get(self.core.now, q.dst));
        let learned = learned.filter(|_| way.kind == RouteType::Unicast);
        if let Some(e) = learned {
            if e.gateway.is_some() {
                answer.note("<redirected>");
            }
            let left = e.expires.saturating_sub(self.core.now) / SEC;
            answer.note(format_args!("expires {left}sec"));
        }
        if way.mtu != self.dev(way.dev).mtu || learned.is_some_and(|e| e.mtu == Some(way.mtu)) {
            let lock = if way.mtu_locked { "lock " } else { "" };
            answer.note(format_args!("mtu {lock}{}", way.mtu));
        }
        if way.advmss > 0 {
            answer.note(format_args!("advmss {}", way.advmss));
        }
    }

    fn query_hash(&self, ns: NsId, q: &RouteQuery) -> u32 {
        let any = if q.dst.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        self.flow_hash(ns, q.src.unwrap_or(any), q.dst, q.proto, q.sport, q.dport)
    }

    fn route_get_input(&mut self, ns: NsId, iif: DevId, q: &RouteQuery) -> Result<String, Errno> {
        let any = if q.dst.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
        let src = q.src.unwrap_or(any);
        let hash = self.query_hash(ns, q);
        let way = self
            .input_route_hashed(ns, iif, src, q.dst, q.tos, q.mark, (hash, q.proto, (q.sport, q.dport)))
            .map_err(|no| match no.reason {
                DropReason::IpInNoRoutes => Errno::ENETUNREACH,
                DropReason::RouteProhibit => Errno::EACCES,
                DropReason::IpInAddrErrors | DropReason::RouteUnreachable => Errno::EHOSTUNREACH,
                _ => Errno::EINVAL,
            })?;
        let mut answer = Answer::new(way.kind, q.dst);
        answer.say("from", src);
        if way.forward && way.next_hop != q.dst {
            answer.say("via", way.next_hop);
        }
        let out = if way.forward { way.out } else { self.ns(ns).lo };
        answer.say("dev", self.dev_name(out));
        self.say_table(ns, &mut answer, q);
        answer.say_mark(q.mark);
        match way.kind {
            RouteType::Local => answer.note("<local>"),
            RouteType::Broadcast => answer.note("<local,brd>"),
            RouteType::Multicast => answer.note("<local,mc>"),
            _ if way.redirect => answer.note("<redirect>"),
            _ => {}
        }
        if way.mtu > 0 {
            answer.note(format_args!("mtu {}", way.mtu));
        }
        answer.note(format_args!("iif {}", self.dev_name(iif)));
        Ok(answer.lines())
    }
}
