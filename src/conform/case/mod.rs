//! A case as it is written: the neutral topology and the steps of `case.json`.
//!
//! Everything the oracle understands is understood here; a key it does not know is an error that names the key.

mod fields;
mod step;
mod value;
mod words;

pub use fields::*;
pub use step::{ConfigVerb, Op, Parallel, Step};
pub use value::{Ordered, Scalar, Secs};
pub use words::*;

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
