//! The shape of the world: which devices share a segment, which namespaces hang together, how far apart they are.
//! The only door to petgraph.

use super::{Device, Directory, Scenario};
use petgraph::{
    graph::{NodeIndex, UnGraph},
    unionfind::UnionFind,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// VLANs are told apart as long as devices times VLANs stay below this; beyond, a cable is one segment.
const MAX_SLOTS: usize = 4_000_000;

/// A device in the topology.
#[derive(Clone, Copy, Debug)]
pub struct DeviceNode<'s> {
    /// The number of its namespace.
    pub ns: usize,
    /// Its name.
    pub name: &'s str,
    /// What the scenario says about it; `None` for an undeclared end of a cable.
    pub settings: Option<&'s Device>,
    /// The number of the link it is an end of.
    pub link: Option<usize>,
    /// The number of the bridge device it is a port of.
    pub bridge: Option<usize>,
}

/// The shape of a scenario's world. Names that do not exist are left out, so it can be built from a faulty scenario.
///
/// ```
/// use netsim::scenario::{load, topology::Topology};
/// let scenario = load(r#"(
///     namespaces: { "sw": Switch(ports: ["p1", "p2"]), "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
///     links: ["a:eth0 -- sw:p1", "b:eth0 -- sw:p2"],
/// )"#).unwrap();
/// let shape = Topology::new(&scenario);
/// let (a, b) = (shape.find("a", "eth0").unwrap(), shape.find("b", "eth0").unwrap());
/// assert_eq!(shape.segment(a), shape.segment(b));
/// assert_eq!(shape.islands().len(), 1);
/// ```
pub struct Topology<'s> {
    names: Vec<&'s str>,
    devices: Vec<DeviceNode<'s>>,
    by_ns: Vec<Vec<usize>>,
    index: BTreeMap<(usize, &'s str), usize>,
    links: Vec<Option<(usize, usize)>>,
    segments: Vec<usize>,
    graph: UnGraph<(), ()>,
}

impl<'s> Topology<'s> {
    /// Works out the shape.
    pub fn new(scenario: &'s Scenario) -> Topology<'s> {
        let directory = Directory::new(scenario);
        let mut shape = Topology {
            names: scenario.namespaces.names().collect(),
            devices: Vec::new(),
            by_ns: vec![Vec::new(); scenario.namespaces.len()],
            index: BTreeMap::new(),
            links: Vec::new(),
            segments: Vec::new(),
            graph: UnGraph::default(),
        };
        for (ns, (_, settings)) in scenario.namespaces.iter().enumerate() {
            for (name, device) in settings.devices.iter() {
                shape.device(ns, name, Some(device));
            }
        }
        for (i, link) in scenario.links.iter().enumerate() {
            let mut end = |ns: &str, dev: &'s str| {
                let (ns, _) = directory.namespace(ns)?;
                let id = shape.device(ns, dev, None);
                shape.devices[id].link.get_or_insert(i);
                Some(id)
            };
            let (a, b) = (end(&link.a().ns, &link.a().dev), end(&link.b().ns, &link.b().dev));
            shape.links.push(a.zip(b));
        }
        for id in 0..shape.devices.len() {
            let DeviceNode { ns, settings, .. } = shape.devices[id];
            for port in settings.and_then(Device::as_bridge).map_or(&[][..], |bridge| &bridge.ports) {
                if let Some(&port) = shape.index.get(&(ns, port.0.dev.value.as_str())) {
                    shape.devices[port].bridge.get_or_insert(id);
                }
            }
        }
        for _ in 0..shape.names.len() {
            shape.graph.add_node(());
        }
        for (a, b) in shape.links.iter().flatten() {
            let node = |id: usize| NodeIndex::new(shape.devices[id].ns);
            shape.graph.update_edge(node(*a), node(*b), ());
        }
        shape.segments = shape.find_segments();
        shape
    }

    fn device(&mut self, ns: usize, name: &'s str, settings: Option<&'s Device>) -> usize {
        *self.index.entry((ns, name)).or_insert_with(|| {
            self.devices.push(DeviceNode { ns, name, settings, link: None, bridge: None });
            self.by_ns[ns].push(self.devices.len() - 1);
            self.devices.len() - 1
        })
    }

    /// Names of the namespaces; their numbers are those of the scenario.
    pub fn namespaces(&self) -> &[&'s str] {
        &self.names
    }

