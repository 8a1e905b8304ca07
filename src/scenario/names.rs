//! Texts that name things: ends of cables, cables, targets, services, addresses, ports.

use super::{
    Diagnostic, Spanned,
    node::{Node, Shape, shorten},
    read::{Read, Reader},
    values::{TextError, TextLeaf},
};
use crate::base::{Mac, Prefix};
use std::{fmt, net::IpAddr};

/// A device of a namespace, written `"namespace:device"`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// The namespace.
    pub ns: String,
    /// The device.
    pub dev: String,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ns, self.dev)
    }
}

impl TextLeaf for End {
    const EXPECTED: &'static str = "a device of a namespace, as in \"a:eth0\"";

    fn parse(text: &str) -> Result<End, TextError> {
        let (ns, dev) = text.split_once(':').ok_or_else(|| {
            TextError::new(format!("`{}` does not say which device", shorten(text))).help("write \"namespace:device\"")
        })?;
        for (part, what) in [(ns, "namespace before"), (dev, "device after")] {
            if part.is_empty() {
                return Err(TextError::new(format!("`{}` has no {what} the colon", shorten(text))));
            }
        }
        Ok(End { ns: ns.into(), dev: dev.into() })
    }
}

/// The two ends of a cable, written `"a:eth0 -- host:va"`.
#[derive(Clone, PartialEq, Debug)]
pub struct Ends {
    /// The end written first; *forward* is the way from here.
    pub a: Spanned<End>,
    /// The end written second.
    pub b: Spanned<End>,
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -- {}", self.a, self.b)
    }
}

const ENDS: &str = "two ends, as in \"a:eth0 -- host:va\"";

impl Read for Ends {
    fn expected() -> String {
        ENDS.into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Ends> {
        let Shape::Text { text, .. } = &node.shape else { return reader.wrong(node, ENDS) };
        let Some(at) = text.find("--") else {
            let d = Diagnostic::error("bad-link", node.span, format!("`{}` is not a link", shorten(text)));
            let d = d.label(format!("expected {}", ENDS));
            return reader.report(d.help("put ` -- ` between the two ends"));
        };
        let mut end = |from: usize, to: usize| {
            let part = &text[from..to];
            let start = from + (part.len() - part.trim_start().len());
            let trimmed = part.trim();
            let span = node.part(start, start + trimmed.len());
            let part = Node { span, shape: Shape::Text { text: trimmed.into(), plain: false } };
            Spanned::<End>::read(&part, reader)
        };
        let (a, b) = (end(0, at), end(at + 2, text.len()));
        Some(Ends { a: a?, b: b? })
    }

    fn write(&self) -> Node {
        Node::text(self.to_string())
    }
}

/// Something that has an address: an address itself, a namespace (`"web"`: its first address that is not loopback) or a
/// device (`"web:eth0"`: its first address).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Target {
    /// An address.
    Addr(IpAddr),
    /// A namespace.
    Ns(String),
    /// A device of a namespace.
    Dev(End),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Addr(addr) => addr.fmt(f),
            Target::Ns(ns) => f.write_str(ns),
            Target::Dev(end) => end.fmt(f),
        }
    }
}

impl TextLeaf for Target {
    const EXPECTED: &'static str = "an address or a name, as in \"10.0.0.1\", \"web\" or \"web:eth0\"";

    fn parse(text: &str) -> Result<Target, TextError> {
        if let Ok(addr) = text.parse() {
            return Ok(Target::Addr(addr));
        }
        // Digits and dots only: a mistyped address, not the name of a namespace.
        if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/')) {
            let error = TextError::new(format!("`{}` is not an IP address", shorten(text)));
            return Err(if text.contains('/') { error.help("leave out the prefix length") } else { error });
        }
        match text.contains(':') {
            true => End::parse(text).map(Target::Dev),
            false => Ok(Target::Ns(text.into())),
        }
    }
}

/// A network or something that has an address: `"10.0.0.0/24"`, `"10.0.0.1"`, `"web"`, `"web:eth0"`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Net {
    /// A network.
    Prefix(Prefix),
    /// The one address of a namespace or device.
    Host(Target),
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Net::Prefix(prefix) if prefix.is_host() => prefix.addr().fmt(f),
            Net::Prefix(prefix) => prefix.fmt(f),
            Net::Host(target) => target.fmt(f),
        }
    }
}

impl TextLeaf for Net {
    const EXPECTED: &'static str = "a network or a name, as in \"10.0.0.0/24\", \"10.0.0.1\" or \"web\"";

