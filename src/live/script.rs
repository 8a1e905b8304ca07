//! A shell script that builds a case's world from network namespaces, for people to read, run and change.

use super::{
    plan::{Command, End, Plan, Tool},
    translate::{Job, Service, ServiceKind, Translation},
    words,
};
use crate::{
    base::Time,
    conform::{
        Case,
        case::{Op, Step},
        lab::names_device,
        topo::Topology,
    },
};
use std::fmt::Write;

/// What a script is made of.
pub struct Script<'a> {
    /// Begins the names of its namespaces.
    pub prefix: &'a str,
    /// The file it was made from, for readers.
    pub file: &'a str,
    /// The world.
    pub case: &'a Case,
    /// Its servers.
    pub services: &'a [Service],
    /// What happens in it.
    pub jobs: &'a [Job],
    /// What is different from the file.
    pub notes: &'a [String],
}

impl<'a> Script<'a> {
    /// The script of a scenario.
    pub fn of(t: &'a Translation, prefix: &'a str, file: &'a str) -> Script<'a> {
        Script { prefix, file, case: &t.case, services: &t.services, jobs: &t.jobs, notes: &t.notes }
    }

    /// The text, for bash.
    ///
    /// # Errors
    /// If the case makes no sense, or a name cannot be that of a namespace.
    ///
    /// ```
    /// use netsim::{conform::Case, live::script::Script};
    /// let case = Case::parse(r#"{"nodes": {"a": {}, "b": {}}, "links": [["a:eth0", "b:eth0"]]}"#)?;
    /// let script = Script { prefix: "lab", file: "lab.json", case: &case, services: &[], jobs: &[], notes: &[] };
    /// assert!(script.text()?.contains("ip netns add lab-a\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn text(&self) -> Result<String, String> {
        let topo = Topology::of(self.case)?;
        let plan = Plan::of(self.case, &topo)?;
        for node in &plan.nodes {
            if node.contains(['/', '\n']) || node.is_empty() {
                return Err(format!("a network namespace cannot be called `{node}`"));
            }
        }
        let mut out = String::new();
        self.head(&mut out, &plan);
        self.up(&mut out, &plan);
        self.tail(&mut out);
        self.programs(&mut out, &topo)?;
        Ok(out)
    }

    /// The name of a node's namespace, quoted if need be.
    fn ns(&self, node: &str) -> String {
        quoted(&format!("{}-{node}", self.prefix))
    }

    fn head(&self, out: &mut String, plan: &Plan) {
        let all: Vec<String> = plan.nodes.iter().map(|n| self.ns(n)).collect();
        let title = self.case.purpose.as_deref().or(self.case.name.as_deref()).unwrap_or("A network");
        *out += "#!/usr/bin/env bash\n";
        title.lines().for_each(|line| say(out, line));
        say(out, "");
        say(out, &format!("Written by `netsim export` from {}: the same world in real network namespaces.", self.file));
        say(out, "Needs Linux, root, and the programs ip, bridge, tc (iproute2), nft (nftables) and sysctl (procps).");
        say(out, "");
        say(out, "  sudo bash SCRIPT         builds it");
        say(out, "  sudo bash SCRIPT down    removes it again");
        if let Some(first) = all.first() {
            say(out, &format!("  sudo ip netns exec {first} bash    a shell in one of its namespaces"));
        }
        if !self.notes.is_empty() {
            say(out, "");
            say(out, "What is different from the file:");
            self.notes.iter().for_each(|n| say(out, &format!("  - {n}")));
        }
        let list = all.join(" ");
        let _ = write!(
            out,
            "set -eu\n\nNAMESPACES=({list})\n\n\
             down() {{\n    for ns in \"${{NAMESPACES[@]}}\"; do\n        ip netns del \"$ns\" 2>/dev/null || true\n    done\n}}\n\n"
        );
        self.defaults(out, plan);
    }

    /// The settings every namespace begins with, as one function.
    fn defaults(&self, out: &mut String, plan: &Plan) {
        say(out, "A new namespace inherits some settings from the host; these are the kernel's defaults.");
        say(out, "Bridges do not show frames to the firewall, and without addresses of IPv6 there is no IPv6.");
        *out += "defaults() {\n    local setting\n    for setting in \\\n";
        let optional = plan.settings.first().into_iter().flatten();
        for c in optional.filter(|c| matches!(c.tool, Tool::Sysctl { optional: true })) {
            let _ = writeln!(out, "        {} \\", quoted(&c.words));
        }
        *out += "    ; do\n        ip netns exec \"$1\" sysctl -qew \"$setting\" 2>/dev/null || true\n    done\n}\n\n";
    }