    /// A device by its number.
    pub fn node(&self, device: usize) -> &DeviceNode<'s> {
        &self.devices[device]
    }

    /// All devices, in the order of their numbers: declared ones first, then undeclared ends of cables.
    pub fn devices(&self) -> &[DeviceNode<'s>] {
        &self.devices
    }

    /// The numbers of the devices of a namespace.
    pub fn devices_of(&self, ns: usize) -> &[usize] {
        &self.by_ns[ns]
    }

    /// The number of a device.
    pub fn find(&self, ns: &str, dev: &str) -> Option<usize> {
        self.find_in(self.names.iter().position(|name| *name == ns)?, dev)
    }

    /// The number of a device of a namespace given by its number.
    pub fn find_in(&self, ns: usize, dev: &str) -> Option<usize> {
        self.index.get(&(ns, dev)).copied()
    }

    /// The two devices a link joins, if both its namespaces exist.
    pub fn ends(&self, link: usize) -> Option<(usize, usize)> {
        self.links.get(link).copied().flatten()
    }

    /// The device at the other end of the cable.
    pub fn peer(&self, device: usize) -> Option<usize> {
        let (a, b) = self.ends(self.devices[device].link?)?;
        Some(if a == device { b } else { a })
    }

    /// The number of the segment a device is on: devices with the same number hear each other's untagged broadcasts.
    /// Bridges, VLANs and VLAN filtering are followed; cables that are unplugged count as plugged in.
    pub fn segment(&self, device: usize) -> usize {
        self.segments[device]
    }

    /// Joins what is on one segment. Each device has a slot for untagged frames and one for each VLAN in use.
    fn find_segments(&self) -> Vec<usize> {
        let mut tags: BTreeSet<u16> = BTreeSet::from([0]);
        for device in &self.devices {
            match device.settings {
                Some(Device::Vlan(vlan)) => _ = tags.insert(vlan.id.value),
                Some(Device::Bridge(bridge)) if bridge.vlan_filtering => {
                    tags.insert(bridge.default_pvid.value);
                    for port in &bridge.ports {
                        tags.extend(port.0.pvid.iter().chain(&port.0.tagged).map(|vid| vid.value));
                    }
                }
                _ => {}
            }
        }
        if self.devices.len().saturating_mul(tags.len()) > MAX_SLOTS {
            tags = BTreeSet::from([0]);
        }
        let tags: Vec<u16> = tags.into_iter().collect();
        // A VLAN that is not told apart shares the slot of untagged frames.
        let slot = |device: usize, tag: u16| device * tags.len() + tags.binary_search(&tag).unwrap_or(0);
        let mut joined: UnionFind<usize> = UnionFind::new(self.devices.len() * tags.len());
        for (a, b) in self.links.iter().flatten() {
            for &tag in &tags {
                joined.union(slot(*a, tag), slot(*b, tag));
            }
        }
        for (id, device) in self.devices.iter().enumerate() {
            match device.settings {
                Some(Device::Bridge(bridge)) => {
                    for port in &bridge.ports {
                        let Some(&dev) = self.index.get(&(device.ns, port.0.dev.value.as_str())) else { continue };
                        if bridge.vlan_filtering {
                            // Inside a filtering bridge, the slot of a VLAN stands for that VLAN's fabric.
                            let pvid = port.0.pvid.map_or(bridge.default_pvid.value, |pvid| pvid.value);
                            joined.union(slot(dev, 0), slot(id, pvid));
                            for vid in &port.0.tagged {
                                joined.union(slot(dev, vid.value), slot(id, vid.value));
                            }
                        } else {
                            for &tag in &tags {
                                joined.union(slot(dev, tag), slot(id, tag));
                            }
                        }
                    }
                }
                Some(Device::Vlan(vlan)) => {
                    if let Some(&parent) = self.index.get(&(device.ns, vlan.parent.value.as_str())) {
                        joined.union(slot(id, 0), slot(parent, vlan.id.value));
                    }
                }
                _ => {}
            }
        }
        let own = |device: &DeviceNode<'_>| match device.settings {
            Some(Device::Bridge(bridge)) if bridge.vlan_filtering => bridge.default_pvid.value,
            _ => 0,
        };
        self.devices.iter().enumerate().map(|(id, device)| joined.find(slot(id, own(device)))).collect()
    }

    /// The parts of the world that hang together, each a list of namespaces in the order of the file.
    pub fn islands(&self) -> Vec<Vec<usize>> {
        let mut joined: UnionFind<usize> = UnionFind::new(self.names.len());
        for edge in self.graph.raw_edges() {
            joined.union(edge.source().index(), edge.target().index());
        }
        let mut islands: Vec<Vec<usize>> = Vec::new();
        let mut number: BTreeMap<usize, usize> = BTreeMap::new();
        for ns in 0..self.names.len() {
            let next = islands.len();
            let island = *number.entry(joined.find(ns)).or_insert(next);
            if island == next {
                islands.push(Vec::new());
            }
            islands[island].push(ns);
        }
        islands
    }

    /// The number of cables to each namespace from the nearest of some; `None` for those there is no way to.
    pub fn distances(&self, from: &[usize]) -> Vec<Option<usize>> {
        let mut distance = vec![None; self.names.len()];
        for ns in from {
            distance[*ns] = Some(0);
        }
        let mut queue = VecDeque::from(from.to_vec());
        while let Some(ns) = queue.pop_front() {
            for neighbour in self.graph.neighbors(NodeIndex::new(ns)) {
                if distance[neighbour.index()].is_none() {
                    distance[neighbour.index()] = distance[ns].map(|d: usize| d + 1);
                    queue.push_back(neighbour.index());
                }
            }
        }
        distance
    }

    /// The namespaces that have a cable to `ns`, in the order of the file.
    pub fn neighbours(&self, ns: usize) -> Vec<usize> {
        let mut all: Vec<usize> = self.graph.neighbors(NodeIndex::new(ns)).map(NodeIndex::index).collect();
        all.sort_unstable();
        all
    }

    /// One island in layers for a drawing from left to right: by distance from its far end, turned so that the namespace
    /// that comes first in the file is in the first layers. Within a layer, namespaces stand near their neighbours.
    pub fn layers(&self, island: &[usize]) -> Vec<Vec<usize>> {
        let Some(&first) = island.first() else { return Vec::new() };
        let from_first = self.distances(&[first]);
        let far = island.iter().copied().rev().max_by_key(|ns| from_first[*ns]).unwrap_or(first);
        // Hosts that hang on the same neighbour belong side by side.
        let hub = self.neighbours(far);
        let siblings = island.iter().copied().filter(|ns| hub.len() == 1 && self.neighbours(*ns) == hub);
        let end: Vec<usize> = std::iter::once(far).chain(siblings).collect();
        let distance = self.distances(&end);
        let deepest = island.iter().filter_map(|ns| distance[*ns]).max().unwrap_or(0);
        let mut layers: Vec<Vec<usize>> = vec![Vec::new(); deepest + 1];
        for &ns in island {
            layers[deepest - distance[ns].unwrap_or(0)].push(ns);
        }
        self.untangle(&mut layers);
        layers
    }

    /// Moves namespaces within their layers towards the middle of their neighbours (barycentre heuristic, a few sweeps
    /// in both directions).
    fn untangle(&self, layers: &mut [Vec<usize>]) {
        const SWEEPS: usize = 4;
        let mut place = vec![0.0f64; self.names.len()];
        let note = |layer: &[usize], place: &mut [f64]| {
            for (i, ns) in layer.iter().enumerate() {
                place[*ns] = (i as f64 + 0.5) / layer.len() as f64;
            }
        };
        for layer in layers.iter() {
            note(layer, &mut place);
        }
        for sweep in 0..SWEEPS {
            let order: Vec<usize> =
                if sweep % 2 == 0 { (0..layers.len()).rev().collect() } else { (0..layers.len()).collect() };
            for i in order {
                let beside = match sweep % 2 {
                    0 => layers.get(i + 1),
                    _ => i.checked_sub(1).and_then(|i| layers.get(i)),
                };
                let Some(beside) = beside.cloned() else { continue };
                let wish = |ns: &usize| {
                    let near: Vec<f64> =
                        self.neighbours(*ns).iter().filter(|n| beside.contains(n)).map(|n| place[*n]).collect();
                    if near.is_empty() { place[*ns] } else { near.iter().sum::<f64>() / near.len() as f64 }
                };
                let mut wishes: Vec<(f64, usize)> = layers[i].iter().map(|ns| (wish(ns), *ns)).collect();
                wishes.sort_by(|a, b| a.0.total_cmp(&b.0));
                layers[i] = wishes.into_iter().map(|(_, ns)| ns).collect();
                note(&layers[i], &mut place);
            }
        }
    }
}
