//! Address translation and firewall.

use crate::{
    base::Prefix,
    scenario::{
        NatTo, Net, Ports, Spanned,
        read::{choice, record},
    },
};

choice! {
    /// A rule of address translation. Only the first packet of a flow looks for a rule; the others follow its entry.
    pub enum Nat is "a NAT rule" {
        /// Rewrites the source to the address of the device the packet leaves by (postrouting).
        Masquerade(Masquerade),
        /// Rewrites the source to a fixed address (postrouting).
        Snat(Snat),
        /// Rewrites the destination (prerouting, and output for the namespace's own packets if `local` is set).
        Dnat(Dnat),
        /// Rewrites the destination of what arrives at a port of a device: `Dnat` in everyday words.
        PortForward(PortForward),
        /// Rewrites the destination to the namespace itself (prerouting).
        Redirect(Redirect),
        /// Rewrites one network to another, both ways, and leaves the host part as it is: every inner address has an outer
        /// one of its own (`NETMAP`; for IPv6, prefix translation).
        Netmap(Netmap),
    }
}

record! {
    /// Source translation to the address of the egress device.
    pub struct Masquerade is "a masquerade rule" {
        /// The device the packet leaves by.
        out: Spanned<String>,
        /// Only packets from this network.
        from: Option<Spanned<Prefix>> = None,
        /// Only packets to this network.
        dst: Option<Spanned<Prefix>> = None,
        /// Always choose a random port instead of keeping the original one where possible.
        random: bool = false,
    }
}

record! {
    /// Source translation to a fixed address.
    pub struct Snat is "an SNAT rule" {
        /// The new source, with a port or range of ports if need be.
        to: Spanned<NatTo>,
        /// Only packets that leave by this device.
        out: Option<Spanned<String>> = None,
        /// Only packets from this network.
        from: Option<Spanned<Prefix>> = None,
        /// Only packets to this network.
        dst: Option<Spanned<Prefix>> = None,
        /// Always choose a random port.
        random: bool = false,
    }
}

record! {
    /// Destination translation.
    pub struct Dnat is "a DNAT rule" {
        /// The new destination, with a port if need be.
        to: Spanned<NatTo>,
        /// Only packets that arrive by this device.
        dev as "in": Option<Spanned<String>> = None,
        /// Only packets from this network.
        from: Option<Spanned<Prefix>> = None,
        /// Only packets to this network or address.
        dst: Option<Spanned<Prefix>> = None,
        /// Only TCP to this port.
        tcp: Option<Spanned<Ports>> = None,
        /// Only UDP to this port.
        udp: Option<Spanned<Ports>> = None,
        /// Also for packets the namespace itself sends.
        local: bool = false,
    }
}

record! {
    /// Forwards a port of a device to another host.
    pub struct PortForward is "a port forward" {
        /// The device the packets arrive by.
        dev as "in": Spanned<String>,
        /// The TCP port, or range of ports.
        tcp: Option<Spanned<Ports>> = None,
        /// The UDP port, or range of ports.
        udp: Option<Spanned<Ports>> = None,
        /// The new destination, with a port if that changes too.
        to: Spanned<NatTo>,
    }
}

record! {
    /// Redirects to the namespace itself.
    pub struct Redirect is "a redirect rule" {
        /// Only packets that arrive by this device.
        dev as "in": Option<Spanned<String>> = None,
        /// The TCP port, or range of ports.
        tcp: Option<Spanned<Ports>> = None,
        /// The UDP port, or range of ports.
        udp: Option<Spanned<Ports>> = None,
        /// The new port. Default: unchanged.
        to: Option<Spanned<u16>> [1..=65_535] = None,
    }
}

record! {
    /// Translation of a network to another of the same size.
    pub struct Netmap is "a netmap rule" {
        /// The device that leads outside.
        out: Spanned<String>,
        /// The network inside.
        inner: Spanned<Prefix>,
        /// The network as it is seen outside.
        outer: Spanned<Prefix>,
    }
}

record! {
    /// The firewall: one chain for each way through a namespace.
    pub struct Filter is "a filter" {
        /// Packets for the namespace.
        input: Chain = Chain::default(),
        /// Packets passing through.
        forward: Chain = Chain::default(),
        /// Packets the namespace sends.
        output: Chain = Chain::default(),
    }
}

