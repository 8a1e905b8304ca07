//! Lines in the words of iproute2: routes, rules and neighbours, taken apart so that each word can be underlined.

use super::{
    node::shorten,
    read::list,
    values::{TextError, TextLeaf},
};
use crate::{
    base::Mac,
    route::{RouteSpec, RouteType, RuleSpec, WordError, parse_route, parse_rule},
};
use std::{fmt, net::IpAddr, ops::Range};

/// A value inside a line, and the bytes of the line it stands at.
pub type Part<T> = (T, Range<usize>);

/// A route in the words of `ip route add`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteLine {
    /// The words as they are written.
    pub text: String,
    /// What they say, each value with its place in the text.
    pub spec: RouteSpec,
}

/// A routing rule in the words of `ip rule add`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleLine {
    /// The words as they are written.
    pub text: String,
    /// What they say, each value with its place in the text.
    pub spec: RuleSpec,
}

/// A neighbour in the words of `ip neigh add`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighLine {
    /// The words as they are written.
    pub text: String,
    /// The neighbour's address.
    pub addr: Part<IpAddr>,
    /// The device it is reached by.
    pub dev: Part<String>,
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
}

fn address(word: &str) -> Result<IpAddr, TextError> {
    word.parse().map_err(|_| TextError::new(format!("`{}` is not an IP address", shorten(word))))
}

fn name(word: &str) -> Result<String, TextError> {
    Ok(word.into())
}

/// The mistake in the words of a scenario, with the nearest word where one was expected.
fn wrong_word(error: WordError) -> TextError {
    let known = error.expected.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.len() > 1);
    // iproute2 takes two words for the same; the message names one.
    let known = known.chain(error.expected.contains("lookup").then_some("table"));
    let near = error.word.as_deref().and_then(|word| super::diagnose::did_you_mean(word, known));
    let message = match &error.word {
        Some(word) => format!("`{}` is not understood here", shorten(word)),
        None => "something is missing at the end".into(),
    };
    // What is missing at the end is marked at the last character.
    let start = if error.word.is_some() { error.at.start } else { error.at.start.saturating_sub(1) };
    let text = TextError::new(message).at(start, error.at.end);
    text.help(near.unwrap_or_else(|| format!("expected {}", error.expected)))
}

fn unknown(word: &str, range: Range<usize>, known: &[&str]) -> TextError {
    let error = TextError::new(format!("`{}` is not understood here", shorten(word))).at(range.start, range.end);
    let near = super::diagnose::did_you_mean(word, known.iter().copied());
    error.help(near.unwrap_or_else(|| format!("the words are {}", list(known))))
}

impl TextLeaf for RouteLine {
    const EXPECTED: &'static str = "a route such as \"default via 10.0.0.1\" or \"10.1.0.0/16 dev eth0\"";

    fn parse(text: &str) -> Result<RouteLine, TextError> {
        let spec = parse_route(text).map_err(wrong_word)?;
        let dst = &spec.dst;
        if dst.value.has_host_bits() {
            let written = &text[dst.at.clone()];
            let error = TextError::new(format!("`{written}` has bits set behind its prefix length"));
            let help = format!("did you mean \"{}\", or \"{}\" for one host?", dst.value.network(), dst.value.addr());
            return Err(error.help(help).at(dst.at.start, dst.at.end));
        }
        let line = RouteLine { text: text.into(), spec };
        for via in line.spec.hops.iter().filter_map(|hop| hop.via.as_ref()) {
            if via.value.is_ipv4() != line.spec.dst.value.is_ipv4() {
                let error = TextError::new("the gateway and the destination belong to different address families");
                return Err(error.at(via.at.start, via.at.end));
            }
        }
        if line.is_unicast() && line.spec.hops.is_empty() {
            let error = TextError::new("the route does not say where it leads");
            return Err(error.help("add `via GATEWAY` or `dev DEVICE`"));
        }
        Ok(line)
    }
}

impl RouteLine {
    /// `default via GATEWAY`.
    pub fn default_via(gateway: IpAddr) -> RouteLine {
        let text = format!("default via {gateway}");
        let spec = parse_route(&text).expect("an address makes a gateway");
        RouteLine { text, spec }
    }

