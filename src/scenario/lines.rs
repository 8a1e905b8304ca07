//! Lines in the words of iproute2: what a scenario needs to know of them to check names and addresses.
//!
//! The words are understood in full by whoever builds the world; here they are only taken apart, so that each can be
//! underlined.

use super::{
    node::shorten,
    read::list,
    values::{TextError, TextLeaf},
};
use crate::base::{Mac, Prefix};
use std::{fmt, net::IpAddr, ops::Range};

/// A value inside a line, and the bytes of the line it stands at.
pub type Part<T> = (T, Range<usize>);

/// A route in the words of `ip route add`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteLine {
    /// The words as they are written.
    pub text: String,
    /// The destination.
    pub dst: Part<Prefix>,
    /// Gateways: one, or one for each `nexthop`.
    pub via: Vec<Part<IpAddr>>,
    /// Devices: one, or one for each `nexthop`.
    pub dev: Vec<Part<String>>,
    /// The source address to prefer.
    pub src: Option<Part<IpAddr>>,
    /// Whether gateways are taken to be on the link whatever the addresses say.
    pub onlink: bool,
    /// Whether the route leads somewhere: not `unreachable`, `prohibit`, `blackhole` or `throw`.
    pub unicast: bool,
}

/// A routing rule in the words of `ip rule add`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleLine {
    /// The words as they are written.
    pub text: String,
    /// The devices named by `iif` and `oif`.
    pub dev: Vec<Part<String>>,
}

/// A neighbour in the words of `ip neigh add`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighLine {
    /// The words as they are written.
    pub text: String,
    /// The neighbour's address.
    pub addr: Part<IpAddr>,
    /// Its MAC address; there is none for a proxy entry.
    pub mac: Option<Mac>,
    /// The device it is reached by.
    pub dev: Part<String>,
    /// Whether this namespace answers for the address (`proxy`).
    pub proxy: bool,
    /// The state given: `permanent` unless said otherwise.
    pub state: &'static str,
}

/// The words of a line, each with its place.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Words<'a> {
        Words { text, at: 0 }
    }

    fn next(&mut self) -> Option<Part<&'a str>> {
        let rest = &self.text[self.at..];
        let start = self.at + (rest.len() - rest.trim_start().len());
        let word = self.text[start..].split_whitespace().next()?;
        self.at = start + word.len();
        Some((word, start..self.at))
    }

    /// The word after `keyword`, parsed.
    fn argument<T>(
        &mut self,
        keyword: &str,
        parse: impl Fn(&str) -> Result<T, TextError>,
    ) -> Result<Part<T>, TextError> {
        let Some((word, range)) = self.next() else {
            let error = TextError::new(format!("`{keyword}` needs a value"));
            return Err(error.at(self.at - keyword.len(), self.at));
        };
        match parse(word) {
            Ok(value) => Ok((value, range)),
            Err(error) => Err(error.at(range.start, range.end)),
        }
    }

    fn number(&mut self, keyword: &str) -> Result<(), TextError> {
        self.argument(keyword, |w| match w.parse::<u32>() {
            Ok(_) => Ok(()),
            Err(_) => Err(TextError::new(format!("`{}` is not a number", shorten(w)))),
        })
        .map(|_| ())
    }
}

fn address(word: &str) -> Result<IpAddr, TextError> {
    word.parse().map_err(|_| TextError::new(format!("`{}` is not an IP address", shorten(word))))
}

fn network(word: &str) -> Result<Prefix, TextError> {
    if matches!(word, "default" | "all") {
        return Ok(Prefix::ANY4);
    }
    <Prefix as TextLeaf>::parse(word)
}

fn name(word: &str) -> Result<String, TextError> {
    Ok(word.into())
}

/// The numbers and names a routing table goes by (rt_tables).
fn table(word: &str) -> Result<(), TextError> {
    if matches!(word, "main" | "local" | "default") || word.parse::<u32>().is_ok_and(|n| n > 0) {
        return Ok(());
    }
    let error = TextError::new(format!("`{}` is not a routing table", shorten(word)));
    Err(error.help("a table is `main`, `local`, `default` or a number from 1"))
}

fn unknown(word: &str, range: Range<usize>, known: &[&str]) -> TextError {
    let error = TextError::new(format!("`{}` is not understood here", shorten(word))).at(range.start, range.end);
    let near = super::diagnose::did_you_mean(word, known.iter().copied());
    error.help(near.unwrap_or_else(|| format!("the words are {}", list(known))))
}

