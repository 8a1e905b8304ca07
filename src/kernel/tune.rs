//! Reading and writing sysctls of a world, with their side effects.

use super::{
    Kernel,
    sysctl::{Conf, Confs, Key, Knob, SysctlError, parse_key, parse_value},
};
use crate::{
    base::NsId,
    netfilter::{HookOut, Netfilter, Tunables},
    trace::Event,
};

/// What a full packet counts against `unres_qlen_bytes` when it is set in packets: `SKB_TRUESIZE(ETH_FRAME_LEN)`.
const QUEUED_PACKET: i64 = 1514 + 256 + 320;

/// The key of `unres_qlen_bytes`, for that of `unres_qlen`.
fn queue_bytes_key(key: &str) -> Option<String> {
    let key = key.replace('/', ".");
    let neighbour = key.starts_with("net.ipv4.neigh.") || key.starts_with("net.ipv6.neigh.");
    (neighbour && key.ends_with(".unres_qlen")).then(|| key + "_bytes")
}

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
        self.config_changed();
        if let Some(bytes) = queue_bytes_key(key) {
            // The older name of the same setting, in full packets (proc_unres_qlen).
            let packets = parse_value(value, (0, (i64::from(i32::MAX) / QUEUED_PACKET) as i32))?;
            return self.set_sysctl(ns, &bytes, &(i64::from(packets) * QUEUED_PACKET).to_string());
        }
        match parse_key(key)? {
            Key::Conntrack(name) => {
                let v = parse_value(value, (0, i32::MAX))?;
                let known = self.netfilter_mut(ns).tunables_mut().set(name, v as u32);
                debug_assert!(known, "parse_key knows the names");
            }
            Key::Namespace(knobs) => {
                let words: Vec<&str> = value.split_whitespace().collect();
                // `tcp_rmem` and `tcp_wmem` take three numbers, of which the default is the second.
                let words = if words.len() == 3 && knobs.len() == 1 { vec![words[1]] } else { words };
                if words.len() != knobs.len() {
                    return Err(SysctlError::Value(format!("{} number(s)", knobs.len())));
                }
                let mut values = Vec::new();
                for (k, w) in knobs.iter().zip(words) {
                    let v = parse_value(w, k.range())?;
                    self.check_thresholds(ns, *k, v)?;
                    values.push((*k, v));
                }
                for (k, v) in values {
                    self.ns_mut(ns).knobs.set(k, v);
                    if k == Knob::IpForward {
                        self.forwarding_changed(ns, v);
                    }
                }
            }
            Key::Device(conf, dev) => {
                let v = parse_value(value, conf.range())?;
                self.ns_mut(ns).some_ignore_linkdown |= conf == Conf::IgnoreRoutesWithLinkdown;
                match &*dev {
                    "all" => {
                        self.ns_mut(ns).conf_all.set(conf, v);
                        if conf == Conf::Forwarding {
                            self.forwarding_changed(ns, v);
                        } else if conf == Conf::Forwarding6 || conf == Conf::DisableIpv6 {
                            self.ns_mut(ns).conf_default.set(conf, v);
                            self.for_all_devices(ns, |c| c.set(conf, v));
                        }
                    }
                    "default" => self.ns_mut(ns).conf_default.set(conf, v),
                    name => {
                        let dev = self.find_dev(ns, name).ok_or_else(|| SysctlError::NoDevice(name.into()))?;
                        self.dev_mut(dev).conf.set(conf, v);
                    }
                }
                self.ipv6_setting_changed(ns, conf);
            }
        }
        Ok(())
    }

    /// The thresholds of reassembly stand in order (ip4_frags_ns_ctl_table).
    fn check_thresholds(&self, ns: NsId, knob: Knob, value: i32) -> Result<(), SysctlError> {
        let knobs = &self.ns(ns).knobs;
        let fits = match knob {
            Knob::IpfragHighThresh => value >= knobs.get(Knob::IpfragLowThresh),
            Knob::IpfragLowThresh => value <= knobs.get(Knob::IpfragHighThresh),
            _ => true,
        };
        if fits { Ok(()) } else { Err(SysctlError::Value("low at most high".into())) }
    }

    /// Reads a sysctl.
    ///
    /// # Errors
    /// If there is no such key or device.
    pub fn sysctl(&self, ns: NsId, key: &str) -> Result<String, SysctlError> {
        if let Some(bytes) = queue_bytes_key(key) {
            let bytes: i64 = self.sysctl(ns, &bytes)?.parse().unwrap_or(0);
            return Ok((bytes / QUEUED_PACKET).to_string());
        }
        match parse_key(key)? {
            Key::Conntrack(name) => {
                let value = match &self.ns(ns).netfilter {
                    Some(nf) => nf.tunables().get(name),
                    None => Tunables::default().get(name),
                };
                Ok(value.expect("parse_key knows the names").to_string())
            }
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
        let (seed, name) = (self.core.seed, self.core.tracer.names.ns(ns));
        self.nss[ns.index()].netfilter.get_or_insert_with(|| Box::new(Netfilter::new(seed, name)))
    }

    /// Forgets every tracked connection (`conntrack -F`).
    pub fn flush_conntrack(&mut self, ns: NsId) {
        self.change_netfilter(ns, |nf, out| nf.flush(out));
    }

    /// Changes conntrack entries from outside, and tells the trace which ones went.
    pub(crate) fn change_netfilter(&mut self, ns: NsId, change: impl FnOnce(&mut Netfilter, &mut HookOut) -> usize) {
        let mut out = std::mem::take(&mut self.scratch.hook);
        out.changes.clear();
        if let Some(nf) = self.ns_mut(ns).netfilter.as_mut() {
            change(nf, &mut out);
        }
        for c in &out.changes {
            let event = Event::Conntrack { change: c.change, original: c.original, reply: c.reply };
            self.core.emit(ns, None, None, event);
        }
        self.scratch.hook = out;
    }
}
