//! Routing tables: a plain implementation, replaced by the real one as soon as it lands.
#![allow(missing_docs)]
use crate::base::*;
use std::net::IpAddr;
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteType {
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Unreachable,
    Prohibit,
    Blackhole,
    Throw,
}
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scope {
    Global,
    Site,
    Link,
    Host,
    Nowhere,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Kernel,
    Boot,
    Static,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddMode {
    Add,
    Append,
    Prepend,
    Replace,
    Change,
}
pub mod table {
    pub const LOCAL: u32 = 255;
    pub const MAIN: u32 = 254;
    pub const DEFAULT: u32 = 253;
}
#[derive(Clone, Copy, Debug)]
pub struct NextHop {
    pub dev: Option<DevId>,
    pub via: Option<IpAddr>,
    pub onlink: bool,
    pub linkdown: bool,
    pub dead: bool,
    pub weight: u32,
}
impl NextHop {
    pub fn dev(d: DevId) -> NextHop {
        NextHop { dev: Some(d), via: None, onlink: false, linkdown: false, dead: false, weight: 1 }
    }
}
#[derive(Clone, Debug)]
pub struct Route {
    pub dst: Prefix,
    pub kind: RouteType,
    pub src: Option<IpAddr>,
    pub mtu: Option<u32>,
    pub scope: Scope,
    pub protocol: Protocol,
    pub metric: u32,
    pub table: u32,
    hops: Vec<NextHop>,
}
impl Route {
    pub fn new(dst: Prefix, kind: RouteType, h: NextHop) -> Route {
        Route {
            dst: dst.network(),
            kind,
            src: None,
            mtu: None,
            scope: if h.via.is_some() { Scope::Global } else { Scope::Link },
            protocol: Protocol::Boot,
            metric: 0,
            table: table::MAIN,
            hops: vec![h],
        }
    }
    pub fn in_table(mut self, t: u32) -> Route {
        self.table = t;
        self
    }
    pub fn with_scope(mut self, s: Scope) -> Route {
        self.scope = s;
        self
    }
    pub fn with_protocol(mut self, p: Protocol) -> Route {
        self.protocol = p;
        self
    }
    pub fn with_src(mut self, a: IpAddr) -> Route {
        self.src = Some(a);
        self
    }
    pub fn hops(&self) -> &[NextHop] {
        &self.hops
    }
    pub fn hops_mut(&mut self) -> &mut [NextHop] {
        &mut self.hops
    }
}
#[derive(Debug, Clone)]
pub struct RouteError(Errno, String);
impl RouteError {
    pub fn errno(&self) -> Errno {
        self.0
    }
}
impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.1)
    }
}
#[derive(Clone, Debug)]
pub struct RouteSelector {
    pub dst: Prefix,
}
#[derive(Clone, Debug)]
pub struct Rule;
#[derive(Clone, Debug)]
pub struct RouteSpec {
    dst: Prefix,
    via: Option<IpAddr>,
    dev: Option<String>,
    metric: u32,
    src: Option<IpAddr>,
}
pub struct RuleSpec;
pub fn parse_route(text: &str) -> Result<RouteSpec, RouteError> {
    let bad = |w: &str| RouteError(Errno::EINVAL, format!("cannot read `{w}`"));
    let mut words = text.split_whitespace();
    let first = words.next().ok_or_else(|| bad(""))?;
    let mut s = RouteSpec {
        dst: if first == "default" { Prefix::ANY4 } else { first.parse().map_err(|_| bad(first))? },
        via: None,
        dev: None,
        metric: 0,
        src: None,
    };
    while let Some(w) = words.next() {
        let v = words.next().ok_or_else(|| bad(w))?;
        match w {
            "via" => s.via = Some(v.parse().map_err(|_| bad(v))?),
            "dev" => s.dev = Some(v.into()),
            "metric" => s.metric = v.parse().map_err(|_| bad(v))?,
            "src" => s.src = Some(v.parse().map_err(|_| bad(v))?),
            _ => return Err(bad(w)),
        }
    }
    Ok(s)
}
impl RouteSpec {
    pub fn resolve(&self, f: &dyn Fn(&str) -> Option<DevId>) -> Result<Route, RouteError> {
        let dev = match &self.dev {
            Some(n) => Some(f(n).ok_or_else(|| RouteError(Errno::ENODEV, format!("Cannot find device \"{n}\"")))?),
            None => None,
        };
        let mut r = Route::new(
            self.dst,
            RouteType::Unicast,
            NextHop { dev, via: self.via, onlink: false, linkdown: false, dead: false, weight: 1 },
        );
        r.metric = self.metric;
        r.src = self.src;
        Ok(r)
    }
}
impl RuleSpec {
    pub fn resolve(&self, _f: &dyn Fn(&str) -> Option<DevId>) -> Result<Rule, RouteError> {
        Ok(Rule)
    }
}
pub struct FlowKey {
    pub src: Option<IpAddr>,
    pub dst: IpAddr,
    pub iif: Option<DevId>,
    pub oif: Option<DevId>,
    pub mark: u32,
    pub tos: u8,
    pub hash: u32,
}
pub struct Lookup<'a> {
    pub route: &'a Route,
    pub hop: &'a NextHop,
}
pub enum LookupError {
    NoRoute,
    Unreachable,
    Prohibit,
    Blackhole,
}
#[derive(Default, Debug)]
pub struct Fib {
    local: Vec<Route>,
    main: Vec<Route>,
}
impl Fib {
    pub fn lookup(&self, k: &FlowKey, ignore: bool) -> Result<Lookup<'_>, LookupError> {
        for t in [&self.local, &self.main] {
            for r in t {
                if !r.dst.contains(k.dst) {
                    continue;
                }
                for h in &r.hops {
                    if h.dead || ignore && h.linkdown || k.oif.is_some_and(|o| h.dev != Some(o)) {
                        continue;
                    }
                    return Ok(Lookup { route: r, hop: h });
                }
            }
        }
        Err(LookupError::NoRoute)
    }
    pub fn local_kind(&self, a: IpAddr) -> Option<RouteType> {
        self.local.iter().find(|r| r.dst.contains(a)).map(|r| r.kind)
    }
    pub fn has_multipath(&self) -> bool {
        false
    }
    fn table(&mut self, t: u32) -> &mut Vec<Route> {
        if t == table::LOCAL { &mut self.local } else { &mut self.main }
    }
    pub fn add(&mut self, r: Route, _m: AddMode) -> Result<(), RouteError> {
        let t = self.table(r.table);
        if t.iter().any(|x| x.dst == r.dst && x.metric == r.metric && x.kind == r.kind) {
            return Err(RouteError(Errno::EEXIST, "File exists".into()));
        }
        t.push(r);
        t.sort_by_key(|x| (std::cmp::Reverse(x.dst.len()), x.metric));
        Ok(())
    }
    pub fn delete(&mut self, s: &RouteSelector) -> Result<Route, RouteError> {
        let i = self
            .main
            .iter()
            .position(|r| r.dst == s.dst)
            .ok_or_else(|| RouteError(Errno::ESRCH, "No such process".into()))?;
        Ok(self.main.remove(i))
    }
    pub fn add_rule(&mut self, _r: Rule) -> Result<(), RouteError> {
        Ok(())
    }
    pub fn remove(&mut self, f: impl Fn(&Route) -> bool) {
        self.local.retain(|r| !f(r));
        self.main.retain(|r| !f(r))
    }
    pub fn remove_routes_with_src(&mut self, a: IpAddr) {
        self.main.retain(|r| r.src != Some(a))
    }
    pub fn remove_device_routes(&mut self, d: DevId) {
        self.remove(|r| r.hops.iter().any(|h| h.dev == Some(d)))
    }
    pub fn set_linkdown(&mut self, d: DevId, x: bool) {
        for r in self.main.iter_mut() {
            for h in &mut r.hops {
                if h.dev == Some(d) {
                    h.linkdown = x
                }
            }
        }
    }
    pub fn set_dead(&mut self, _d: DevId, _x: bool) {}
    pub fn check_gateway(&self, via: IpAddr, dev: Option<DevId>, onlink: bool) -> Result<DevId, RouteError> {
        if onlink {
            return dev.ok_or(RouteError(Errno::ENODEV, "no device".into()));
        }
        let k = FlowKey { src: None, dst: via, iif: None, oif: dev, mark: 0, tos: 0, hash: 0 };
        let l = self
            .lookup(&k, false)
            .map_err(|_| RouteError(Errno::ENETUNREACH, "Nexthop has invalid gateway.".into()))?;
        if l.hop.via.is_some() {
            return Err(RouteError(Errno::ENETUNREACH, "Nexthop has invalid gateway.".into()));
        }
        l.hop.dev.ok_or(RouteError(Errno::ENODEV, "no device".into()))
    }
}