#[allow(clippy::derivable_impls, reason = "`record!` derives what every record has; not every one has a default")]
impl Default for Filter {
    fn default() -> Filter {
        Filter { input: Chain::default(), forward: Chain::default(), output: Chain::default() }
    }
}

record! {
    /// A chain: the first rule that matches decides, the policy if none does.
    pub struct Chain is "a chain" {
        /// What happens to a packet no rule matches.
        policy: Policy = Policy::Accept,
        /// The rules in order.
        rules: Vec<Spanned<FilterRule>> = Vec::new(),
    }
}

impl Default for Chain {
    fn default() -> Chain {
        Chain { policy: Policy::Accept, rules: Vec::new() }
    }
}

choice! {
    /// What happens to a packet no rule matches.
    pub enum Policy is "a policy" {
        /// It passes.
        Accept,
        /// It is dropped without a word.
        Drop,
    }
}

choice! {
    /// A rule: what is done with the packets that have all the properties listed.
    pub enum FilterRule is "a filter rule" {
        /// The packet passes.
        Accept(Match),
        /// The packet is dropped without a word.
        Drop(Match),
        /// The packet is dropped and its sender told.
        Reject(Reject),
    }
}

record! {
    /// The properties a packet must have; those left out do not matter.
    pub struct Match is "a filter rule" {
        /// Arrived by this device.
        dev as "in": Option<Spanned<String>> = None,
        /// Leaves by this device.
        out: Option<Spanned<String>> = None,
        /// Comes from this network, or from this namespace's or device's address.
        from: Option<Spanned<Net>> = None,
        /// Goes to this network, or to this namespace's or device's address.
        to: Option<Spanned<Net>> = None,
        /// Is TCP to this port.
        tcp: Option<Spanned<Ports>> = None,
        /// Is UDP to this port.
        udp: Option<Spanned<Ports>> = None,
        /// Is ICMP (or ICMPv6).
        icmp: bool = false,
        /// Its connection is in one of these states.
        state: Vec<State> = Vec::new(),
    }
}

record! {
    /// The properties of a packet that is rejected, and how its sender is told.
    pub struct Reject is "a reject rule" {
        /// Arrived by this device.
        dev as "in": Option<Spanned<String>> = None,
        /// Leaves by this device.
        out: Option<Spanned<String>> = None,
        /// Comes from this network, or from this namespace's or device's address.
        from: Option<Spanned<Net>> = None,
        /// Goes to this network, or to this namespace's or device's address.
        to: Option<Spanned<Net>> = None,
        /// Is TCP to this port.
        tcp: Option<Spanned<Ports>> = None,
        /// Is UDP to this port.
        udp: Option<Spanned<Ports>> = None,
        /// Is ICMP (or ICMPv6).
        icmp: bool = false,
        /// Its connection is in one of these states.
        state: Vec<State> = Vec::new(),
        /// What the sender gets.
        with: RejectWith = RejectWith::PortUnreachable,
    }
}

impl Reject {
    /// The properties alone.
    pub fn matches(&self) -> Match {
        Match {
            dev: self.dev.clone(),
            out: self.out.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            tcp: self.tcp,
            udp: self.udp,
            icmp: self.icmp,
            state: self.state.clone(),
        }
    }
}

choice! {
    /// What the sender of a rejected packet gets.
    pub enum RejectWith is "an answer to a rejected packet" {
        /// ICMP port unreachable (type 3, code 3).
        PortUnreachable,
        /// ICMP host unreachable (type 3, code 1).
        HostUnreachable,
        /// ICMP network unreachable (type 3, code 0).
        NetUnreachable,
        /// ICMP administratively prohibited (type 3, code 13).
        AdminProhibited,
        /// A TCP reset; only for TCP.
        TcpReset,
    }
}

choice! {
    /// The state of the connection a packet belongs to.
    pub enum State is "a connection state" {
        /// Opens a connection.
        New,
        /// Belongs to one in which both sides have been heard.
        Established,
        /// Opens one that another one announced, or is an ICMP error about one.
        Related,
        /// Fits no connection.
        Invalid,
    }
}
