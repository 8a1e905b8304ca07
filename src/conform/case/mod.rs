//! A case as it is written: the neutral topology and the steps of `case.json`.
//!
//! Everything the oracle understands is understood here; a key it does not know is an error that names the key.

mod step;
mod value;

pub use step::{
    BridgeSet, Close, ConfigVerb, Dump, Frame, FrameArp, FrameIcmp, FrameIp, FrameQuote, FrameTcp, FrameUdp, Inject,
    LinkSet, Nft, Op, Parallel, Ping, RouteGet, SockOpts, Step, TcpConnect, TcpServe, TcpXfer, Traceroute, UdpOpen,
    UdpRecv, UdpSend, UdpServe, WaitFdbGone, WaitNeigh,
};
pub use value::{Ordered, Scalar, Secs};

use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: Option<String>,
    /// What it shows.
    pub purpose: Option<String>,
    /// Whether the namespaces have IPv6.
    pub ipv6: bool,
    /// The namespaces.
    pub nodes: Ordered<Node>,
    /// The cables: both ends as `node:interface`.
    pub links: Vec<[String; 2]>,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What of it is looked at.
    pub observe: Observe,
    /// Time between the building of the world and the first step.
    pub warmup: Secs,
    /// Nodes whose packets are not recorded.
    pub no_capture: Vec<String>,
    /// Names for ranges of random ports: lowest, highest, name.
    pub port_classes: Vec<(u32, u32, String)>,
    /// The whole file, as it is written.
    pub source: Value,
}

/// Why a case cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseError(
    /// What is wrong, and where.
    pub String,
);

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CaseError {}

