//! Reading and writing sysctls of a world, with their side effects.

use super::{
    Kernel,
    sysctl::{Conf, Confs, Key, Knob, SysctlError, parse_key, parse_value},
};
use crate::{
    base::{DevId, NsId},
    netfilter::Netfilter,
};

impl Kernel {
    /// Writes a sysctl, by the name `sysctl` takes.
    ///
    /// # Errors
    /// If there is no such key, no such device, or the value does not fit.
    ///
    /// ```
    /// use netsim::kernel::Kernel;
    /// let mut k = Kernel::new(1);
    /// let ns = k.add_namespace("r").unwrap();
    /// k.set_sysctl(ns, "net.ipv4.ip_forward", "1").unwrap();
    /// assert_eq!(k.sysctl(ns, "net.ipv4.conf.lo.forwarding").unwrap(), "1");
    /// assert!(k.set_sysctl(ns, "net.ipv4.ip_forwad", "1").unwrap_err().to_string().contains("ip_forward"));
    /// ```
    pub fn set_sysctl(&mut self, ns: NsId, key: &str, value: &str) -> Result<(), SysctlError> {
        match parse_key(key)? {
            Key::Namespace(knobs) => {
                let words: Vec<&str> = value.split_whitespace().collect();
                // `tcp_rmem` and `tcp_wmem` take three numbers, of which the default is the second.
                let words = if words.len() == 3 && knobs.len() == 1 { vec![words[1]] } else { words };
                if words.len() != knobs.len() {
                    return Err(SysctlError::Value(format!("{} number(s)", knobs.len())));
                }
                let mut values = Vec::new();
                for (k, w) in knobs.iter().zip(words) {
                    values.push((*k, parse_value(w, k.range())?));
                }
                for (k, v) in values {
                    self.ns_mut(ns).knobs.set(k, v);
                    if k == Knob::IpForward {
                        self.forwarding_changed(ns, v);
                    }
                    self.conntrack_tuned(ns);
                }
            }
            Key::Device(conf, dev) => {
                let v = parse_value(value, conf.range())?;
                match &*dev {
                    "all" => {
                        self.ns_mut(ns).conf_all.set(conf, v);
                        if conf == Conf::Forwarding {
                            self.forwarding_changed(ns, v);
                        } else if conf == Conf::Forwarding6 || conf == Conf::DisableIpv6 {
                            self.for_all_devices(ns, |c| c.set(conf, v));
                        }
                    }
                    "default" => self.ns_mut(ns).conf_default.set(conf, v),
                    name => {
                        let dev = self.find_dev(ns, name).ok_or_else(|| SysctlError::NoDevice(name.into()))?;
                        self.dev_mut(dev).conf.set(conf, v);
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a sysctl.
    ///
    /// # Errors
    /// If there is no such key or device.
    pub fn sysctl(&self, ns: NsId, key: &str) -> Result<String, SysctlError> {
        match parse_key(key)? {
            Key::Namespace(knobs) => {
                let values: Vec<String> = knobs.iter().map(|k| self.ns(ns).knobs.get(*k).to_string()).collect();
                Ok(values.join("\t"))
            }
            Key::Device(conf, dev) => {
                let n = self.ns(ns);
                let confs = match &*dev {
                    "all" => &n.conf_all,
                    "default" => &n.conf_default,
                    name => {
                        let dev = self.find_dev(ns, name).ok_or_else(|| SysctlError::NoDevice(name.into()))?;
                        &self.dev(dev).conf
                    }
                };
                Ok(confs.get(conf).to_string())
            }
        }
    }

    /// `ip_forward` is `conf.all.forwarding`, reaches every device, and switches off obedience to redirects
    /// (inet_forward_change).
    fn forwarding_changed(&mut self, ns: NsId, on: i32) {
        let n = self.ns_mut(ns);
        n.knobs.set(Knob::IpForward, on);
        n.conf_all.set(Conf::Forwarding, on);
        n.conf_all.set(Conf::AcceptRedirects, (on == 0) as i32);
        n.conf_default.set(Conf::Forwarding, on);
        self.for_all_devices(ns, |c| c.set(Conf::Forwarding, on));
    }

    fn for_all_devices(&mut self, ns: NsId, set: impl Fn(&mut Confs)) {
        for dev in self.ns(ns).devices.clone() {
            set(&mut self.dev_mut(dev).conf);
        }
    }

    /// The namespace's netfilter, made on first use.
    pub fn netfilter_mut(&mut self, ns: NsId) -> &mut Netfilter {
        if self.ns(ns).netfilter.is_none() {
            let nf = Netfilter::new(self.core.seed, self.ns_name(ns));
            self.ns_mut(ns).netfilter = Some(Box::new(nf));
            self.conntrack_tuned(ns);
        }
        self.ns_mut(ns).netfilter.as_mut().expect("made above")
    }

    /// The uplink went down: what was masqueraded to its address is forgotten (masq_device_event).
    pub(crate) fn masquerade_flush(&mut self, dev: DevId) {
        let (ns, now) = (self.dev(dev).ns, self.core.now);
        if let Some(nf) = self.ns_mut(ns).netfilter.as_mut() {
            nf.device_down(now, dev);
        }
    }
}
