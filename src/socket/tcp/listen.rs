//! Listeners: SYNs in, connections out.

use super::{
    MAX_EMBRYOS, Path, Tcp,
    conn::Conn,
    engine::{Setup, TcpState},
};
use crate::{
    base::{Errno, SockId, Time, proto},
    socket::{SockKind, Socket, Sockets, demux::FlowKey},
};
use std::{collections::VecDeque, net::SocketAddr};

/// The largest backlog (`net.core.somaxconn`).
const SOMAXCONN: usize = 4096;

/// A socket that waits for connections.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Established connections nobody accepted yet.
    queue: VecDeque<u32>,
    backlog: usize,
    embryos: usize,
}

impl Listener {
    /// Linux counts one more than the backlog says (`sk_acceptq_is_full`).
    fn is_full(&self) -> bool {
        self.queue.len() > self.backlog
    }

    /// Established connections waiting: the `rx_queue` column.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn backlog(&self) -> usize {
        self.backlog
    }
}

impl Sockets {
    /// Makes a TCP socket wait for connections; calling it again changes the backlog. An unbound socket gets an
    /// ephemeral port.
    ///
    /// # Errors
    /// `EINVAL` for a connected socket, `EADDRINUSE`, `EOPNOTSUPP` for a socket that is not TCP, `EBADF`.
    pub fn tcp_listen(&mut self, slot: u32, backlog: usize) -> Result<(), Errno> {
        let s = self.open(slot)?;
        if s.kind != SockKind::Tcp {
            return Err(Errno::EOPNOTSUPP);
        }
        let backlog = backlog.min(SOMAXCONN);
        match &mut s.tcp {
            Tcp::Listen(l) => {
                l.backlog = backlog;
                return Ok(());
            }
            Tcp::Idle => {}
            _ => return Err(Errno::EINVAL),
        }
        let local = s.local;
        if local.port() == 0 {
            self.bind(slot, local)?;
        } else if !self.port_free_to_listen(slot) {
            // Two sockets may have bound one port with SO_REUSEADDR; only one may listen.
            return Err(Errno::EADDRINUSE);
        }
        let s = self.open(slot)?;
        s.tcp = Tcp::Listen(Listener { queue: VecDeque::new(), backlog, embryos: 0 });
        let port = s.local.port();
        self.start_receiving(slot, port);
        Ok(())
    }

    fn port_free_to_listen(&self, slot: u32) -> bool {
        let Some(s) = self.get(slot) else { return false };
        let addr = s.local.ip();
        self.users(proto::TCP, s.local.port())
            .filter(|u| *u != slot)
            .filter_map(|u| self.get(u))
            .filter(|other| matches!(other.tcp, Tcp::Listen(_)))
            .all(|other| (s.opts.reuse_port && other.opts.reuse_port) || !self.same_receiver(s, addr, other))
    }

    /// Takes the oldest established connection. It inherits the listener's owner.
    ///
    /// # Errors
    /// `EAGAIN` when none waits, `EINVAL` for a socket that does not listen, `EBADF`.
    pub fn tcp_accept(&mut self, slot: u32) -> Result<SockId, Errno> {
        self.looked(slot);
        let s = self.open(slot)?;
        let owner = s.owner;
        let child = s.tcp.listener_mut().ok_or(Errno::EINVAL)?.queue.pop_front().ok_or(Errno::EAGAIN)?;
        let c = self.open(child).expect("connections in an accept queue stay until accepted");
        c.owner = owner;
        if let Some(conn) = c.tcp.conn_mut() {
            conn.parent = None;
        }
        Ok(c.id)
    }

    /// Whether a listener ignores a SYN now (`tcp_conn_request`).
    pub(super) fn refuses_syn(&self, listener: u32) -> bool {
        match self.get(listener).map(|s| &s.tcp) {
            Some(Tcp::Listen(l)) => l.is_full() || l.embryos >= MAX_EMBRYOS,
            _ => true,
        }
    }

    /// Whether the last ACK of an embryo's handshake is ignored because its listener's queue is full
    /// (`tcp_v4_syn_recv_sock`): the peer believes in the connection, this end repeats its SYN-ACK.
    pub(super) fn refuses_handshake(&self, embryo: u32) -> bool {
        let conn = self.get(embryo).and_then(|s| s.tcp.conn());
        let parent = conn.filter(|c| c.state == TcpState::SynReceived).and_then(|c| c.parent);
        let listener = parent.and_then(|p| self.get(p));
        matches!(listener.map(|s| &s.tcp), Some(Tcp::Listen(l)) if l.is_full())
    }

    /// Makes the connection a SYN asks for; the caller feeds it the SYN. `None` if no socket can be made.
    pub(super) fn embryo(
        &mut self,
        listener: u32,
        local: SocketAddr,
        remote: SocketAddr,
        path: Path,
        now: Time,
    ) -> Option<u32> {
        let (family, opts) = self.get(listener).map(|s| (s.family, s.opts.clone()))?;
        let slot = self.create(family, SockKind::Tcp, None).ok()?.slot;
        let config = self.tcp.config;
        let setup = Setup { local, remote, rcvbuf: config.rcvbuf, sndbuf: config.sndbuf, opts: &opts };
        let conn = Conn::passive(&mut self.tcp.engine, path, now, listener, &setup);
        self.take_port(slot, local);
        self.flows.insert(FlowKey::new(local, remote), slot);
        let s = self.get_mut(slot)?;
        s.peer = Some(remote);
        s.opts = opts;
        if matches!(remote.ip(), std::net::IpAddr::V6(a) if a.is_unicast_link_local()) {
            s.opts.device.get_or_insert(path.dev); // tcp_v6_syn_recv_sock: sk_bound_dev_if = ireq->ir_iif
        }
        (s.addr_locked, s.port_locked) = (true, true);
        s.tcp = Tcp::Conn(Box::new(conn));
        self.listener(listener)?.embryos += 1;
        Some(slot)
    }

    fn listener(&mut self, slot: u32) -> Option<&mut Listener> {
        self.get_mut(slot)?.tcp.listener_mut()
    }

    /// An embryo's handshake is complete: it may be accepted.
    pub(super) fn hatched(&mut self, listener: u32, child: u32) {
        if let Some(l) = self.listener(listener) {
            l.embryos -= 1;
            l.queue.push_back(child);
            self.tcp.out.stats.passive_opens += 1;
            self.wake(listener);
        }
    }

    /// An embryo is gone.
    pub(super) fn miscarried(&mut self, listener: u32) {
        if let Some(l) = self.listener(listener) {
            l.embryos -= 1;
        }
    }

    /// The connections a listener holds: those waiting to be accepted, and its embryos.
    pub(super) fn brood(&self, listener: u32) -> Vec<u32> {
        let Some(s) = self.get(listener) else { return Vec::new() };
        let of = |s: &Socket| s.tcp.conn().is_some_and(|c| c.parent == Some(listener));
        self.users(proto::TCP, s.local.port()).filter(|u| self.get(*u).is_some_and(of)).collect()
    }
}
