//! Builds a case's world: few processes, each with many commands.

use super::{Error, NetNs, pause};
use crate::{
    base::{MS, Time},
    live::plan::{Command, End, Plan, Tool},
};
use serde_json::Value;
use std::{fs, io, thread};

/// The longest that is waited for carriers.
const PATIENCE: Time = 5_000 * MS;

/// Carries out a plan.
pub fn build(plan: &Plan, nodes: &[(&str, NetNs)]) -> Result<(), Error> {
    everywhere(nodes, &plan.settings)?;
    if !plan.cables.is_empty() {
        let ns = &nodes.first().expect("cables have ends in nodes").1;
        let path = |node: &str| nodes.iter().find(|(n, _)| *n == node).map(|(_, ns)| ns.path()).unwrap_or_default();
        let lines: Vec<String> = plan.cables.iter().map(|ends| cable(ends, path)).collect();
        batch(ns, "ip", &["-batch", "-"], &lines).map_err(|e| at("the cables", e))?;
    }
    everywhere(nodes, &plan.devices)?;
    everywhere(nodes, &plan.tables)
}

/// Carries out one stage in all namespaces at once.
fn everywhere(nodes: &[(&str, NetNs)], stage: &[Vec<Command>]) -> Result<(), Error> {
    thread::scope(|s| {
        let work =
            nodes.iter().zip(stage).filter(|(_, commands)| !commands.is_empty()).map(|((name, ns), commands)| {
                s.spawn(move || carry_out(ns, commands).map_err(|e| at(&format!("node {name}"), e)))
            });
        let work: Vec<_> = work.collect();
        work.into_iter().try_for_each(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn at(place: &str, e: Error) -> Error {
    match e {
        Error::Failed(text) => Error::Failed(format!("build: {place}: {text}")),
        Error::Unsupported(text) => Error::Unsupported(format!("build: {place}: {text}")),
        other => other,
    }
}

/// `ip link add` of a veth pair, whatever namespace it is said in.
///
/// TCP would hand the devices packets of many segments (TSO); with one segment each no frame is longer than the MTU.
fn cable([a, b]: &[End; 2], path: impl Fn(&str) -> String) -> String {
    let end = |e: &End| {
        let (dev, index, mac, ns) = (&e.dev, e.index, e.mac, path(&e.node));
        format!("name {dev} index {index} address {mac} gso_max_segs 1 netns {ns}")
    };
    format!("link add {} type veth peer {}", end(a), end(b))
}

/// Carries out commands in order; neighbours that are said to the same tool go there together.
pub fn carry_out(ns: &NetNs, commands: &[Command]) -> Result<(), Error> {
    for group in commands.chunk_by(|a, b| a.tool == b.tool && a.tool != Tool::Nft) {
        let lines: Vec<String> = group.iter().map(|c| c.words.clone()).collect();
        match group[0].tool {
            Tool::Ip => batch(ns, "ip", &["-batch", "-"], &lines)?,
            Tool::Ip6 => batch(ns, "ip", &["-6", "-batch", "-"], &lines)?,
            Tool::Bridge => batch(ns, "bridge", &["-batch", "-"], &lines)?,
            Tool::Tc => batch(ns, "tc", &["-batch", "-"], &lines)?,
            Tool::Nft => {
                let done = ns.program("nft", &["-f", "-"], &lines[0])?;
                if !done.status.success() {
                    return Err(Error::Failed(String::from_utf8_lossy(&done.stderr).trim().into()));
                }
            }
            Tool::Sysctl { optional } => settings(ns, &lines, optional)?,
        }
    }
    Ok(())
}

fn batch(ns: &NetNs, tool: &str, words: &[&str], lines: &[String]) -> Result<(), Error> {
    let done = ns.program(tool, words, &(lines.join("\n") + "\n"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_string();
    // "Command failed -:3" names the line.
    let line = said.rsplit_once("-:").and_then(|(_, n)| n.trim().parse::<usize>().ok());
    let line = line.and_then(|n| lines.get(n.checked_sub(1)?)).map_or_else(String::new, |l| format!("{tool} {l}: "));
    Err(Error::Failed(line + &said.lines().next().unwrap_or_default().replace("RTNETLINK answers: ", "")))
}

fn settings(ns: &NetNs, lines: &[String], optional: bool) -> Result<(), Error> {
    ns.inside(|| {
        for line in lines {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            match write_setting(key, value) {
                Err(e) if !optional => return Err(Error::Failed(format!("{key} = {value}: {e}"))),
                _ => {}
            }
        }
        Ok(())
    })?
}

/// Writes a setting of the namespace the thread is in.
pub fn write_setting(key: &str, value: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(setting_path(key))?.write_all_at_once(value)
}

trait WriteAtOnce {
    fn write_all_at_once(&mut self, value: &str) -> io::Result<()>;
}

impl WriteAtOnce for fs::File {
    /// Settings take their value in one call.
    fn write_all_at_once(&mut self, value: &str) -> io::Result<()> {
        io::Write::write(self, value.as_bytes()).map(|_| ())
    }
}

/// The file of a setting. Names of interfaces may contain dots: only those around them separate.
fn setting_path(key: &str) -> String {
    let tables = ["net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.neigh.", "net.ipv6.neigh."];
    let device = tables.iter().find_map(|t| Some((t, key.strip_prefix(t)?.rsplit_once('.')?)));
    match device {
        Some((table, (dev, last))) => format!("/proc/sys/{}{dev}/{last}", table.replace('.', "/")),
        None => format!("/proc/sys/{}", key.replace('.', "/")),
    }
}

/// Waits until all cables whose ends are up have a carrier, and until the ports of bridges without STP forward: Linux
/// tells routes and bridges of a carrier a little later.
pub fn wait_for_carriers(plan: &Plan, nodes: &[(&str, NetNs)]) -> Result<(), Error> {
    let mut waited = 0;
    for ((_, ns), devices) in nodes.iter().zip(&plan.carriers).filter(|(_, d)| !d.is_empty()) {
        while waited < PATIENCE && !ready(&links(ns)?, devices) {
            pause(2 * MS);
            waited += 2 * MS;
        }
    }
    Ok(())
}

/// `ip -d -j link show`.
pub fn links(ns: &NetNs) -> Result<Vec<Value>, Error> {
    let done = ns.program("ip", &["-d", "-j", "link", "show"], "")?;
    Ok(serde_json::from_slice(&done.stdout).unwrap_or_default())
}

fn ready(links: &[Value], devices: &[String]) -> bool {
    let stp = links.iter().any(|l| l["linkinfo"]["info_data"]["stp_state"].as_u64().unwrap_or(0) != 0);
    links.iter().filter(|l| devices.iter().any(|d| l["ifname"] == **d)).all(|l| {
        let info = &l["linkinfo"];
        let held = !stp && info["info_slave_kind"] == "bridge" && info["info_slave_data"]["state"] != "forwarding";
        l["operstate"] == "UP" && !held
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices_may_have_dots() {
        assert_eq!(setting_path("net.ipv4.conf.eth0.10.proxy_arp"), "/proc/sys/net/ipv4/conf/eth0.10/proxy_arp");
        assert_eq!(setting_path("net.ipv4.neigh.default.gc_thresh1"), "/proc/sys/net/ipv4/neigh/default/gc_thresh1");
        assert_eq!(setting_path("net.ipv4.ip_forward"), "/proc/sys/net/ipv4/ip_forward");
    }

    #[test]
    fn a_port_is_ready_when_it_forwards() {
        let links: Vec<Value> = serde_json::from_str(
            r#"[{"ifname": "p", "operstate": "UP", "linkinfo": {"info_slave_kind": "bridge",
                "info_slave_data": {"state": "disabled"}}}, {"ifname": "e", "operstate": "UP"}]"#,
        )
        .unwrap();
        assert!(!ready(&links, &["p".into()]));
        assert!(ready(&links, &["e".into()]));
    }
}
