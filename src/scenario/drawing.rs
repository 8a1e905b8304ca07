//! The topology of a scenario as a drawing: which boxes, in which order, with which words.

use super::{
    Device, Scenario,
    schema::{Impairment, Link},
    topology::Topology,
};
use crate::{
    base::Map,
    report::graph::{Cable, Drawing, Node, Place, Row},
};

/// Drawings show this many namespaces at most; the others are counted.
const MAX_BOXES: usize = 200;

/// A box shows this many devices at most.
const MAX_ROWS: usize = 100;

impl Scenario {
    /// The topology, ready to be drawn by [`report::graph`](crate::report::graph).
    ///
    /// ```
    /// use netsim::{report::graph, scenario::load};
    /// let scenario = load(r#"(
    ///     namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
    ///     links: [(ends: "a:eth0 -- b:eth0", delay: "10ms")],
    /// )"#).unwrap();
    /// let text = graph::terminal(&scenario.drawing());
    /// assert!(text.contains("│ eth0  10.0.0.1/24 ├─╮ 10ms"));
    /// ```
    pub fn drawing(&self) -> Drawing {
        let shape = Topology::new(self);
        let title = self.title.as_ref().map(|t| t.value.clone());
        let mut drawing = Drawing { title, ..Drawing::default() };
        // Where each device is drawn.
        let mut places: Vec<Option<Place>> = vec![None; shape.devices().len()];
        for (number, island) in shape.islands().iter().enumerate() {
            let shown = island.len().min(MAX_BOXES.saturating_sub(drawing.boxes.len()));
            drawing.hidden += island.len() - shown;
            for (layer, members) in shape.layers(&island[..shown]).iter().enumerate() {
                for &ns in members {
                    let mut rows = Vec::new();
                    for (device, row) in device_rows(&shape, ns) {
                        places[device] = Some(Place { node: drawing.boxes.len(), row: rows.len() });
                        rows.push(row);
                    }
                    let (name, kind) = (self.namespaces.0[ns].0.value.clone(), self.kind(ns));
                    drawing.boxes.push(Node { name, kind, rows, island: number, layer });
                }
            }
        }
        for (i, link) in self.links.iter().enumerate() {
            let ends = shape.ends(i).and_then(|(a, b)| places[a].zip(places[b]));
            let Some((a, b)) = ends else { continue };
            // The end drawn first is `a`, so that arrows point the way people read.
            let turned = (b.node, b.row) < (a.node, a.row);
            let (a, b) = if turned { (b, a) } else { (a, b) };
            drawing.cables.push(Cable { a, b, label: cable_label(link, turned), up: link.up });
        }
        drawing
    }

    fn kind(&self, ns: usize) -> &'static str {
        let settings = &self.namespaces.0[ns].1;
        let forwards = settings.sysctl.get("net.ipv4.ip_forward").is_some_and(|value| value.value == "1");
        match settings.preset {
            "Switch" => "switch",
            _ if forwards && settings.nat.is_empty() => "router",
            _ if forwards => "NAT router",
            _ => "",
        }
    }
}

/// The devices of a namespace with their numbers: ports under their bridges, VLANs under what carries them.
fn device_rows(shape: &Topology<'_>, ns: usize) -> Vec<(usize, Row)> {
    let mut roots = Vec::new();
    // Parent, place among its children, child: ports stand in the order their bridge lists them.
    let mut below: Vec<(usize, usize, usize)> = Vec::new();
    let mut order: Map<(usize, &str), usize> = Map::default();
    for &id in shape.devices_of(ns) {
        let ports = shape.node(id).settings.and_then(Device::as_bridge).map_or(&[][..], |bridge| &bridge.ports);
        for (i, port) in ports.iter().enumerate() {
            order.entry((id, port.0.dev.value.as_str())).or_insert(i);
        }
    }
    for &id in shape.devices_of(ns) {
        let node = shape.node(id);
        let parent = match node.settings {
            Some(Device::Vlan(vlan)) => shape.find_in(ns, &vlan.parent.value),
            _ => node.bridge,
        };
        match parent {
            Some(parent) => below.push((parent, order.get(&(parent, node.name)).copied().unwrap_or(usize::MAX), id)),
            None => roots.push(id),
        }
    }
    below.sort_unstable();
    let mut out = Vec::new();
    // Only what hangs below a root is entered, so a loop of VLANs in a faulty scenario ends nowhere but here.
    let mut stack: Vec<(usize, usize)> = roots.iter().rev().map(|id| (*id, 0)).collect();
    while let Some((id, depth)) = stack.pop() {
        if out.len() == MAX_ROWS {
            break;
        }
        let node = shape.node(id);
        let kind = match node.settings {
            Some(Device::Bridge(_)) => "bridge",
            Some(Device::Vlan(_)) => "vlan",
            Some(Device::Dummy(_)) => "dummy",
            _ => "",
        };
        let addresses =
            node.settings.map_or(&[][..], Device::addresses).iter().take(8).map(|a| a.to_string()).collect();
        out.push((id, Row { name: node.name.into(), kind, depth, addresses }));
        let first = below.partition_point(|(parent, ..)| *parent < id);
        let children = below[first..].iter().take_while(|(parent, ..)| *parent == id);
        let at = stack.len();
        stack.extend(children.map(|(.., child)| (*child, depth + 1)));
        stack[at..].reverse();
    }
    out
}

/// What a cable does to frames, in few words: one line, or one for each direction if they differ.
fn cable_label(link: &Link, turned: bool) -> Vec<String> {
    let (mut forward, mut backward) = (link.forward_impairment(), link.backward_impairment());
    if turned {
        std::mem::swap(&mut forward, &mut backward);
    }
    let mut lines = Vec::new();
    if !link.up {
        lines.push("unplugged".to_string());
    }
    if forward != backward {
        lines.extend([format!("→ {}", phrase(&forward)), format!("← {}", phrase(&backward))]);
    } else if !forward.is_none() {
        lines.push(phrase(&forward));
    }
    lines
}

fn phrase(impairment: &Impairment) -> String {
    let words = words(impairment);
    if words.is_empty() { "perfect".into() } else { words.join(" ") }
}

fn words(i: &Impairment) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(delay) = i.delay.filter(|d| d.value.0 > 0) {
        let jitter = i.jitter.filter(|j| j.value.0 > 0).map_or(String::new(), |j| format!("±{j}"));
        out.push(format!("{delay}{jitter}"));
    }
    out.extend(i.rate.map(|r| r.to_string()));
    let shares = [(i.loss, "lost"), (i.duplicate, "doubled"), (i.reorder, "reordered"), (i.corrupt, "corrupted")];
    for (share, what) in shares {
        out.extend(share.filter(|s| s.value.0 > 0).map(|s| format!("{s} {what}")));
    }
    out.extend(i.queue.map(|q| format!("queue {q}")));
    out
}