    fn up(&self, out: &mut String, plan: &Plan) {
        if plan.tables.iter().flatten().any(|c| c.tool == Tool::Tc) {
            say(out, "A kernel without netem (sch_netem) has perfect cables only.");
            *out += "impair() {\n    tc -n \"$@\" || echo \"warning: $1: this kernel cannot impair, the cable is perfect\" >&2\n}\n\n";
        }
        *out += "up() {\n    if ip netns list | grep -qw -- \"${NAMESPACES[0]}\"; then\n        \
                 echo \"the namespaces are there already; '$0 down' removes them\" >&2\n        exit 1\n    fi\n    \
                 # What is half built is removed again.\n    trap down EXIT\n";
        for node in &plan.nodes {
            let _ = writeln!(out, "    ip netns add {}", self.ns(node));
        }
        *out += "    for ns in \"${NAMESPACES[@]}\"; do\n        defaults \"$ns\"\n    done\n";
        self.each(out, plan, &plan.settings, "settings");
        if !plan.cables.is_empty() {
            *out += "\n    # The cables: pairs of virtual Ethernet devices. With one segment in each packet TCP hands over, no\n    \
                     # frame is longer than the MTU.\n";
        }
        for [a, b] in &plan.cables {
            let _ = writeln!(out, "    ip link add {} type veth \\\n        peer {}", self.end(a), self.end(b));
        }
        self.each(out, plan, &plan.devices, "devices");
        self.each(out, plan, &plan.tables, "addresses, routes and rules");
        *out += "    trap - EXIT\n}\n\n";
    }

    fn end(&self, e: &End) -> String {
        format!("name {} address {} gso_max_segs 1 netns {}", quoted(&e.dev), e.mac, self.ns(&e.node))
    }

    fn each(&self, out: &mut String, plan: &Plan, stage: &[Vec<Command>], what: &str) {
        for (node, commands) in plan.nodes.iter().zip(stage) {
            let mut shown = commands.iter().filter(|c| c.tool != Tool::Sysctl { optional: true }).peekable();
            if shown.peek().is_some() {
                let _ = writeln!(out, "\n    # {node}: {what}");
            }
            for c in shown {
                self.command(out, node, c);
            }
        }
    }

    fn command(&self, out: &mut String, node: &str, c: &Command) {
        let ns = self.ns(node);
        let plain = c.words.replace(" {index}", "").replace("{index} ", "");
        let text = words_quoted(&without_index(&plain));
        // Writing to a string cannot fail.
        let _ = match c.tool {
            Tool::Ip => writeln!(out, "    ip -n {ns} {text}"),
            Tool::Ip6 => writeln!(out, "    ip -6 -n {ns} {text}"),
            Tool::Bridge => writeln!(out, "    bridge -n {ns} {text}"),
            Tool::Tc => writeln!(out, "    impair {ns} {text}"),
            Tool::Nft => writeln!(out, "    ip netns exec {ns} nft -f - <<'EOF'\n{}EOF", c.words),
            Tool::Sysctl { .. } => {
                writeln!(out, "    ip netns exec {ns} sysctl -qw {}", quoted(&setting(&c.words)))
            }
        };
    }

    fn tail(&self, out: &mut String) {
        *out += "case \"${1:-up}\" in\n    up) up ;;\n    down) down ;;\n    *)\n        \
                 echo \"usage: $0 [up|down]    builds the network (up), or removes it\" >&2\n        exit 2\n        ;;\nesac\n";
    }

    /// Servers and steps, as commands a person would type.
    fn programs(&self, out: &mut String, topo: &Topology) -> Result<(), String> {
        if !self.services.is_empty() {
            *out += "\n";
            say(out, "Servers that run from the start:");
            for s in self.services {
                say(out, &format!("  ip netns exec {} {}", self.ns(&s.node), server(s)));
            }
        }
        if !self.jobs.is_empty() {
            *out += "\n";
            say(out, "What happens:");
        }
        for j in self.jobs {
            let at = seconds(j.at);
            match j.node.is_empty() {
                true => say(out, &format!("  at {at:>5}  ({})", j.command)),
                false => say(out, &format!("  at {at:>5}  ip netns exec {} {}", self.ns(&j.node), j.command)),
            }
        }
        if !self.case.steps.is_empty() {
            *out += "\n";
            say(out, "What happens, one after the other:");
        }
        for step in &self.case.steps {
            say(out, &format!("  {}", self.typed(step, topo)?));
        }
        Ok(())
    }