const ROUTE_WORDS: &[&str] =
    &["via", "dev", "src", "metric", "table", "scope", "proto", "onlink", "mtu", "tos", "nexthop", "weight"];

impl TextLeaf for RouteLine {
    const EXPECTED: &'static str = "a route such as \"default via 10.0.0.1\" or \"10.1.0.0/16 dev eth0\"";

    fn parse(text: &str) -> Result<RouteLine, TextError> {
        let mut words = Words::new(text);
        let empty = || TextError::new("a route needs a destination").help("write `default` or a network first");
        let (mut first, mut range) = words.next().ok_or_else(empty)?;
        let special = matches!(first, "unreachable" | "prohibit" | "blackhole" | "throw");
        if special || first == "unicast" {
            (first, range) = words.next().ok_or_else(empty)?;
        }
        let dst = network(first).map_err(|e| e.at(range.start, range.end))?;
        let mut line = RouteLine {
            text: text.into(),
            dst: (dst, range),
            via: Vec::new(),
            dev: Vec::new(),
            src: None,
            onlink: false,
            unicast: !special,
        };
        while let Some((word, range)) = words.next() {
            match word {
                "via" => line.via.push(words.argument(word, address)?),
                "dev" => line.dev.push(words.argument(word, name)?),
                "src" => line.src = Some(words.argument(word, address)?),
                "onlink" => line.onlink = true,
                "nexthop" => {}
                "metric" | "mtu" | "weight" => words.number(word)?,
                "table" => _ = words.argument(word, table)?,
                "scope" | "proto" | "tos" => _ = words.argument(word, name)?,
                _ => return Err(unknown(word, range, ROUTE_WORDS)),
            }
        }
        // `default` stands for both families; the gateway says which.
        if first == "default" && line.via.first().is_some_and(|(via, _)| via.is_ipv6()) {
            line.dst.0 = Prefix::ANY6;
        }
        for (via, range) in &line.via {
            if via.is_ipv4() != line.dst.0.is_ipv4() {
                let message = "the gateway and the destination belong to different address families";
                return Err(TextError::new(message).at(range.start, range.end));
            }
        }
        if line.unicast && line.via.is_empty() && line.dev.is_empty() {
            let error = TextError::new(format!("the route to {first} does not say where it leads"));
            return Err(error.help("add `via GATEWAY` or `dev DEVICE`"));
        }
        Ok(line)
    }
}

impl RouteLine {
    /// `default via GATEWAY`.
    pub fn default_via(gateway: IpAddr) -> RouteLine {
        let text = format!("default via {gateway}");
        let via = vec![(gateway, "default via ".len()..text.len())];
        let dst = (if gateway.is_ipv4() { Prefix::ANY4 } else { Prefix::ANY6 }, 0.."default".len());
        RouteLine { text, dst, via, dev: Vec::new(), src: None, onlink: false, unicast: true }
    }
}

impl fmt::Display for RouteLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const RULE_WORDS: &[&str] = &[
    "from",
    "to",
    "iif",
    "oif",
    "fwmark",
    "priority",
    "table",
    "tos",
    "not",
    "suppress_prefixlength",
    "unreachable",
    "prohibit",
    "blackhole",
];

impl TextLeaf for RuleLine {
    const EXPECTED: &'static str = "a rule such as \"from 10.0.0.0/24 table 100\"";

    fn parse(text: &str) -> Result<RuleLine, TextError> {
        let mut words = Words::new(text);
        let mut line = RuleLine { text: text.into(), dev: Vec::new() };
        let mut decides = false;
        while let Some((word, range)) = words.next() {
            match word {
                "from" | "to" => _ = words.argument(word, network)?,
                "iif" | "oif" | "dev" => line.dev.push(words.argument(word, name)?),
                "fwmark" | "tos" => _ = words.argument(word, name)?,
                "priority" | "pref" | "order" | "suppress_prefixlength" => words.number(word)?,
                "table" | "lookup" => {
                    words.argument(word, table)?;
                    decides = true;
                }
                "unreachable" | "prohibit" | "blackhole" => decides = true,
                "not" => {}
                _ => return Err(unknown(word, range, RULE_WORDS)),
            }
        }
        if !decides {
            return Err(TextError::new("the rule does not say which table to look in").help("add `table NUMBER`"));
        }
        Ok(line)
    }
}

