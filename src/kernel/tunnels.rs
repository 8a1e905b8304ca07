//! Making tunnel devices (`ip link add type gre|ipip|vxlan`).

use super::{ConfigError, DEFAULT_MTU, DeviceKind, Kernel};
use crate::{
    base::{DevId, Errno, Mac, NsId},
    device::tunnel::{Tunnel, Vxlan},
};

/// Most tunnels and VXLANs of a namespace.
pub const MAX_TUNNELS: u16 = 1024;

impl Kernel {
    /// Makes a point-to-point tunnel. Its MTU is what the device it is bound to, or an Ethernet, leaves room for.
    ///
    /// # Errors
    /// If the name is not valid or taken, or there is a tunnel of the same kind between the same ends.
    ///
    /// ```
    /// use netsim::{device::tunnel::{Tunnel, TunnelMode}, kernel::Kernel};
    /// let mut k = Kernel::new(1);
    /// let a = k.add_namespace("a")?;
    /// let tunnel = Tunnel::new(TunnelMode::Ipip, "10.0.0.1".parse()?, "10.0.1.2".parse()?);
    /// let t0 = k.add_tunnel(a, "t0", tunnel)?;
    /// assert_eq!(k.dev(t0).mtu, 1480);
    /// assert!(k.add_tunnel(a, "t1", tunnel).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_tunnel(&mut self, ns: NsId, name: &str, tunnel: Tunnel) -> Result<DevId, ConfigError> {
        self.check_tunnels(ns)?;
        let same = |t: &Tunnel| t.mode == tunnel.mode && t.local == tunnel.local && t.remote == tunnel.remote;
        if self.ns(ns).devices.iter().any(|d| matches!(&self.dev(*d).kind, DeviceKind::Tunnel(t) if same(t))) {
            return Err(Errno::EEXIST.into());
        }
        let below = tunnel.link.map_or(DEFAULT_MTU, |d| self.dev(d).mtu);
        let mtu = below.saturating_sub(tunnel.overhead() as u32).max(68);
        let dev = self.new_device(ns, name, Mac::ZERO, mtu, DeviceKind::Tunnel(Box::new(tunnel)))?;
        self.dev_mut(dev).arp = false;
        self.ns_mut(ns).tunnels += 1;
        Ok(dev)
    }

    /// Makes an end of a VXLAN. Its MTU is that of the device it is bound to less what is added, else that of an Ethernet.
    ///
    /// # Errors
    /// If the name is not valid or taken, or the namespace has an end of this network at this port.
    pub fn add_vxlan(&mut self, ns: NsId, name: &str, vxlan: Vxlan) -> Result<DevId, ConfigError> {
        self.check_tunnels(ns)?;
        let same = |v: &Vxlan| v.vni == vxlan.vni && v.port == vxlan.port;
        if self.ns(ns).devices.iter().any(|d| matches!(&self.dev(*d).kind, DeviceKind::Vxlan(v) if same(v))) {
            return Err(ConfigError::new(Errno::EEXIST, "A VXLAN device with the specified VNI already exists."));
        }
        let mac = Mac::derived(self.ns_name(ns), name);
        let mtu = vxlan.link.map_or(DEFAULT_MTU, |d| self.dev(d).mtu.saturating_sub(Vxlan::OVERHEAD as u32).max(68));
        let dev = self.new_device(ns, name, mac, mtu, DeviceKind::Vxlan(Box::new(vxlan)))?;
        self.ns_mut(ns).tunnels += 1;
        Ok(dev)
    }

    /// Each packet for a namespace may be for any of its tunnels, so there must not be too many.
    fn check_tunnels(&self, ns: NsId) -> Result<(), ConfigError> {
        match self.ns(ns).tunnels < MAX_TUNNELS {
            true => Ok(()),
            false => Err(ConfigError::new(Errno::ENOBUFS, format!("a namespace holds at most {MAX_TUNNELS} tunnels"))),
        }
    }
}
