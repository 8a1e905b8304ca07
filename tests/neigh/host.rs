//! The driver of these tests: a host that carries out what its neighbour table asks for.

use netsim::{
    base::{DevId, Errno, MS, Mac, NsId, Rng, Time},
    neigh::{Action, Heard, Learned, NeighParams, NeighTable, SetEntry, SetMode},
    trace::{DropReason, FrameId, NeighState},
    wire::{Frame, Pool},
};
use std::net::IpAddr;

pub const DEV: DevId = DevId(1);
const US: [u8; 4] = [10, 0, 0, 1];

pub const REPLY: Learned = Learned::Arp { reply_to_us: true, gratuitous: false };
pub const BROADCAST: Learned = Learned::Arp { reply_to_us: false, gratuitous: false };
pub const GARP: Learned = Learned::Arp { reply_to_us: false, gratuitous: true };

/// One host: carries out the actions, writes down what would be seen, and keeps the ledger.
pub struct Host {
    pub table: NeighTable,
    pub params: NeighParams,
    pub rng: Rng,
    pub pool: Pool,
    pub now: Time,
    pub timers: Vec<(Time, DevId, IpAddr)>,
    pub seq: u32,
    pub log: Vec<String>,
}

pub fn addr(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

pub fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

impl Host {
    pub fn new() -> Host {
        Host {
            table: NeighTable::default(),
            params: NeighParams::default(),
            rng: Rng::keyed(7, &["h1"]),
            pool: Pool::default(),
            now: 0,
            timers: Vec::new(),
            seq: 0,
            log: Vec::new(),
        }
    }

    pub fn frame(&mut self, len: usize) -> Frame {
        self.seq += 1;
        let mut frame = self.pool.alloc(FrameId { ns: NsId(0), seq: self.seq }, len);
        frame.data_mut()[0] = 0x45;
        frame.data_mut()[12..16].copy_from_slice(&US);
        frame
    }

    /// Sends a packet of 84 bytes.
    pub fn send(&mut self, to: u8) {
        self.send_len(to, 84);
    }

    pub fn send_len(&mut self, to: u8, len: usize) {
        let frame = self.frame(len);
        let mut out = Vec::new();
        match self.table.resolve(self.now, DEV, addr(to)) {
            Some((mac, owner)) => out.push(Action::Transmit { dev: DEV, frame, mac, owner }),
            None => self.table.output(self.now, DEV, addr(to), frame, &self.params, &mut out),
        }
        self.carry_out(out);
    }

    pub fn hear(&mut self, from: u8, at: u8, how: Learned) {
        self.hear_mac(from, Some(mac(at)), Some(NsId(at as u32)), how);
    }

    pub fn hear_mac(&mut self, from: u8, mac: Option<Mac>, owner: Option<NsId>, how: Learned) {
        let heard = Heard { dev: DEV, addr: addr(from), mac, owner, how, create: how == Learned::Request };
        let mut out = Vec::new();
        self.table.learn(self.now, &heard, &self.params, &mut self.rng, &mut out);
        self.carry_out(out);
    }

    pub fn set(&mut self, to: u8, at: Option<Mac>, state: NeighState, mode: SetMode) -> Result<(), Errno> {
        let entry = SetEntry { dev: DEV, addr: addr(to), mac: at, state };
        let mut out = Vec::new();
        let result = self.table.set(self.now, &entry, mode, &self.params, &mut self.rng, &mut out);
        self.carry_out(out);
        result
    }

    /// Lets time pass; timers fire in order.
    pub fn pass(&mut self, span: Time) {
        let end = self.now + span;
        for _ in 0..10_000 {
            let next = self.timers.iter().enumerate().min_by_key(|(_, t)| **t).filter(|(_, t)| t.0 <= end);
            let Some((i, (at, dev, to))) = next.map(|(i, t)| (i, *t)) else {
                self.now = end;
                return;
            };
            self.timers.swap_remove(i);
            self.now = self.now.max(at);
            let mut out = Vec::new();
            self.table.on_timer(self.now, dev, to, &self.params, &mut self.rng, &mut out);
            self.carry_out(out);
        }
        panic!("timers do not end");
    }

    pub fn carry_out(&mut self, actions: Vec<Action>) {
        let at = format!("{}ms", self.now / MS);
        for action in actions {
            let line = match action {
                Action::Solicit { target, unicast, owner, source, .. } => {
                    let to = unicast.map_or("all".into(), |m| format!("{m} ({owner:?})"));
                    let tell = source.map_or("-".into(), |s| s.to_string());
                    format!("{at} ask {to} for {target} tell {tell}")
                }
                Action::Transmit { frame, mac, owner, .. } => {
                    self.pool.ledger.deliver();
                    let line = format!("{at} send #{} to {mac} ({owner:?})", frame.id().seq);
                    self.pool.recycle(frame);
                    line
                }
                Action::Unreachable { addr, frame, .. } => {
                    self.pool.ledger.discard(DropReason::NeighFailed);
                    format!("{at} unreachable {addr} #{}", frame.id().seq)
                }
                Action::Drop { frame, reason } => {
                    self.pool.ledger.discard(reason);
                    format!("{at} drop #{} {reason}", frame.id().seq)
                }
                Action::Changed { addr, from, to, .. } => format!("{at} {addr} {} -> {}", from.name(), to.name()),
                Action::Timer { dev, addr, at } => {
                    assert!(at >= self.now, "a timer in the past");
                    self.timers.push((at, dev, addr));
                    continue;
                }
                Action::ProxyTimer { .. } => continue,
            };
            self.log.push(line);
        }
    }

    pub fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    pub fn state(&self, of: u8) -> NeighState {
        self.table.state(self.now, DEV, addr(of))
    }

    pub fn mac_of(&self, of: u8) -> Option<Mac> {
        self.table.get(self.now, DEV, addr(of)).and_then(|info| info.mac)
    }

    /// A host that has resolved `.2` at `mac(2)` just now.
    pub fn reachable() -> Host {
        let mut host = Host::new();
        host.send(2);
        host.hear(2, 2, REPLY);
        assert_eq!(host.state(2), NeighState::Reachable);
        host.log();
        host
    }
}