    /// A step of a case as a command; as it is written, if there is none.
    fn typed(&self, step: &Step, topo: &Topology) -> Result<String, String> {
        let said = |tool: &str, words: String| Some(format!("{tool} {words}"));
        let command = match &step.op {
            Op::Link { set, master } => said("ip", words::link_set(set, master.as_ref(), topo)?),
            Op::LinkDel { dev } => said("ip", format!("link del {dev}")),
            Op::Addr { dev, verb, addr } => said("ip", words::addr(*verb, dev, &addr.object())),
            Op::Route { verb, route } => said("ip", format!("route {} {}", words::verb(*verb), route.words())),
            Op::Rule { verb, rule } => said("ip", format!("rule {} {}", words::verb(*verb), rule.words())),
            Op::Neigh { verb, entry } => said("ip", words::neigh(*verb, entry, topo)?),
            Op::Fdb { verb, entry } => said("bridge", words::fdb(*verb, entry, topo)?),
            Op::Sysctl { key, value } => said("sysctl", format!("-w {key}={value}")),
            Op::Bridge(b) => said("ip", words::bridge_set(&b.dev, &b.set)),
            Op::BrPort(b) => said("bridge", words::port_set(&b.dev, &b.set)),
            Op::Netem { dev, set } => said("tc", words::qdisc("replace", dev, set.as_ref())),
            Op::Ping(p) => said("ping", format!("-c {} {}", p.count.unwrap_or(1), p.dst)),
            Op::Traceroute(t) => said("traceroute", format!("-n {}", t.dst)),
            Op::RouteGet(g) => said("ip", format!("route get {}", g.dst)),
            Op::Exec { cmd, .. } => Some(format!("sh -c {}", quoted(cmd))),
            Op::Sleep(span) => return Ok(format!("sleep {}", span.0 as f64 / 1e9)),
            _ => None,
        };
        Ok(match (command, &step.node) {
            (Some(c), Some(node)) => format!("ip netns exec {} {c}", self.ns(node)),
            (Some(c), None) => c,
            (None, _) => step.source.to_string(),
        })
    }
}

/// A line of comment.
fn say(out: &mut String, line: &str) {
    let _ = writeln!(out, "{}", format!("# {}", line.replace('\n', " ")).trim_end());
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn words_quoted(words: &str) -> String {
    words.split_whitespace().map(quoted).collect::<Vec<_>>().join(" ")
}

/// The numbers of devices matter to nobody who reads.
fn without_index(words: &str) -> String {
    let mut all = words.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = all.next() {
        match word {
            "index" => {
                all.next();
            }
            _ => kept.push(word),
        }
    }
    kept.join(" ")
}

/// `sysctl` takes slashes where a device's name has dots.
fn setting(words: &str) -> String {
    let (key, value) = words.split_once('=').unwrap_or((words, ""));
    match names_device(key) {
        true => {
            let tables = ["net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.neigh.", "net.ipv6.neigh."];
            let device = tables.iter().find_map(|t| Some((t, key.strip_prefix(t)?.rsplit_once('.')?)));
            let key = device
                .map_or_else(|| key.to_string(), |(t, (dev, last))| format!("{}{dev}/{last}", t.replace('.', "/")));
            format!("{key}={value}")
        }
        false => words.into(),
    }
}

fn seconds(t: Time) -> String {
    format!("{} s", t as f64 / 1e9)
}

/// A program that does what a server does.
fn server(s: &Service) -> String {
    let (port, ip) = (s.at.port(), s.at.ip());
    let v = if ip.is_ipv4() { 4 } else { 6 };
    let bind = if ip.is_unspecified() { String::new() } else { format!(",bind={ip}") };
    match &s.kind {
        ServiceKind::Http(_) => {
            let bind = if ip.is_unspecified() { String::new() } else { format!(" --bind {ip}") };
            format!("python3 -m http.server {port}{bind}")
        }
        ServiceKind::UdpEcho => format!("socat UDP{v}-RECVFROM:{port}{bind},fork EXEC:cat"),
        ServiceKind::UdpSink => format!("socat -u UDP{v}-RECV:{port}{bind} OPEN:/dev/null"),
        ServiceKind::TcpEcho => format!("socat TCP{v}-LISTEN:{port}{bind},fork,reuseaddr EXEC:cat"),
        ServiceKind::TcpSink => format!("socat -u TCP{v}-LISTEN:{port}{bind},fork,reuseaddr OPEN:/dev/null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_the_shell_would_see_more_in_them() {
        assert_eq!(quoted("10.0.0.1/24"), "10.0.0.1/24");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("$(id)"), "'$(id)'");
        assert_eq!(without_index("link add br0 index 103 type bridge"), "link add br0 type bridge");
        assert_eq!(setting("net.ipv4.conf.e.1.proxy_arp=1"), "net/ipv4/conf/e.1/proxy_arp=1");
    }

    #[test]
    fn a_script_names_every_namespace_and_every_step() {
        let case = Case::parse(
            r#"{"purpose": "Two hosts", "nodes": {"a": {"ifaces": {"e": {"addr": ["10.0.0.1/24"]}}}, "b": {}},
                "links": [["a:e", "b:e"]], "steps": [{"op": "ping", "node": "a", "dst": "10.0.0.2"},
                {"op": "udp_send", "node": "a", "to": "10.0.0.2:9"}]}"#,
        )
        .unwrap();
        let script = Script { prefix: "x", file: "f", case: &case, services: &[], jobs: &[], notes: &[] };
        let text = script.text().unwrap();
        for line in [
            "# Two hosts",
            "NAMESPACES=(x-a x-b)",
            "    ip -n x-a addr add 10.0.0.1/24 dev e broadcast +",
            "#   ip netns exec x-a ping -c 1 10.0.0.2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(text.contains(r#"#   {"node":"a","op":"udp_send""#));
        let slash = Case::parse(r#"{"nodes": {"a/b": {}}}"#).unwrap();
        assert!(Script { case: &slash, ..script }.text().unwrap_err().contains("a/b"));
    }
}