    /// Whether the route leads somewhere: not `unreachable`, `prohibit`, `blackhole` or `throw`.
    pub fn is_unicast(&self) -> bool {
        use RouteType::{Blackhole, Prohibit, Throw, Unreachable};
        !matches!(self.spec.kind, Some(Unreachable | Prohibit | Blackhole | Throw))
    }
}

impl fmt::Display for RouteLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TextLeaf for RuleLine {
    const EXPECTED: &'static str = "a rule such as \"from 10.0.0.0/24 table 100\"";

    fn parse(text: &str) -> Result<RuleLine, TextError> {
        let spec = parse_rule(text, false).map_err(wrong_word)?;
        for prefix in [&spec.from, &spec.to].into_iter().flatten() {
            if prefix.value.has_host_bits() {
                let error = TextError::new(format!("`{}` has bits set behind its prefix length", prefix.value));
                let error = error.help(format!("did you mean \"{}\"?", prefix.value.network()));
                return Err(error.at(prefix.at.start, prefix.at.end));
            }
        }
        if spec.action.is_none() {
            return Err(TextError::new("the rule does not say which table to look in").help("add `table NUMBER`"));
        }
        Ok(RuleLine { text: text.into(), spec })
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
        let (mut mac, mut dev) = (None, None);
        while let Some((word, range)) = words.next() {
            match word {
                "lladdr" => mac = Some(words.argument(word, <Mac as TextLeaf>::parse)?.0),
                "dev" => dev = Some(words.argument(word, name)?),
                "nud" => _ = words.argument(word, nud)?,
                _ => return Err(unknown(word, range, NEIGH_WORDS)),
            }
        }
        let dev = dev.ok_or_else(|| TextError::new("the neighbour's device is missing").help("add `dev DEVICE`"))?;
        if mac.is_none() && !proxy {
            return Err(TextError::new("the neighbour's MAC address is missing").help("add `lladdr MAC`"));
        }
        Ok(NeighLine { text: text.into(), addr, dev })
    }
}

fn nud(word: &str) -> Result<(), TextError> {
    if STATES.contains(&word) {
        return Ok(());
    }
    let error = TextError::new(format!("`{}` is not a state to set by hand", shorten(word)));
    Err(error.help(format!("the states are {}", list(STATES))))
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
        assert_eq!(line.spec.dst.at, 0..11);
        assert_eq!(line.spec.hops[0].via.as_ref().unwrap().at, 16..24);
        assert!(line.spec.hops[0].onlink && line.is_unicast());
        assert!(!RouteLine::parse("blackhole 10.9.0.0/16").ok().unwrap().is_unicast());
        assert_eq!(RouteLine::default_via("10.0.0.1".parse().unwrap()).text, "default via 10.0.0.1");
    }

    #[test]
    fn the_wrong_word_is_named() {
        assert_eq!(place::<RouteLine>("default vai 10.0.0.1").0, "vai");
        assert_eq!(place::<RouteLine>("10.0.0.1/24 dev eth0").0, "10.0.0.1/24");
        assert_eq!(place::<RouteLine>("default via 10.0.0.300").0, "10.0.0.300");
        assert_eq!(place::<RouteLine>("default via").0, "a");
        assert_eq!(place::<RouteLine>("default").1, "the route does not say where it leads");
        assert_eq!(place::<RouteLine>("default via 10.0.0.1 table blue").0, "blue");
        assert_eq!(place::<RouteLine>("10.0.0.0/8 via 2001:db8::1").0, "2001:db8::1");
        assert_eq!(place::<RuleLine>("from 10.0.0.0/24").1, "the rule does not say which table to look in");
        assert_eq!(place::<RuleLine>("from 10.0.0.1/24 table 5").0, "10.0.0.1/24");
        assert_eq!(place::<NeighLine>("10.0.0.9 lladdr 02:00 dev eth0").0, "02:00");
        assert_eq!(place::<NeighLine>("10.0.0.9 lladdr 02:00:00:00:00:09").1, "the neighbour's device is missing");
        assert_eq!(place::<NeighLine>("10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud fresh").0, "fresh");
    }
}
