//! Bridges and their ports: joining, leaving, and changes by an administrator (`ip link set master`, `bridge link`).

use super::{ConfigError, Kernel};
use crate::{
    base::{DevId, Errno, Time},
    device::bridge::{Bridge, BridgeError, Change, PortConfig},
};

impl Kernel {
    /// Makes a device a port of a bridge.
    ///
    /// # Errors
    /// If `bridge` is none, the device is `lo`, a bridge or a port already.
    pub fn set_master(&mut self, port: DevId, bridge: DevId) -> Result<(), ConfigError> {
        self.add_port(port, bridge, |_| {})
    }

    /// Makes a device a port of a bridge, with settings of the port other than the kernel's defaults.
    ///
    /// # Errors
    /// As [`Kernel::set_master`].
    ///
    /// ```
    /// use netsim::{device::bridge::BridgeConfig, kernel::Kernel};
    /// let mut k = Kernel::new(1);
    /// let (sw, h) = (k.add_namespace("sw")?, k.add_namespace("h")?);
    /// let (p1, _) = k.add_veth((sw, "p1"), (h, "eth0"))?;
    /// let br0 = k.add_bridge(sw, "br0", BridgeConfig::default())?;
    /// k.add_port(p1, br0, |port| port.path_cost = 100)?;
    /// let view = k.dev(br0).bridge().and_then(|b| b.port_view(p1)).unwrap();
    /// assert_eq!(view.path_cost, 100);
    /// # Ok::<(), netsim::kernel::ConfigError>(())
    /// ```
    pub fn add_port(
        &mut self,
        port: DevId,
        bridge: DevId,
        adjust: impl FnOnce(&mut PortConfig),
    ) -> Result<(), ConfigError> {
        let p = self.dev(port);
        if p.is_loopback() || p.bridge().is_some() || p.ns != self.dev(bridge).ns {
            let message = format!("`{}` cannot be a port of `{}`", self.dev_name(port), self.dev_name(bridge));
            return Err(ConfigError::new(Errno::EINVAL, message));
        }
        if p.master.is_some() {
            return Err(ConfigError::new(
                Errno::EBUSY,
                format!("`{}` is a port of a bridge already", self.dev_name(port)),
            ));
        }
        let mut config = PortConfig { up: p.is_running(), mtu: p.mtu, ..PortConfig::new(port, p.mac) };
        adjust(&mut config);
        let (now, mtu) = (self.core.now, p.mtu);
        let d = self.dev_mut(bridge);
        let Some(b) = d.bridge_mut() else {
            return Err(ConfigError::new(Errno::EOPNOTSUPP, format!("`{}` is not a bridge", self.dev_name(bridge))));
        };
        let first = b.port_count() == 0;
        let mut changes = Vec::new();
        let index = b.add_port(now, config, &mut changes).map_err(bridge_error)?;
        d.mtu = if b.is_mtu_pinned() {
            d.mtu
        } else if first {
            mtu
        } else {
            d.mtu.min(mtu)
        };
        let p = self.dev_mut(port);
        (p.master, p.master_port) = (Some(bridge), index);
        self.bridge_changes(bridge, changes);
        Ok(())
    }

    /// Takes a port out of its bridge; nothing happens if it is none.
    pub fn clear_master(&mut self, port: DevId) {
        let Some(bridge) = self.dev_mut(port).master.take() else { return };
        self.change_bridge(bridge, |b, now, out| b.remove_port(now, port, out));
        self.follow_mtu(bridge);
    }

    /// Changes the settings, ports, VLANs or table of a bridge, and carries out what follows from it.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the device is no bridge, else what the change was refused for.
    pub fn administer_bridge(
        &mut self,
        bridge: DevId,
        change: impl FnOnce(&mut Bridge, Time, &mut Vec<Change>) -> Result<(), BridgeError>,
    ) -> Result<(), ConfigError> {
        let now = self.core.now;
        let Some(b) = self.dev_mut(bridge).bridge_mut() else {
            return Err(ConfigError::new(Errno::EOPNOTSUPP, format!("`{}` is not a bridge", self.dev_name(bridge))));
        };
        let mut changes = Vec::new();
        let result = change(b, now, &mut changes);
        self.bridge_changes(bridge, changes);
        result.map_err(bridge_error)
    }

    /// Changes a bridge in a way that it cannot refuse, because its ports are those of the kernel.
    pub(super) fn change_bridge(
        &mut self,
        bridge: DevId,
        change: impl FnOnce(&mut Bridge, Time, &mut Vec<Change>) -> Result<(), BridgeError>,
    ) {
        let now = self.core.now;
        let mut changes = Vec::new();
        if let Some(b) = self.dev_mut(bridge).bridge_mut() {
            change(b, now, &mut changes).expect("the port is one of this bridge");
        }
        self.bridge_changes(bridge, changes);
    }

    /// A bridge takes the smallest MTU of its ports.
    pub(super) fn follow_mtu(&mut self, bridge: DevId) {
        if let Some(mtu) = self.dev(bridge).bridge().and_then(Bridge::min_mtu) {
            self.dev_mut(bridge).mtu = mtu;
        }
    }
}

fn bridge_error(e: BridgeError) -> ConfigError {
    ConfigError::new(Errno::EINVAL, e.to_string())
}
