//! From a scenario to a case: the same world in the words of the conformance cases, which Linux understands, and what
//! happens in it as programs a person would start.
//!
//! What Linux has no word for is told in notes, with what is done instead.

mod firewall;
mod programs;
mod tame;
mod topology;

pub use programs::{Deed, Job, Service, ServiceKind};
pub use tame::tame;

use crate::{
    base::Mac,
    conform::{
        Case,
        case::{Iface, Node, Observe, Ordered, Secs},
    },
    scenario::{self, BuildOptions, Built, Diagnostic, Directory, Scenario},
};
use serde_json::json;

/// What to leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// All cables are perfect: the kernel has no netem.
    pub perfect_cables: bool,
    /// What is random is left out, so that two runs can be compared.
    pub nothing_random: bool,
    /// Bridges look at MACs alone, as those of Linux do.
    pub plain_bridges: bool,
}

/// A scenario in other words.
pub struct Translation {
    /// Its world. The case has no steps.
    pub case: Case,
    /// The servers that run from the start.
    pub services: Vec<Service>,
    /// What happens, in the order of time.
    pub jobs: Vec<Job>,
    /// What is different from the scenario, for people.
    pub notes: Vec<String>,
    /// The scenario with the same changes, for netsim.
    pub scenario: Scenario,
}

/// Why a scenario cannot be told to Linux.
#[derive(Debug)]
pub enum Untranslatable {
    /// netsim's own kernel refuses it.
    Refused(Vec<Diagnostic>),
    /// Linux has nothing like it.
    Unknown(String),
}

/// Translates a scenario.
///
/// # Errors
/// If it cannot be built, or holds something Linux has nothing like.
///
/// ```
/// use netsim::{live::translate::{Choices, translate}, scenario};
/// let scenario = scenario::load(r#"(
///     namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
///     links: ["a:eth0 -- b:eth0"],
///     steps: [("0s", Ping(from: "a", to: "b"))],
/// )"#).unwrap();
/// let t = translate(&scenario, Choices::default()).unwrap();
/// assert_eq!(t.case.links, [["a:eth0", "b:eth0"]]);
/// assert_eq!(t.jobs[0].command, "ping -c 3 -i 1 -W 10 10.0.0.2");
/// ```
pub fn translate(scenario: &Scenario, choices: Choices) -> Result<Translation, Untranslatable> {
    let mut notes = Vec::new();
    let ipv6 = tame::uses_ipv6(scenario);
    let scenario = tame(scenario, choices, &mut notes);
    let built = scenario::build(&scenario, &BuildOptions::default()).map_err(Untranslatable::Refused)?;
    let names = Directory::new(&scenario);
    let mut nodes = Vec::new();
    for (name, ns) in scenario.namespaces.iter() {
        let mut t = topology::Translator { scenario: &scenario, built: &built, names: &names, name, notes: &mut notes };
        let mut node = t.node(ns)?;
        let planned = tame::family_settings(ipv6);
        node.sysctl.0.retain(|(key, value)| !planned.contains(&(&**key, &*value.0)));
        firewall::rules(&names, ns, &mut node).map_err(Untranslatable::Unknown)?;
        nodes.push((name.value.clone(), node));
    }
    impairments(&scenario, &mut nodes);
    if let Some(link) = scenario.links.iter().find(|l| !l.up) {
        let what = format!("the cable {} is not plugged in: a veth pair always is", link.ends);
        return Err(Untranslatable::Unknown(what));
    }
    let links = scenario.links.iter().map(|l| [l.a().to_string(), l.b().to_string()]).collect();
    let services = programs::services(&scenario);
    let mut jobs = programs::jobs(&scenario, &names).map_err(Untranslatable::Unknown)?;
    jobs.sort_by_key(|j| j.at);
    let ports = programs::ports(&scenario, &services, &jobs);
    let traces = jobs.iter().any(|j| matches!(j.deed, Deed::Traceroute(_)));
    let source = json!({
        "steps": if traces { vec!["traceroute"] } else { Vec::new() },
        "ports": ports.iter().map(|p| json!({ "port": p })).collect::<Vec<_>>(),
    });
    let case = Case {
        name: None,
        purpose: scenario.title.as_ref().map(|t| t.value.clone()),
        ipv6,
        nodes: Ordered(nodes),
        links,
        steps: Vec::new(),
        observe: Observe::default(),
        warmup: Secs::ms(50),
        no_capture: Vec::new(),
        port_classes: Vec::new(),
        source,
    };
    drop((built, names));
    Ok(Translation { case, services, jobs, notes, scenario })
}

/// What the cables do to frames: egress queues of the devices at their ends.
fn impairments(scenario: &Scenario, nodes: &mut [(String, Node)]) {
    for link in &scenario.links {
        for (end, what) in [(link.a(), link.forward_impairment()), (link.b(), link.backward_impairment())] {
            let Some(set) = topology::impairment(&what) else { continue };
            let Some((_, node)) = nodes.iter_mut().find(|(n, _)| *n == end.ns) else { continue };
            match node.ifaces.0.iter_mut().find(|(d, _)| *d == end.dev) {
                Some((_, iface)) => iface.netem = Some(set),
                None => node.ifaces.0.push((end.dev.clone(), Iface { netem: Some(set), ..Iface::default() })),
            }
        }
    }
}

/// The MAC a device has in netsim.
fn mac_of(built: &Built, ns: &str, dev: &str) -> Option<Mac> {
    let world = &built.world;
    Some(world.dev(world.find_dev(world.find_ns(ns)?, dev)?).mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str) -> Result<Translation, Untranslatable> {
        translate(&scenario::load(text).expect("a good scenario"), Choices::default())
    }

    #[test]
    fn names_become_addresses_and_macs_are_those_of_netsim() {
        let t = translated(
            r#"(namespaces: { "a": Host(addr: "10.0.0.1/24"), "sw": Switch(ports: ["p"]) }, links: ["a:eth0 -- sw:p"],
                steps: [("1s", Ping(from: "a", to: "a", count: 1)), ("0s", Note("first"))])"#,
        )
        .unwrap();
        let built = scenario::build(&t.scenario, &BuildOptions::default()).unwrap();
        let iface = t.case.nodes.get("a").unwrap().ifaces.get("eth0").unwrap();
        assert_eq!(iface.mac, mac_of(&built, "a", "eth0").map(|m| m.to_string()));
        assert_eq!(t.case.nodes.get("sw").unwrap().ifaces.get("p").unwrap().master.as_deref(), Some("br0"));
        assert!(matches!(t.jobs[0].deed, Deed::Nothing));
        assert_eq!((t.jobs[1].at, &*t.jobs[1].command), (1_000_000_000, "ping -c 1 -i 1 -W 10 10.0.0.1"));
    }

    #[test]
    fn what_linux_has_no_word_for_is_said() {
        let text = r#"(namespaces: { "a": Host(addr: "10.0.0.1/24"), "b": Host(addr: "10.0.0.2/24") },
                       links: [(ends: "a:eth0 -- b:eth0", up: false)])"#;
        assert!(matches!(translated(text), Err(Untranslatable::Unknown(what)) if what.contains("plugged")));
        let text = r#"(namespaces: { "a": (devices: { "d": Dummy(addr: ["10.0.0.1/24"]) }) })"#;
        assert!(translated(text).unwrap().notes.iter().any(|n| n.contains("dummy")));
    }
}
