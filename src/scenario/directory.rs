//! Finding things of a scenario by name.

use super::{Device, End, Expanded, Scenario, Spanned, Target, node::shorten};
use crate::base::Map;
use std::net::IpAddr;

/// An index of the names of a scenario: namespaces, their devices, and the cables that end in them.
///
/// Whoever builds a world numbers namespaces and links as they stand in the scenario; the numbers here are those.
///
/// ```
/// use netsim::scenario::{Directory, load};
/// let scenario = load(r#"(
///     namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
///     links: ["a:eth0 -- b:eth0"],
/// )"#).unwrap();
/// let names = Directory::new(&scenario);
/// assert_eq!(names.namespace("b").unwrap().0, 1);
/// assert_eq!(names.cable("a", "eth0").unwrap().link, 0);
/// assert_eq!(names.address(&netsim::scenario::Target::Ns("b".into())).unwrap().to_string(), "10.0.0.2");
/// ```
pub struct Directory<'s> {
    scenario: &'s Scenario,
    namespaces: Map<&'s str, usize>,
    devices: Map<(&'s str, &'s str), &'s Device>,
    cables: Map<(&'s str, &'s str), Cable>,
    /// The address each namespace's name stands for.
    addresses: Vec<Option<IpAddr>>,
}

/// One end of a cable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cable {
    /// The number of the link in the scenario.
    pub link: usize,
    /// Whether it is the end written first.
    pub first: bool,
}

/// Why a target has no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoAddress {
    /// There is no such namespace.
    Namespace,
    /// The namespace has no such device.
    Device,
    /// Neither it nor any of its devices has an address.
    Address,
}

impl<'s> Directory<'s> {
    /// Indexes a scenario. Where a name is used twice, the first use counts.
    pub fn new(scenario: &'s Scenario) -> Directory<'s> {
        let mut namespaces = Map::default();
        for (i, name) in scenario.namespaces.names().enumerate() {
            namespaces.entry(name).or_insert(i);
        }
        let mut devices = Map::default();
        for (ns, settings) in scenario.namespaces.iter() {
            for (dev, device) in settings.devices.iter() {
                devices.entry((ns.value.as_str(), dev.value.as_str())).or_insert(device);
            }
        }
        let mut cables = Map::default();
        for (link, cable) in scenario.links.iter().enumerate() {
            for (end, first) in [(cable.a(), true), (cable.b(), false)] {
                cables.entry((end.ns.as_str(), end.dev.as_str())).or_insert(Cable { link, first });
            }
        }
        let addresses = scenario.namespaces.iter().map(|(_, settings)| first_address(settings)).collect();
        Directory { scenario, namespaces, devices, cables, addresses }
    }

    /// The number and the settings of a namespace.
    pub fn namespace(&self, name: &str) -> Option<(usize, &'s Expanded)> {
        let i = *self.namespaces.get(name)?;
        Some((i, &self.scenario.namespaces.0[i].1))
    }

    /// The cable that ends in a device.
    pub fn cable(&self, ns: &str, dev: &str) -> Option<Cable> {
        self.cables.get(&(ns, dev)).copied()
    }

    /// Whether the namespace has a device of that name: `lo`, a declared one, or the end of a cable.
    pub fn has_device(&self, ns: &str, dev: &str) -> bool {
        self.namespaces.contains_key(ns)
            && (dev == "lo" || self.device(ns, dev).is_some() || self.cable(ns, dev).is_some())
    }

    /// The address a target stands for: that of an address is itself, that of a namespace its first one that is not on
    /// `lo` (or else its first one), that of a device its first one. Addresses added by steps do not count.
    ///
    /// # Errors
    /// If there is no such thing, or it has no address. Cannot happen for the targets of a scenario that was checked.
    pub fn address(&self, target: &Target) -> Result<IpAddr, NoAddress> {
        match target {
            Target::Addr(addr) => Ok(*addr),
            Target::Ns(ns) => {
                let number = *self.namespaces.get(ns.as_str()).ok_or(NoAddress::Namespace)?;
                self.addresses[number].ok_or(NoAddress::Address)
            }
            Target::Dev(End { ns, dev }) => {
                self.namespace(ns).ok_or(NoAddress::Namespace)?;
                if !self.has_device(ns, dev) {
                    return Err(NoAddress::Device);
                }
                let first = self.device(ns, dev).and_then(|device| device.addresses().first());
                first.map(|a| a.local.addr()).ok_or(NoAddress::Address)
            }
        }
    }

    /// The names of the devices of a namespace: declared ones in the order of the file, then undeclared ends of cables
    /// in the order of the links.
    pub fn devices(&self, ns: &str) -> Vec<&'s str> {
        let Some((_, settings)) = self.namespace(ns) else { return Vec::new() };
        let mut names: Vec<&str> = settings.devices.names().collect();
        for link in &self.scenario.links {
            for end in [link.a(), link.b()] {
                if end.ns == ns && !names.contains(&end.dev.as_str()) {
                    names.push(&end.dev);
                }
            }
        }
        names
    }

    /// The declared device of a name.
    pub fn device(&self, ns: &str, dev: &str) -> Option<&'s Device> {
        self.devices.get(&(ns, dev)).copied()
    }

    /// The scenario.
    pub fn scenario(&self) -> &'s Scenario {
        self.scenario
    }

    /// The nearest name of a namespace to a mistyped one, as a question.
    pub(crate) fn nearest_namespace(&self, typed: &Spanned<String>) -> Option<String> {
        // Looking through very many names would take long and help nobody.
        super::diagnose::did_you_mean(typed, self.scenario.namespaces.names().take(1000))
            .or_else(|| self.list_namespaces())
    }

    fn list_namespaces(&self) -> Option<String> {
        let names: Vec<String> = self.scenario.namespaces.names().take(9).map(shorten).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match names.len() {
            0 => None,
            1..9 => Some(format!("there is {}", super::read::list(&names))),
            _ => Some("it must be a key of `namespaces`".into()),
        }
    }
}

/// The first address that is not on `lo`, or else the first one.
fn first_address(settings: &Expanded) -> Option<IpAddr> {
    let first = |lo: bool| {
        let devices = settings.devices.iter().filter(move |(name, _)| (name.value == "lo") == lo);
        devices.flat_map(|(_, device)| device.addresses()).next()
    };
    first(false).or_else(|| first(true)).map(|a| a.local.addr())
}
