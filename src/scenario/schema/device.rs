//! Devices of a namespace.

use crate::{
    base::{Mac, Prefix},
    scenario::{
        Duration, IfAddr, Spanned,
        node::{Node, Shape},
        read::{Read, Reader, choice, record},
    },
};

choice! {
    /// A device. A group without a name, `(addr: [...])`, describes the end of a cable (or `lo`).
    pub enum Device is "a kind of device", plain Plain(Plain) {
        /// The end of a cable that is listed in `links`, or the loopback device if its name is `lo`.
        Plain(Plain),
        /// A bridge: a switch inside the namespace.
        Bridge(Bridge),
        /// A VLAN (802.1Q) on top of another device.
        Vlan(Vlan),
        /// A device that swallows what is sent to it; a place for addresses.
        Dummy(Plain),
    }
}

record! {
    /// Settings of a device that has no kind of its own.
    pub struct Plain is "a device" {
        /// Its addresses; the first of a subnet is the primary one.
        addr: Vec<Spanned<IfAddr>> = Vec::new(),
        /// Its MAC address. Default: derived from the names of the namespace and the device.
        mac: Option<Spanned<Mac>> = None,
        /// Its MTU in bytes, Ethernet header not included. Default 1500.
        mtu: Option<Spanned<u32>> [68..=65_535] = None,
        /// Whether it is up at the start.
        up: bool = true,
        /// Whether it speaks IPv6 without an IPv6 address of its own: it then has a link-local address, and makes itself
        /// others from router advertisements (SLAAC).
        autoconf: bool = false,
    }
}

record! {
    /// A bridge and its ports (`ip link add ... type bridge`).
    pub struct Bridge is "a bridge" {
        /// The devices of the same namespace that are its ports.
        ports: Vec<Port> = Vec::new(),
        /// Its own addresses: the namespace is reachable through the bridge by them.
        addr: Vec<Spanned<IfAddr>> = Vec::new(),
        /// Its own MAC address. Default: the lowest of its ports'.
        mac: Option<Spanned<Mac>> = None,
        /// Its own MTU in bytes. Default: the lowest of its ports'.
        mtu: Option<Spanned<u32>> [68..=65_535] = None,
        /// Whether it is up at the start.
        up: bool = true,
        /// What its table is keyed on: `Namespace` (netsim's safe bridge) or `Mac` (exactly as Linux).
        fdb: Fdb = Fdb::Namespace,
        /// Time after which a silent station is forgotten; "0s" makes it a hub.
        ageing: Spanned<Duration> = Duration(300 * crate::base::SEC).into(),
        /// Whether it speaks the spanning tree protocol.
        stp: bool = false,
        /// Its priority in the election of the root; the lowest wins.
        priority: Spanned<u16> = 32_768.into(),
        /// Time spent in each of the listening and learning states, 2 s to 30 s.
        forward_delay: Spanned<Duration> [2_000_000_000..=30_000_000_000] = Duration(15 * crate::base::SEC).into(),
        /// Time between the messages of the root, 1 s to 10 s.
        hello_time: Spanned<Duration> [1_000_000_000..=10_000_000_000] = Duration(2 * crate::base::SEC).into(),
        /// How long a message of the root is believed, 6 s to 40 s.
        max_age: Spanned<Duration> [6_000_000_000..=40_000_000_000] = Duration(20 * crate::base::SEC).into(),
        /// Whether VLAN tags are looked at.
        vlan_filtering: bool = false,
        /// The VLAN every port is an untagged member of unless it says otherwise; 0 for none.
        default_pvid: Spanned<u16> [0..=4094] = 1.into(),
    }
}

choice! {
    /// What the forwarding table of a bridge is keyed on.
    pub enum Fdb is "a key of the forwarding table" {
        /// (namespace, MAC): stations that share a MAC address by mistake stay apart.
        Namespace,
        /// MAC alone, as Linux does: the entry of a shared address follows whoever spoke last.
        Mac,
    }
}

record! {
    /// A VLAN sub-interface (`ip link add link PARENT name NAME type vlan id ID`).
    pub struct Vlan is "a VLAN device" {
        /// The device below, of the same namespace.
        parent: Spanned<String>,
        /// The VLAN id, 1 to 4094.
        id: Spanned<u16> [1..=4094],
        /// Its addresses.
        addr: Vec<Spanned<IfAddr>> = Vec::new(),
        /// Its MAC address. Default: that of the device below.
        mac: Option<Spanned<Mac>> = None,
        /// Its MTU in bytes. Default: that of the device below.
        mtu: Option<Spanned<u32>> [68..=65_535] = None,
        /// Whether it is up at the start.
        up: bool = true,
    }
}