impl From<serde_json::Error> for CaseError {
    fn from(e: serde_json::Error) -> CaseError {
        CaseError(e.to_string())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    purpose: Option<String>,
    #[serde(default)]
    ipv6: bool,
    nodes: Ordered<Node>,
    #[serde(default)]
    links: Vec<LinkEnds>,
    #[serde(default)]
    steps: Vec<Value>,
    #[serde(default)]
    observe: Observe,
    warmup: Option<Secs>,
    #[serde(default)]
    no_capture: Vec<String>,
    #[serde(default)]
    port_classes: Vec<(u32, u32, String)>,
    // Read for the symbols only, from the source.
    #[serde(rename = "known_ports")]
    _known_ports: Option<Value>,
    // What the recording kernel needed; netsim is asked for the things themselves.
    #[serde(rename = "requires")]
    _requires: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LinkEnds {
    Short([String; 2]),
    Long { ends: [String; 2] },
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// What is wrong with the text, with the key or the step it is wrong at.
    ///
    /// ```
    /// use netsim::conform::Case;
    /// let case = Case::parse(r#"{"nodes": {"h1": {}}, "steps": [{"op": "sleep", "seconds": 1}]}"#).unwrap();
    /// assert_eq!(case.steps.len(), 1);
    /// let error = Case::parse(r#"{"nodes": {"h1": {"forwarding": true}}}"#).unwrap_err();
    /// assert!(error.to_string().contains("unknown field `forwarding`"));
    /// ```
    pub fn parse(text: &str) -> Result<Case, CaseError> {
        let file: File = serde_json::from_str(text)?;
        let source: Value = serde_json::from_str(text)?;
        let steps = file.steps.into_iter().enumerate();
        let steps = steps.map(|(i, s)| Step::parse(s).map_err(|e| CaseError(format!("step {i}: {e}"))));
        Ok(Case {
            name: file.name,
            purpose: file.purpose,
            ipv6: file.ipv6,
            nodes: file.nodes,
            links: file
                .links
                .into_iter()
                .map(|l| match l {
                    LinkEnds::Short(ends) | LinkEnds::Long { ends } => ends,
                })
                .collect(),
            steps: steps.collect::<Result<_, _>>()?,
            observe: file.observe,
            warmup: file.warmup.unwrap_or(Secs::ms(50)),
            no_capture: file.no_capture,
            port_classes: file.port_classes,
            source,
        })
    }
}

/// A namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// Whether it forwards packets.
    pub forward: bool,
    /// Settings.
    pub sysctl: Ordered<Scalar>,
    /// Its interfaces; those at the end of a cable need not be listed.
    pub ifaces: Ordered<Iface>,
    /// Its routes.
    pub routes: Vec<RouteWords>,
    /// Its routing rules.
    pub rules: Vec<RuleWords>,
    /// Neighbours set by hand.
    pub neigh: Vec<NeighWords>,
    /// Stations set by hand in the tables of its bridges.
    pub fdb: Vec<FdbWords>,
    /// Its NAT rules.
    pub nat: Vec<RuleSpec>,
    /// Its filter chains, by hook.
    pub filter: Ordered<ChainSpec>,
    /// Rules in the language of nft.
    pub nft: Option<String>,
}

/// An interface.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Iface {
    /// What it is, if it is not the end of a cable.
    pub kind: Option<String>,
    /// Addresses.
    pub addr: Vec<AddrWords>,
    /// MTU.
    pub mtu: Option<u32>,
    /// Its MAC; `auto` is the kernel's choice.
    pub mac: Option<String>,
    /// Whether it is up.
    pub up: Option<bool>,
    /// Whether it uses ARP.
    pub arp: Option<bool>,
    /// The bridge it is a port of.
    pub master: Option<String>,
    /// Settings of a bridge.
    pub bridge: Ordered<Scalar>,
    /// Settings as a port.
    pub brport: Ordered<Scalar>,
    /// VLANs as a port.
    pub vlans: Vec<VlanWords>,
    /// The egress queue.
    pub netem: Option<Impairment>,
    /// The device a sub-interface sits on.
    pub parent: Option<String>,
    /// VLAN or VXLAN number.
    pub id: Option<u32>,
    /// VLAN protocol.
    pub protocol: Option<String>,
    /// Mode of a macvlan.
    pub mode: Option<String>,
    /// UDP port of a VXLAN.
    pub port: Option<u16>,
    /// Local end of a tunnel.
    pub local: Option<String>,
    /// Remote end of a tunnel.
    pub remote: Option<String>,
    /// Device of a tunnel.
    pub dev: Option<String>,
    /// Group of a VXLAN.
    pub group: Option<String>,
    /// Whether a VXLAN learns nothing.
    pub nolearning: bool,
    /// TTL of a tunnel.
    pub ttl: Option<Scalar>,
    /// Key of a GRE tunnel.
    pub key: Option<Scalar>,
}

/// An address in the words of `ip addr`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum AddrWords {
    /// `10.0.0.1/24`.
    Short(String),
    /// With everything that can be said of it.
    Long(AddrObject),
}

impl AddrWords {
    /// All that can be said of it.
    pub fn object(&self) -> AddrObject {
        match self {
            AddrWords::Short(ip) => AddrObject { ip: ip.clone(), ..AddrObject::default() },
            AddrWords::Long(o) => o.clone(),
        }
    }
}

/// An address with everything that can be said of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddrObject {
    /// The address and the length of its prefix.
    pub ip: String,
    /// The other end.
    pub peer: Option<String>,
    /// Whether duplicates are detected.
    #[serde(default)]
    pub dad: bool,
    /// Its scope.
    pub scope: Option<String>,
}

/// A route.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum RouteWords {
    /// In the words of `ip route`.
    Short(String),
    /// Field by field.
    Long(Box<RouteObject>),
}

/// A route, field by field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // the words of `ip route`
pub struct RouteObject {
    pub dst: String,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub via: Option<String>,
    pub dev: Option<String>,
    pub src: Option<String>,
    pub metric: Option<Scalar>,
    pub table: Option<Scalar>,
    pub scope: Option<String>,
    pub proto: Option<String>,
    pub mtu: Option<Scalar>,
    pub advmss: Option<Scalar>,
    pub tos: Option<Scalar>,
    pub onlink: bool,
    pub nexthops: Vec<HopObject>,
}