    fn parse(text: &str) -> Result<Net, TextError> {
        if text.contains('/') {
            return Prefix::parse(text).map(Net::Prefix);
        }
        Ok(match Target::parse(text)? {
            Target::Addr(addr) => Net::Prefix(Prefix::host(addr)),
            target => Net::Host(target),
        })
    }
}

/// A target and a port, written `"10.0.0.1:80"`, `"web:80"`, `"web:eth0:80"` or `"[2001:db8::1]:80"`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Service {
    /// Where.
    pub host: Target,
    /// The port, 1 to 65535.
    pub port: u16,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Target::Addr(IpAddr::V6(addr)) => write!(f, "[{addr}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl TextLeaf for Service {
    const EXPECTED: &'static str = "a target and a port, as in \"web:80\" or \"10.0.0.1:80\"";

    fn parse(text: &str) -> Result<Service, TextError> {
        let no_port = || {
            TextError::new(format!("`{}` does not say which port", shorten(text))).help("add the port, as in \":80\"")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        if !port.bytes().all(|b| b.is_ascii_digit()) || port.is_empty() {
            return Err(no_port());
        }
        let port = parse_port(port).map_err(|e| e.at(host.len() + 1, text.len()))?;
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Ok(Service { host: Target::parse(host)?, port })
    }
}

/// The address of a page, written `"http://web:8080/index.html"`; the port is 80 and the path `/` unless given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Url {
    /// Where the server is.
    pub service: Service,
    /// The path, beginning with `/`.
    pub path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = self.service.to_string();
        let host = if self.service.port == 80 { service.strip_suffix(":80").unwrap_or(&service) } else { &service };
        write!(f, "http://{host}{}", self.path)
    }
}

impl TextLeaf for Url {
    const EXPECTED: &'static str = "a URL such as \"http://web/\"";

    fn parse(text: &str) -> Result<Url, TextError> {
        let rest = text.strip_prefix("http://").ok_or_else(|| {
            let error = TextError::new(format!("`{}` is not a URL netsim can get", shorten(text)));
            error.help("it begins with `http://`")
        })?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(slash);
        if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(TextError::new("a path cannot contain blanks"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let service = if has_port && (!host.starts_with('[') || host.contains("]:")) {
            Service::parse(host)?
        } else {
            let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
            Service { host: Target::parse(host)?, port: 80 }
        };
        Ok(Url { service, path: if path.is_empty() { "/".into() } else { path.into() } })
    }
}

/// An address of a device in the words of `ip addr`: `"10.0.0.1/24"`, or with the other end of a point-to-point line,
/// `"10.0.0.1 peer 10.0.0.2/32"`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct IfAddr {
    /// The address and its prefix length (with a peer: a host prefix).
    pub local: Prefix,
    /// The peer and its prefix length.
    pub peer: Option<Prefix>,
}

impl IfAddr {
    /// The network that is on the link because of this address.
    pub fn on_link(&self) -> Prefix {
        self.peer.unwrap_or(self.local).network()
    }
}

impl fmt::Display for IfAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{} peer {peer}", self.local.addr()),
            None => self.local.fmt(f),
        }
    }
}

impl TextLeaf for IfAddr {
    const EXPECTED: &'static str = "an address with a prefix length, as in \"10.0.0.1/24\"";

    fn parse(text: &str) -> Result<IfAddr, TextError> {
        let prefix = |text: &str| text.parse::<Prefix>().map_err(|e| TextError::new(e.to_string()));
        if let Some((local, peer)) = text.split_once(" peer ") {
            let local: IpAddr = local
                .trim()
                .parse()
                .map_err(|_| TextError::new(format!("`{}` is not an IP address", shorten(local))))?;
            let peer = prefix(peer.trim())?;
            if peer.is_ipv4() != local.is_ipv4() {
                return Err(TextError::new("the two ends belong to different address families"));
            }
            return Ok(IfAddr { local: Prefix::host(local), peer: Some(peer) });
        }
        let local = prefix(text)?;
        if !text.contains('/') {
            let length = if local.is_ipv4() { 24 } else { 64 };
            let error = TextError::new(format!("`{text}` has no prefix length"));
            return Err(error.help(format!("write \"{text}/{length}\" if the network is a /{length}")));
        }
        Ok(IfAddr { local, peer: None })
    }
}

impl TextLeaf for Prefix {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/24\"";

    fn parse(text: &str) -> Result<Prefix, TextError> {
        let prefix: Prefix = text.parse().map_err(|e: crate::base::PrefixParseError| TextError::new(e.to_string()))?;
        if prefix.has_host_bits() {
            let network = prefix.network();
            let error = TextError::new(format!("`{text}` has bits set behind its prefix length"));
            return Err(error.help(format!("did you mean \"{network}\", or \"{}\" for one host?", prefix.addr())));
        }
        Ok(prefix)
    }
}

