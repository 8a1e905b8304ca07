//! Who is where in a case: the kinds of its interfaces, their MACs by the oracle's rule, and the names of MACs.

use super::case::{Case, Node};
use crate::base::Mac;

/// A case's interfaces, in the order in which they are made.
#[derive(Clone, Debug)]
pub struct Topology {
    ifaces: Vec<Interface>,
    names: Vec<(Mac, String)>,
}

/// An interface that is not `lo`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its namespace.
    pub node: String,
    /// Its name there.
    pub name: String,
    /// `veth` for an end of a cable, else the kind it was given.
    pub kind: String,
    /// The MAC it is given; `None` leaves the choice to the kernel.
    pub mac: Option<Mac>,
}

/// Kinds that get a MAC by the rule.
const ADDRESSED: [&str; 5] = ["bridge", "vxlan", "macvlan", "gretap", "dummy"];

/// Splits `node:interface`.
pub fn split(end: &str) -> Result<(&str, &str), String> {
    end.split_once(':').ok_or_else(|| format!("`{end}` is not of the form node:interface"))
}

impl Topology {
    /// Applies the rule: end *s* of cable *i* is `02:00:00:00:II:0a` or `0b`, the *j*-th interface of the *n*-th node
    /// `02:00:00:01:NN:JJ`, unless it is given one.
    ///
    /// # Errors
    /// For an end of a cable or a MAC that makes no sense.
    pub fn of(case: &Case) -> Result<Topology, String> {
        let mut t = Topology { ifaces: Vec::new(), names: Vec::new() };
        let mac = |given: &Option<String>, ruled: Mac| match given {
            Some(text) => text.parse().map_err(|_| format!("`{text}` is not a MAC address")),
            None => Ok(ruled),
        };
        for (i, ends) in case.links.iter().enumerate() {
            for (side, end) in ends.iter().enumerate() {
                let (node, name) = split(end)?;
                let config = case.nodes.get(node).ok_or_else(|| format!("there is no node `{node}`"))?.ifaces.get(name);
                let ruled = Mac([2, 0, 0, 0, i as u8, 0x0a + side as u8]);
                let mac = mac(&config.and_then(|c| c.mac.clone()), ruled)?;
                let kind = config.and_then(|c| c.kind.clone()).unwrap_or_else(|| "veth".into());
                t.ifaces.push(Interface { node: node.into(), name: name.into(), kind, mac: Some(mac) });
            }
        }
        for (n, (node, config)) in case.nodes.iter().enumerate() {
            for (j, (name, iface)) in config.ifaces.iter().enumerate() {
                let Some(kind) = &iface.kind else { continue };
                let ruled = Mac([2, 0, 0, 1, n as u8, j as u8]);
                let mac = match ADDRESSED.contains(&&**kind) && iface.mac.as_deref() != Some("auto") {
                    true => Some(mac(&iface.mac, ruled)?),
                    false => None,
                };
                t.ifaces.push(Interface { node: node.into(), name: name.into(), kind: kind.clone(), mac });
            }
        }
        for i in 0..t.ifaces.len() {
            let Interface { node, name, mac: Some(mac), .. } = &t.ifaces[i] else { continue };
            let (mac, full) = (*mac, format!("{node}:{name}"));
            match t.names.iter_mut().find(|(m, _)| *m == mac) {
                // Several may share one: all of them are named.
                Some((_, known)) => *known += &format!("={full}"),
                None => t.names.push((mac, full)),
            }
        }
        Ok(t)
    }

    /// All interfaces but `lo`: ends of cables first, then the others in the order of the nodes.
    pub fn ifaces(&self) -> &[Interface] {
        &self.ifaces
    }

    /// The interfaces of one node.
    pub fn of_node<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Interface> {
        self.ifaces.iter().filter(move |i| i.node == node)
    }

    /// What a MAC is called in an observation: `node:interface`, several joined by `=`, or `bcast`; `None` for one
    /// nobody was given.
    pub fn name_of(&self, mac: Mac) -> Option<&str> {
        match mac {
            Mac::BROADCAST => Some("bcast"),
            _ => self.names.iter().find(|(m, _)| *m == mac).map(|(_, n)| &**n),
        }
    }

    /// The MAC meant by `bcast`, by a literal, or by `node:interface`.
    ///
    /// # Errors
    /// If nobody is called that.
    pub fn mac(&self, text: &str) -> Result<Mac, String> {
        if matches!(text, "bcast" | "broadcast") {
            return Ok(Mac::BROADCAST);
        }
        if let Ok(mac) = text.parse() {
            return Ok(mac);
        }
        let (node, name) = split(text)?;
        let found = self.ifaces.iter().find(|i| i.node == node && i.name == name).and_then(|i| i.mac);
        found.ok_or_else(|| format!("`{text}` has no MAC"))
    }
}

/// The settings of an interface; the default for one that is not listed.
pub(super) fn iface<'a>(node: &'a Node, name: &str) -> Option<&'a super::case::Iface> {
    node.ifaces.get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_follow_the_rule() {
        let case = Case::parse(
            r#"{"nodes": {"h": {}, "s": {"ifaces": {"p1": {"mac": "02:aa:00:00:00:01"}, "br0": {"kind": "bridge"},
                "br1": {"kind": "bridge", "mac": "auto"}, "v": {"kind": "vlan", "parent": "p1", "id": 1}}}},
                "links": [["h:e0", "s:p0"], ["h:e1", "s:p1"], ["h:e2", "s:p2"]]}"#,
        )
        .unwrap();
        let t = Topology::of(&case).unwrap();
        let mac = |name| t.mac(name).unwrap().to_string();
        assert_eq!(mac("s:p0"), "02:00:00:00:00:0b");
        assert_eq!(mac("h:e2"), "02:00:00:00:02:0a");
        assert_eq!(mac("s:p1"), "02:aa:00:00:00:01");
        assert_eq!(mac("s:br0"), "02:00:00:01:01:01");
        assert!(t.mac("s:br1").is_err() && t.mac("s:v").is_err() && t.mac("nobody").is_err());
        assert_eq!(t.name_of(t.mac("h:e2").unwrap()), Some("h:e2"));
        assert_eq!(t.name_of(Mac([9; 6])), None);
    }

    #[test]
    fn a_shared_mac_names_all_its_owners() {
        let case = Case::parse(
            r#"{"nodes": {"a": {"ifaces": {"e": {"mac": "02:00:00:00:00:0b"}}}, "b": {}}, "links": [["a:e", "b:e"]]}"#,
        );
        let t = Topology::of(&case.unwrap()).unwrap();
        assert_eq!(t.name_of(Mac([2, 0, 0, 0, 0, 0x0b])), Some("a:e=b:e"));
    }
}