/// One of several next hops.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // the words of `ip route`
pub struct HopObject {
    pub via: Option<String>,
    pub dev: Option<String>,
    pub weight: Option<Scalar>,
    pub onlink: bool,
}

impl RouteWords {
    /// The route in the words of `ip route`, and whether they are said to `ip -6`.
    pub fn words(&self) -> String {
        let r = match self {
            RouteWords::Short(words) => return words.clone(),
            RouteWords::Long(r) => r,
        };
        let mut words: Vec<String> = r.kind.iter().chain([&r.dst]).cloned().collect();
        let mut say = |key: &str, value: Option<String>| {
            if let Some(v) = value {
                words.push(key.into());
                words.push(v);
            }
        };
        let text = |s: &Option<Scalar>| s.as_ref().map(|s| s.0.clone());
        say("via", r.via.clone());
        say("dev", r.dev.clone());
        say("src", r.src.clone());
        say("metric", text(&r.metric));
        say("table", text(&r.table));
        say("scope", r.scope.clone());
        say("proto", r.proto.clone());
        say("mtu", text(&r.mtu));
        say("advmss", text(&r.advmss));
        say("tos", text(&r.tos));
        if r.onlink {
            words.push("onlink".into());
        }
        for h in &r.nexthops {
            words.push("nexthop".into());
            for (key, value) in [("via", h.via.clone()), ("dev", h.dev.clone()), ("weight", text(&h.weight))] {
                words.extend(value.into_iter().flat_map(|v| [key.into(), v]));
            }
            if h.onlink {
                words.push("onlink".into());
            }
        }
        words.join(" ")
    }
}

/// A routing rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // the words of `ip rule`
pub struct RuleWords {
    pub not: bool,
    pub from: Option<String>,
    pub to: Option<String>,
    pub iif: Option<String>,
    pub oif: Option<String>,
    pub fwmark: Option<Scalar>,
    pub ipproto: Option<String>,
    pub sport: Option<Scalar>,
    pub dport: Option<Scalar>,
    pub tos: Option<Scalar>,
    pub prio: Option<Scalar>,
    pub table: Option<Scalar>,
    pub suppress_prefixlength: Option<Scalar>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

impl RuleWords {
    /// The rule in the words of `ip rule`.
    pub fn words(&self) -> String {
        let text = |s: &Option<Scalar>| s.as_ref().map(|s| s.0.clone());
        let pairs = [
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("iif", self.iif.clone()),
            ("oif", self.oif.clone()),
            ("fwmark", text(&self.fwmark)),
            ("ipproto", self.ipproto.clone()),
            ("sport", text(&self.sport)),
            ("dport", text(&self.dport)),
            ("tos", text(&self.tos)),
            ("prio", text(&self.prio)),
            ("table", text(&self.table)),
            ("suppress_prefixlength", text(&self.suppress_prefixlength)),
        ];
        let said = pairs.into_iter().filter_map(|(k, v)| v.map(|v| format!("{k} {v}")));
        let not = self.not.then(|| "not".to_string());
        not.into_iter().chain(said).chain(self.kind.clone()).collect::<Vec<_>>().join(" ")
    }
}

/// A neighbour set by hand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NeighWords {
    /// Its address.
    pub ip: String,
    /// The device.
    pub dev: String,
    /// Its MAC, literal or as `node:interface`.
    pub mac: Option<String>,
    /// The state.
    pub nud: Option<String>,
    /// Whether it is an address to answer for.
    pub proxy: bool,
}

/// A station set by hand.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FdbWords {
    /// Its MAC, literal or as `node:interface`.
    pub mac: String,
    /// The port.
    pub dev: String,
    /// The remote end of a VXLAN.
    pub dst: Option<String>,
    /// The VLAN.
    pub vlan: Option<u16>,
    /// `master`, `self`, `static`, `dynamic`, `sticky` …
    pub flags: Option<Vec<String>>,
}

