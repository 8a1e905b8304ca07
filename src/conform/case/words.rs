//! What a case configures, in the words of `ip`, `bridge`, `tc` and nft.

use super::Scalar;
use serde::Deserialize;

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
}