/// A port of a bridge: the name of a device, `"va"`, or a group with the port's settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Port(pub PortSettings);

record! {
    /// Settings of a bridge port (`bridge link set`, `bridge vlan add`).
    pub struct PortSettings is "a bridge port" {
        /// The device.
        dev: Spanned<String>,
        /// Reaches only ports that are not isolated, and the bridge itself.
        isolated: bool = false,
        /// Frames may leave by the port they came from.
        hairpin: bool = false,
        /// Source addresses are learned.
        learning: bool = true,
        /// Frames to unknown stations leave by it.
        flood: bool = true,
        /// Cost of the way to the root through it, for the spanning tree.
        cost: Spanned<u32> [1..=65_535] = 2.into(),
        /// Priority of the port, for the spanning tree; the lowest wins.
        priority: Spanned<u8> [0..=63] = 32.into(),
        /// The VLAN of frames that arrive without a tag; they leave without one. Default: the bridge's `default_pvid`.
        pvid: Option<Spanned<u16>> [1..=4094] = None,
        /// The VLANs whose frames carry a tag here.
        tagged: Vec<Spanned<u16>> = Vec::new(),
        /// Stations that are entered by hand and do not age.
        stations: Vec<Spanned<Mac>> = Vec::new(),
    }
}

impl Read for Port {
    fn expected() -> String {
        "the name of a device, or a port's settings `(dev: \"va\", ...)`".into()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Port> {
        match &node.shape {
            Shape::Text { .. } => Spanned::<String>::read(node, reader).map(Port::plain),
            Shape::Record(..) => PortSettings::read(node, reader).map(Port),
            _ => reader.wrong(node, &Self::expected()),
        }
    }

    fn write(&self) -> Node {
        if *self == Port::plain(self.0.dev.clone()) { self.0.dev.write() } else { self.0.write() }
    }
}

impl Port {
    /// A port with the kernel's defaults.
    pub fn plain(dev: Spanned<String>) -> Port {
        Port(PortSettings {
            dev,
            isolated: false,
            hairpin: false,
            learning: true,
            flood: true,
            cost: 2.into(),
            priority: 32.into(),
            pvid: None,
            tagged: Vec::new(),
            stations: Vec::new(),
        })
    }
}

impl Default for Bridge {
    /// What `ip link add type bridge` makes, but for [`Fdb::Namespace`].
    fn default() -> Bridge {
        let nothing = Node::unwritten(Shape::Tuple(None, Vec::new()));
        Bridge::read(&nothing, &mut Reader::default()).expect("every field of a bridge has a default")
    }
}

impl Plain {
    /// A device with these addresses and defaults otherwise.
    pub fn with_addresses(addr: Vec<Spanned<IfAddr>>) -> Plain {
        Plain { addr, mac: None, mtu: None, up: true, autoconf: false }
    }
}

impl Device {
    /// Its addresses.
    pub fn addresses(&self) -> &[Spanned<IfAddr>] {
        match self {
            Device::Plain(d) | Device::Dummy(d) => &d.addr,
            Device::Bridge(d) => &d.addr,
            Device::Vlan(d) => &d.addr,
        }
    }

    /// Whether it gets IPv6 addresses from router advertisements.
    pub fn is_autoconf(&self) -> bool {
        matches!(self, Device::Plain(d) | Device::Dummy(d) if d.autoconf)
    }

    /// The MAC address given to it.
    pub fn mac(&self) -> Option<Spanned<Mac>> {
        match self {
            Device::Plain(d) | Device::Dummy(d) => d.mac,
            Device::Bridge(d) => d.mac,
            Device::Vlan(d) => d.mac,
        }
    }

    /// The MTU given to it.
    pub fn mtu(&self) -> Option<Spanned<u32>> {
        match self {
            Device::Plain(d) | Device::Dummy(d) => d.mtu,
            Device::Bridge(d) => d.mtu,
            Device::Vlan(d) => d.mtu,
        }
    }

    /// Whether it is up at the start.
    pub fn is_up(&self) -> bool {
        match self {
            Device::Plain(d) | Device::Dummy(d) => d.up,
            Device::Bridge(d) => d.up,
            Device::Vlan(d) => d.up,
        }
    }

    /// The bridge, if it is one.
    pub fn as_bridge(&self) -> Option<&Bridge> {
        match self {
            Device::Bridge(bridge) => Some(bridge),
            _ => None,
        }
    }

    /// The networks that are on the link because of its addresses.
    pub fn on_link(&self) -> impl Iterator<Item = Prefix> {
        self.addresses().iter().map(|a| a.on_link())
    }
}