/// A VLAN of a port.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VlanWords {
    /// Its number.
    pub vid: u16,
    /// Whether untagged frames belong to it.
    pub pvid: bool,
    /// Whether its frames leave untagged.
    pub untagged: bool,
    /// Whether it is taken away.
    pub del: bool,
}

/// An egress queue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // the words of `tc qdisc`
pub struct Impairment {
    pub delay_ms: Option<f64>,
    pub jitter_ms: Option<f64>,
    pub loss_pct: Option<f64>,
    pub duplicate_pct: Option<f64>,
    pub corrupt_pct: Option<f64>,
    pub reorder_pct: Option<f64>,
    pub gap: Option<u32>,
    pub rate_kbit: Option<u64>,
    pub limit: Option<u32>,
    pub tbf: Option<TbfWords>,
}

/// A token bucket filter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the words of `tc qdisc`
pub struct TbfWords {
    pub rate_kbit: u64,
    pub burst: Option<u32>,
    pub limit: Option<u64>,
}

/// A filter chain.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChainSpec {
    /// `accept` or `drop`.
    pub policy: Option<String>,
    /// Its rules.
    pub rules: Vec<RuleSpec>,
}

/// A filter or NAT rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // the fields of the oracle's rules
pub struct RuleSpec {
    pub iif: Option<String>,
    pub oif: Option<String>,
    pub src: Option<String>,
    pub dst: Option<String>,
    pub proto: Option<String>,
    pub sport: Option<Scalar>,
    pub dport: Option<Scalar>,
    pub icmp_type: Option<Scalar>,
    pub ct_state: Option<Vec<String>>,
    pub ct_status: Option<String>,
    pub mark: Option<Scalar>,
    pub action: String,
    pub with: Option<String>,
    pub set_mark: Option<Scalar>,
    pub hook: Option<String>,
    pub to: Option<Scalar>,
    pub flags: Option<Vec<String>>,
}

/// What of a run is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Observe {
    /// Whether pure TCP acknowledgements are listed.
    pub tcp_acks: bool,
    /// Whether the re-confirmation of neighbours is listed.
    pub arp_probes: bool,
    /// Whether BPDUs are listed.
    pub stp: bool,
    /// Interfaces that are not listed.
    pub drop_ifaces: Vec<String>,
    /// The only interfaces that are listed, unless empty.
    pub only_ifaces: Vec<String>,
    /// `seq`, `set`, `multiset`, `count` or `flood`.
    pub packet_order: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_tools() {
        let r: RouteWords = serde_json::from_str(
            r#"{"dst": "default", "nexthops": [{"via": "10.0.0.1", "weight": 2}, {"dev": "eth1"}], "metric": 5}"#,
        )
        .unwrap();
        assert_eq!(r.words(), "default metric 5 nexthop via 10.0.0.1 weight 2 nexthop dev eth1");
        let r: RuleWords =
            serde_json::from_str(r#"{"from": "10.0.0.1", "prio": 800, "type": "prohibit", "not": true}"#).unwrap();
        assert_eq!(r.words(), "not from 10.0.0.1 prio 800 prohibit");
    }

    #[test]
    fn nodes_may_be_empty_and_keep_their_order() {
        let case = Case::parse(
            r#"{"nodes": {"z": null, "a": {"ifaces": {"lo": null}}},
                "links": [["z:e", "a:e"], {"ends": ["a:f", "z:f"]}]}"#,
        )
        .unwrap();
        assert_eq!(case.nodes.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["z", "a"]);
        assert_eq!(case.links[1], ["a:f", "z:f"]);
    }

    #[test]
    fn unknown_keys_are_named_wherever_they_are() {
        for (text, key) in [
            (r#"{"nodes": {}, "node": {}}"#, "node"),
            (r#"{"nodes": {"a": {"ifaces": {"eth0": {"mtuu": 1}}}}}"#, "mtuu"),
            (r#"{"nodes": {}, "steps": [{"op": "ping", "node": "a", "dst": "1.1.1.1", "cuont": 1}]}"#, "cuont"),
        ] {
            let error = Case::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
    }
}
