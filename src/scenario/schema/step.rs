//! What happens in the world, and when.

use super::link::Impairment;
use crate::scenario::{
    Duration, End, Service, Size, Spanned, Target, Url,
    node::{Node, Shape, Word},
    read::{Field, Read, Reader, choice, fields, missing, record},
};

/// An action and the time it begins: `("2s", Ping(from: "a", to: "b"))`.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// When, from the start of the run.
    pub at: Spanned<Duration>,
    /// What.
    pub action: Spanned<Action>,
}

impl Read for Step {
    fn expected() -> String {
        "a time and an action, as in `(\"2s\", Ping(from: \"a\", to: \"b\"))`".into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Step> {
        match &node.shape {
            Shape::Tuple(None, items) if items.len() == 2 => {
                let at = Spanned::<Duration>::read(&items[0], reader);
                let action = Spanned::<Action>::read(&items[1], reader);
                Some(Step { at: at?, action: action? })
            }
            _ => reader.wrong(node, &Self::expected()),
        }
    }

    fn write(&self) -> Node {
        Node::unwritten(Shape::Tuple(None, vec![self.at.write(), self.action.value.write()]))
    }
}

choice! {
    /// What happens at a step. What a program prints is part of the story.
    pub enum Action is "an action" {
        /// Sends echo requests, as `ping` does.
        Ping(Ping),
        /// Finds the routers on the way, as `traceroute` does.
        Traceroute(Traceroute),
        /// Sends datagrams.
        UdpSend(UdpSend),
        /// Opens a TCP connection and closes it again.
        TcpConnect(TcpConnect),
        /// Sends a lot of data over a TCP connection.
        TcpBulk(TcpBulk),
        /// Gets a page over HTTP.
        HttpGet(HttpGet),
        /// Runs a configuration command in a namespace.
        Exec(Exec),
        /// Prints a file of `/proc` as the namespace sees it.
        Cat(Cat),
        /// Pulls the cable out of a device: both ends lose their carrier.
        Unplug(Spanned<End>),
        /// Puts the cable back.
        Plug(Spanned<End>),
        /// Replaces the impairments of what a device sends.
        Impair(Impair),
        /// Says something in the story.
        Note(Spanned<String>),
    }
}

record! {
    /// `ping`.
    pub struct Ping is "a ping" {
        /// The namespace that sends.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Target>,
        /// Number of requests.
        count: Spanned<u32> [1..=1_000_000] = 3.into(),
        /// Time between two requests, at least 1 ms.
        interval: Spanned<Duration> [1_000_000..=3_600_000_000_000] = Duration(crate::base::SEC).into(),
        /// Payload, ICMP header not included.
        size: Spanned<Size> [0..=65_507] = Size(56).into(),
        /// TTL of the requests.
        ttl: Spanned<u8> [1..=255] = 64.into(),
        /// Forbid fragmentation anywhere, here included (`-M do`). Otherwise `DF` is set unless the path's MTU is known
        /// to be smaller.
        df: bool = false,
        /// How long to wait for the reply to the last request (`-W`).
        timeout: Spanned<Duration> [1_000_000..=3_600_000_000_000] = Duration(10 * crate::base::SEC).into(),
        /// The source address to bind to (`-I`). Default: what the route says.
        source: Option<Spanned<Target>> = None,
    }
}

record! {
    /// `traceroute`.
    pub struct Traceroute is "a traceroute" {
        /// The namespace that sends.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Target>,
        /// What is sent.
        method: Method = Method::Udp,
        /// The first TTL.
        first: Spanned<u8> [1..=255] = 1.into(),
        /// The last TTL.
        max: Spanned<u8> [1..=255] = 30.into(),
        /// Probes for each TTL.
        queries: Spanned<u8> [1..=10] = 3.into(),
        /// How long to wait for an answer.
        timeout: Spanned<Duration> [1_000_000..=3_600_000_000_000] = Duration(5 * crate::base::SEC).into(),
    }
}

choice! {
    /// What traceroute sends.
    pub enum Method is "a traceroute method" {
        /// Datagrams to ports from 33434 on.
        Udp,
        /// Echo requests (`-I`).
        Icmp,
    }
}

record! {
    /// Sends datagrams from one socket.
    pub struct UdpSend is "a UDP sender" {
        /// The namespace that sends.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Service>,
        /// What. Default: a counter and a pattern, as long as `size` says.
        data: Option<Spanned<String>> = None,
        /// Payload of each datagram, if `data` is not given.
        size: Spanned<Size> [0..=65_507] = Size(32).into(),
        /// How many.
        count: Spanned<u32> [1..=10_000_000] = 1.into(),
        /// Time between two of them.
        interval: Spanned<Duration> = Duration(crate::base::SEC).into(),
        /// The local port. Default: any free one.
        port: Option<Spanned<u16>> [1..=65_535] = None,
        /// Whether the program learns of ICMP errors (`IP_RECVERR`).
        errors: bool = true,
        /// How long to wait for answers after the last one; it ends earlier when each was answered.
        wait: Spanned<Duration> [0..=3_600_000_000_000] = Duration(crate::base::SEC).into(),
        /// Whether broadcasts are allowed.
        broadcast: bool = false,
    }
}

record! {
    /// Opens a TCP connection and closes it.
    pub struct TcpConnect is "a TCP connect" {
        /// The namespace of the client.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Service>,
        /// How long to try.
        timeout: Spanned<Duration> [1_000_000..=3_600_000_000_000] = Duration(10 * crate::base::SEC).into(),
    }
}

record! {
    /// Sends a pattern over a TCP connection, then closes it.
    pub struct TcpBulk is "a TCP transfer" {
        /// The namespace of the sender.
        from: Spanned<String>,
        /// Where to.
        to: Spanned<Service>,
        /// How much.
        size: Spanned<Size> [1..=100_000_000_000] = Size(1_000_000).into(),
    }
}

record! {
    /// Gets a page and prints its status and length.
    pub struct HttpGet is "an HTTP get" {
        /// The namespace of the client.
        from: Spanned<String>,
        /// The address of the page.
        url: Spanned<Url>,
        /// How long to try.
        timeout: Spanned<Duration> [1_000_000..=3_600_000_000_000] = Duration(60 * crate::base::SEC).into(),
    }
}

record! {
    /// Runs one command of the `ip`, `bridge` or `sysctl` family.
    pub struct Exec is "a command" {
        /// The namespace.
        ns as "in": Spanned<String>,
        /// The command line: `ip route|rule|addr|link|neigh add|del|replace|change|set ...` or `sysctl -w key=value`.
        run: Spanned<String>,
    }
}

record! {
    /// Prints a file of `/proc`.
    pub struct Cat is "a file to print" {
        /// The namespace.
        ns as "in": Spanned<String>,
        /// The file, such as `/proc/net/arp`.
        path: Spanned<String>,
    }
}

/// Replaces the impairments of what a device sends (`tc qdisc replace dev DEV root netem ...`). Takes `at` and the
/// fields of an impairment; without any, the wire is perfect again.
#[derive(Clone, PartialEq, Debug)]
pub struct Impair {
    /// The device whose frames are concerned.
    pub at: Spanned<End>,
    /// What happens to them from now on.
    pub with: Impairment,
}

impl Impair {
    /// The fields as they are written in a scenario: `at`, then those of an impairment.
    pub fn fields() -> Vec<Field> {
        let at = Field {
            name: "at",
            doc: &[" The device whose frames are concerned."],
            kind: "Spanned<End>",
            default: None,
            range: None,
        };
        std::iter::once(at).chain(Impairment::FIELDS.iter().cloned()).collect()
    }
}

impl Read for Impair {
    fn expected() -> String {
        "a device and an impairment in parentheses".into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Impair> {
        let given = fields(node, "an impairment", &Impair::fields(), reader)?;
        let (at, rest): (Vec<_>, Vec<_>) = given.iter().cloned().partition(|(word, _)| word.text == "at");
        let at = match at.first() {
            Some((_, value)) => Spanned::<End>::read(value, reader),
            None => missing(node, "an impairment", "at", <Spanned<End> as Read>::expected().as_str(), reader),
        };
        // What is unknown has been reported with `at` among the known fields.
        let known = rest.into_iter().filter(|(word, _)| Impairment::FIELDS.iter().any(|f| f.name == word.text));
        let rest = Node { span: node.span, shape: Shape::Record(None, known.collect()) };
        let with = Impairment::read(&rest, &mut *reader);
        Some(Impair { at: at?, with: with? })
    }

    fn read_arguments(node: &Node, reader: &mut Reader) -> Option<Impair> {
        Impair::read(node, reader)
    }

    fn write(&self) -> Node {
        self.write_arguments("Impair")
    }

    fn write_arguments(&self, name: &str) -> Node {
        let mut out = vec![(Word::unwritten("at"), self.at.write())];
        if let Shape::Record(_, fields) = self.with.write().shape {
            out.extend(fields);
        }
        Node::unwritten(Shape::Record(Some(Word::unwritten(name)), out))
    }
}