impl fmt::Display for RuleLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const NEIGH_WORDS: &[&str] = &["lladdr", "dev", "nud"];
const STATES: &[&str] = &["permanent", "reachable", "stale", "noarp"];

impl TextLeaf for NeighLine {
    const EXPECTED: &'static str = "a neighbour such as \"10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0\"";

    fn parse(text: &str) -> Result<NeighLine, TextError> {
        let mut words = Words::new(text);
        let empty = || TextError::new("a neighbour needs an address").help("write its IP address first");
        let (mut first, mut range) = words.next().ok_or_else(empty)?;
        let proxy = first == "proxy";
        if proxy {
            (first, range) = words.next().ok_or_else(empty)?;
        }
        let addr = (address(first).map_err(|e| e.at(range.start, range.end))?, range);
        let (mut mac, mut dev, mut state) = (None, None, "permanent");
        while let Some((word, range)) = words.next() {
            match word {
                "lladdr" => mac = Some(words.argument(word, <Mac as TextLeaf>::parse)?.0),
                "dev" => dev = Some(words.argument(word, name)?),
                "nud" => state = words.argument(word, nud)?.0,
                _ => match STATES.iter().find(|s| **s == word) {
                    Some(known) => state = known,
                    None => return Err(unknown(word, range, NEIGH_WORDS)),
                },
            }
        }
        let dev = dev.ok_or_else(|| TextError::new("the neighbour's device is missing").help("add `dev DEVICE`"))?;
        if mac.is_none() && !proxy {
            return Err(TextError::new("the neighbour's MAC address is missing").help("add `lladdr MAC`"));
        }
        Ok(NeighLine { text: text.into(), addr, mac, dev, proxy, state })
    }
}

fn nud(word: &str) -> Result<&'static str, TextError> {
    let known = STATES.iter().find(|s| **s == word).copied();
    known.ok_or_else(|| {
        let error = TextError::new(format!("`{}` is not a state to set by hand", shorten(word)));
        error.help(format!("the states are {}", list(STATES)))
    })
}

impl fmt::Display for NeighLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<T: TextLeaf>(text: &str) -> (String, String) {
        let error = T::parse(text).err().unwrap_or_else(|| panic!("`{text}` was accepted"));
        let part = error.part.map_or(text, |(start, end)| &text[start..end]);
        (part.to_string(), error.message)
    }

    #[test]
    fn a_route_is_taken_apart_with_places() {
        let line = RouteLine::parse("10.1.0.0/16 via 10.0.0.1 dev eth0 src 10.0.0.2 metric 5 onlink").ok().unwrap();
        assert_eq!(line.dst, ("10.1.0.0/16".parse().unwrap(), 0..11));
        assert_eq!(line.via, [("10.0.0.1".parse().unwrap(), 16..24)]);
        assert_eq!(line.dev, [("eth0".to_string(), 29..33)]);
        assert!(line.onlink && line.unicast && line.src.is_some());
        let blackhole = RouteLine::parse("blackhole 10.9.0.0/16").ok().unwrap();
        assert!(!blackhole.unicast);
        assert_eq!(RouteLine::parse("default via 2001:db8::1").ok().unwrap().dst.0, Prefix::ANY6);
    }

    #[test]
    fn the_wrong_word_is_named() {
        assert_eq!(place::<RouteLine>("default vai 10.0.0.1").0, "vai");
        assert_eq!(place::<RouteLine>("10.0.0.1/24 dev eth0").0, "10.0.0.1/24");
        assert_eq!(place::<RouteLine>("default via 10.0.0.300").0, "10.0.0.300");
        assert_eq!(place::<RouteLine>("default").1, "the route to default does not say where it leads");
        assert_eq!(place::<RouteLine>("default via 10.0.0.1 table blue").0, "blue");
        assert_eq!(place::<RuleLine>("from 10.0.0.0/24").1, "the rule does not say which table to look in");
        assert_eq!(place::<NeighLine>("10.0.0.9 lladdr 02:00 dev eth0").0, "02:00");
        assert_eq!(place::<NeighLine>("10.0.0.9 lladdr 02:00:00:00:00:09").1, "the neighbour's device is missing");
        assert_eq!(place::<NeighLine>("10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud fresh").0, "fresh");
    }
}
