//! What can be written in a scenario file. The structs and their documentation are the reference.

mod device;
mod expect;
mod link;
mod namespace;
mod netfilter;
mod reference;
mod server;
mod step;

pub use device::{Bridge, Device, Fdb, Plain, Port, PortSettings, Vlan};
pub use expect::{
    Conntrack, Count, Delivered, Dropped, Expect, Finish, HopList, HttpAnswer, LimitKind, Misdelivered, PingResult,
    Prints, Probe, ProcFile, Seen, TcpOutcome, TcpReceived, UdpReceived,
};
pub use link::{Impairment, Link, LinkSettings};
pub use namespace::{Advertise, Expanded, Host, Namespace, Preset, ProcView, Router, Switch};
pub use netfilter::{
    Chain, Dnat, Filter, FilterRule, Masquerade, Match, Nat, Netmap, Policy, PortForward, Redirect, Reject, RejectWith,
    Snat, State,
};
pub use reference::{Section, reference};
pub use server::{Http, Listen, Server};
pub use step::{Action, Cat, Exec, HttpGet, Impair, Method, Ping, Step, TcpBulk, TcpConnect, Traceroute, UdpSend};

use super::{
    Duration, Spanned,
    read::{choice, record},
    values::Entries,
};

record! {
    /// A whole scenario: the world, what happens in it, and what must come true.
    ///
    /// The outermost parentheses of the file. Everything but `namespaces` may be left out.
    pub struct Scenario is "a scenario" {
        /// One line that says what the scenario shows.
        title: Option<Spanned<String>> = None,
        /// What a student should watch for; printed before the story. May have several lines.
        about: Option<Spanned<String>> = None,
        /// Seeds every random choice: loss, jitter, port choice, identifiers. The same seed gives the same run.
        seed: Spanned<u64> = 1.into(),
        /// The namespaces by name, each a network stack of its own. At most 100 000.
        namespaces: Entries<Expanded>,
        /// The cables between them, each a veth pair: `"a:eth0 -- b:eth0"` or the long form.
        links: Vec<Link> = Vec::new(),
        /// What happens when: `("2s", Ping(from: "a", to: "b"))`. Steps of one time happen in the order of the file.
        steps: Vec<Step> = Vec::new(),
        /// What must have come true at the end.
        expect: Vec<Spanned<Expect>> = Vec::new(),
        /// The virtual time at which the run ends even if something would still happen. Without it, the run ends when
        /// nothing more can happen; if bridges speak the spanning tree protocol, which never rests, a minute after the
        /// last step.
        until: Option<Spanned<Duration>> = None,
        /// What a run may cost before it is ended with an explanation.
        limits: Limits = Limits::default(),
        /// Files to write after the run.
        save: Vec<Spanned<Save>> = Vec::new(),
    }
}

record! {
    /// Bounds that end a run which would not end by itself, such as a broadcast storm.
    pub struct Limits is "limits" {
        /// The largest number of events.
        events: Spanned<u64> [1..=1_000_000_000_000] = 100_000_000.into(),
        /// The largest number of frames, copies included.
        frames: Spanned<u64> [1..=1_000_000_000_000] = 10_000_000.into(),
        /// The latest virtual time.
        time: Spanned<Duration> = Duration(24 * 3600 * crate::base::SEC).into(),
    }
}

impl Default for Scenario {
    /// A scenario without namespaces.
    fn default() -> Scenario {
        Scenario {
            title: None,
            about: None,
            seed: 1.into(),
            namespaces: Entries::default(),
            links: Vec::new(),
            steps: Vec::new(),
            expect: Vec::new(),
            until: None,
            limits: Limits::default(),
            save: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            events: 100_000_000.into(),
            frames: 10_000_000.into(),
            time: Duration(24 * 3600 * crate::base::SEC).into(),
        }
    }
}

choice! {
    /// A file to write after the run. Its path is relative to the directory netsim is started in.
    pub enum Save is "a file to save" {
        /// Every frame at every device in one pcapng capture, with names and comments.
        Pcapng(Spanned<String>),
    }
}