impl TextLeaf for IpAddr {
    const EXPECTED: &'static str = "an IP address such as \"10.0.0.1\"";

    fn parse(text: &str) -> Result<IpAddr, TextError> {
        text.parse().map_err(|_| {
            let error = TextError::new(format!("`{}` is not an IP address", shorten(text)));
            if text.contains('/') { error.help("leave out the prefix length") } else { error }
        })
    }
}

impl TextLeaf for Mac {
    const EXPECTED: &'static str = "a MAC address such as \"02:00:00:00:00:01\"";

    fn parse(text: &str) -> Result<Mac, TextError> {
        let mac: Mac = text.parse().map_err(|_| TextError::new(format!("`{}` is not a MAC address", shorten(text))))?;
        if !mac.is_unicast() {
            let error = TextError::new(format!("no device can have the MAC address `{mac}`"));
            return Err(error.help("the first byte must be even (not a group address), and not all bytes zero"));
        }
        Ok(mac)
    }
}

/// A router on the way: its address, or `*` if it did not answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Hop {
    /// A router that answered.
    Router(Target),
    /// One that did not.
    Silent,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hop::Router(target) => target.fmt(f),
            Hop::Silent => f.write_str("*"),
        }
    }
}

impl TextLeaf for Hop {
    const EXPECTED: &'static str = "a router's address or name, or \"*\"";

    fn parse(text: &str) -> Result<Hop, TextError> {
        if text == "*" { Ok(Hop::Silent) } else { Target::parse(text).map(Hop::Router) }
    }
}

/// One port, written as a number, or a range of ports, written `"1000-2000"`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last; not below the first.
    pub last: u16,
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl Ports {
    fn parse(text: &str) -> Result<Ports, TextError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = Ports { first: parse_port(first)?, last: parse_port(last)? };
        if ports.first > ports.last {
            return Err(TextError::new(format!("the range `{text}` is empty")).help("write the smaller port first"));
        }
        Ok(ports)
    }
}

const PORTS: &str = "a port such as 80 or a range such as \"1000-2000\"";

impl Read for Ports {
    fn expected() -> String {
        PORTS.into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Ports> {
        let text = match &node.shape {
            Shape::Number(text) | Shape::Text { text, .. } => text,
            _ => return reader.wrong(node, PORTS),
        };
        match Ports::parse(text) {
            Ok(ports) => Some(ports),
            Err(error) => {
                let d = Diagnostic::error("bad-port", node.span, error.message);
                let d = d.label(format!("expected {}", PORTS));
                reader.report(d.maybe_help(error.help))
            }
        }
    }

    fn write(&self) -> Node {
        match self.first == self.last {
            true => Node::unwritten(Shape::Number(self.first.to_string())),
            false => Node::text(self.to_string()),
        }
    }
}

/// What NAT rewrites an address to: `"10.0.0.2"`, `"10.0.0.2:80"` or `"10.0.0.2:1000-2000"`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NatTo {
    /// The new address.
    pub host: Target,
    /// The new port or range of ports; unchanged where possible if `None`.
    pub ports: Option<Ports>,
}

impl fmt::Display for NatTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.ports) {
            (Target::Addr(IpAddr::V6(addr)), Some(ports)) => write!(f, "[{addr}]:{ports}"),
            (host, Some(ports)) => write!(f, "{host}:{ports}"),
            (host, None) => host.fmt(f),
        }
    }
}

impl TextLeaf for NatTo {
    const EXPECTED: &'static str = "an address, with a port if need be, as in \"10.0.0.2:80\"";

    fn parse(text: &str) -> Result<NatTo, TextError> {
        if let Ok(addr) = text.parse() {
            return Ok(NatTo { host: Target::Addr(addr), ports: None });
        }
        match text.rsplit_once(':') {
            Some((host, ports)) if ports.bytes().next().is_some_and(|b| b.is_ascii_digit()) => {
                let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
                Ok(NatTo { host: Target::parse(host)?, ports: Some(Ports::parse(ports)?) })
            }
            _ => Ok(NatTo { host: Target::parse(text)?, ports: None }),
        }
    }
}

fn parse_port(text: &str) -> Result<u16, TextError> {
    let port = text.trim().parse::<u16>().ok().filter(|p| *p > 0);
    port.ok_or_else(|| TextError::new(format!("`{}` is not a port", shorten(text))).help("ports are 1 to 65535"))
}
