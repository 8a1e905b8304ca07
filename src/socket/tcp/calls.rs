//! What apps call: connect, send, receive; and what the loop calls: timers and the dirty list.

use super::{
    FrameMaker, Path, Tcp, TcpOut, TcpState, Transition,
    conn::Conn,
    engine::{Setup, TcpConn},
    tuple,
};
use crate::{
    base::{Errno, Time},
    socket::{Readiness, SockKind, Sockets, bind::fit, demux::FlowKey},
};
use std::net::{IpAddr, SocketAddr};

impl Sockets {
    /// Starts connecting to `peer` from the source address the route chose, and sends the SYN. Success means that the
    /// attempt is under way (`EINPROGRESS` of a non-blocking `connect`).
    ///
    /// # Errors
    /// `EISCONN`, `EALREADY`; the reason a previous attempt failed, once; `EADDRNOTAVAIL` when no port is left or the
    /// four numbers are in use; `ECONNREFUSED` for port 0; `EOPNOTSUPP`, `EAFNOSUPPORT`, `EBADF`.
    pub fn tcp_connect(
        &mut self,
        slot: u32,
        now: Time,
        src: IpAddr,
        peer: SocketAddr,
        path: Path,
        maker: &mut dyn FrameMaker,
    ) -> Result<(), Errno> {
        self.looked(slot);
        self.may_connect(slot)?;
        let s = self.open(slot)?;
        let peer = fit(s, peer)?;
        if !s.port_locked {
            s.local.set_port(0);
        }
        let (port, locked, opts) = (s.local.port(), s.port_locked, s.opts.clone());
        if peer.port() == 0 || peer.ip().is_unspecified() {
            return Err(Errno::ECONNREFUSED);
        }
        let port = if port == 0 { self.pick_connect_port(src, peer)? } else { port };
        let local = SocketAddr::new(src, port);
        if let Some(other) = self.flow(local, peer) {
            // A socket bound to the port may follow a connection in TIME-WAIT whose timestamps tell old segments
            // from new ones (`tcp_twsk_unique` for an explicit port).
            match self.get(other).map(|s| &s.tcp) {
                Some(Tcp::TimeWait(_)) if locked => self.forget_time_wait(other),
                _ => return Err(Errno::EADDRNOTAVAIL),
            }
        }
        let isn_seed = self.rng.next_u64();
        let config = self.tcp.config;
        let setup = Setup { local, remote: peer, rcvbuf: config.rcvbuf, sndbuf: config.sndbuf, opts: &opts };
        let conn = Conn::active(&mut self.tcp.engine, path, now, isn_seed, &setup);
        self.take_port(slot, local);
        self.flows.insert(FlowKey::new(local, peer), slot);
        let s = self.open(slot)?;
        s.peer = Some(peer);
        s.tcp = Tcp::Conn(Box::new(conn));
        self.tcp.out.stats.active_opens += 1;
        self.tcp.out.transitions.push(Transition { tuple: tuple(local, peer), state: TcpState::SynSent });
        self.step(slot, now, Some(path), None, maker);
        Ok(())
    }

    /// Whether a TCP socket may start to connect; reports why the last attempt failed, once.
    ///
    /// # Errors
    /// `EISCONN`, `EALREADY`, `EOPNOTSUPP`, `EBADF`, and the pending error of a failed attempt.
    pub(crate) fn may_connect(&mut self, slot: u32) -> Result<(), Errno> {
        let s = self.open(slot)?;
        if s.kind != SockKind::Tcp {
            return Err(Errno::EOPNOTSUPP);
        }
        match &s.tcp {
            Tcp::Idle => {}
            Tcp::Conn(c) if c.state == TcpState::Closed => {
                if let Some(e) = s.take_error() {
                    return Err(e);
                }
                s.tcp = Tcp::Idle;
            }
            Tcp::Conn(c) if c.state == TcpState::SynSent => return Err(Errno::EALREADY),
            _ => return Err(Errno::EISCONN),
        }
        Ok(())
    }

    /// Appends to the send buffer; returns how many bytes found room, at least one. The connection runs before the next
    /// event.
    ///
    /// # Errors
    /// The pending error first; `EAGAIN` while connecting or when the buffer is full; `EPIPE` when this end is closed
    /// or was never connected; `EBADF`.
    pub fn tcp_send(&mut self, slot: u32, data: &[u8]) -> Result<usize, Errno> {
        self.looked(slot);
        let s = self.open(slot)?;
        if let Some(e) = s.take_error() {
            return Err(e);
        }
        let conn = s.tcp.conn_mut().ok_or(Errno::EPIPE)?;
        match conn.state {
            TcpState::SynSent | TcpState::SynReceived => {
                conn.want_write = true;
                return Err(Errno::EAGAIN);
            }
            TcpState::Established | TcpState::CloseWait => {}
            _ => return Err(Errno::EPIPE),
        }
        let n = conn.engine.send(data);
        conn.want_write = n < data.len();
        if n == 0 && !data.is_empty() {
            return Err(Errno::EAGAIN);
        }
        self.mark_dirty(slot);
        Ok(n)
    }

    /// Takes from the receive buffer; 0 is the end of the stream.
    ///
    /// # Errors
    /// Data comes before errors: then the pending error, `EAGAIN` when nothing has arrived, `ENOTCONN` for a socket
    /// that was never connected, `EBADF`.
    pub fn tcp_recv(&mut self, slot: u32, buf: &mut [u8]) -> Result<usize, Errno> {
        self.looked(slot);
        let s = self.open(slot)?;
        let Tcp::Conn(conn) = &mut s.tcp else { return Err(Errno::ENOTCONN) };
        if conn.engine.unread() > 0 {
            let n = conn.engine.recv(buf);
            if conn.state != TcpState::Closed {
                self.mark_dirty(slot); // the window may have to be announced
            }
            return Ok(n);
        }
        let (state, shut) = (conn.state, conn.read_shut);
        if let Some(e) = s.take_error() {
            return Err(e);
        }
        match state {
            _ if shut => Ok(0),
            TcpState::Established | TcpState::FinWait1 | TcpState::FinWait2 => Err(Errno::EAGAIN),
            TcpState::SynSent | TcpState::SynReceived | TcpState::Listen => Err(Errno::EAGAIN),
            _ => Ok(0),
        }
    }

    /// What a socket of any kind is ready for (`tcp_poll`, `datagram_poll`).
    pub fn readiness(&self, slot: u32) -> Readiness {
        let Some(s) = self.get(slot) else { return Readiness { error: true, hangup: true, ..Readiness::default() } };
        let error = s.error.is_some() || s.inbox.has_error();
        match &s.tcp {
            Tcp::Listen(l) => Readiness { readable: l.waiting() > 0, error, ..Readiness::default() },
            Tcp::Conn(c) => {
                let received_fin = matches!(
                    c.state,
                    TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait | TcpState::Closed
                );
                let open = matches!(c.state, TcpState::Established | TcpState::CloseWait);
                Readiness {
                    readable: c.unread() > 0 || received_fin || c.read_shut || error,
                    writable: open && c.engine.room() >= c.engine.unacked() / 2 || c.state == TcpState::Closed,
                    error,
                    hangup: matches!(c.state, TcpState::Closed | TcpState::TimeWait),
                }
            }
            Tcp::TimeWait(_) => Readiness { readable: true, hangup: true, ..Readiness::default() },
            Tcp::Idle if s.kind == SockKind::Tcp => Readiness { readable: true, writable: true, error, hangup: true },
            Tcp::Idle => Readiness { readable: s.inbox.has_data() || error, writable: true, error, hangup: false },
        }
    }

    /// Whether a connection attempt has succeeded: the state of a TCP socket.
    pub fn tcp_state(&self, slot: u32) -> Option<TcpState> {
        self.get(slot).filter(|s| s.kind == SockKind::Tcp).map(|s| s.tcp.state())
    }

    /// Puts a connection on the list of those to run before the next event.
    pub(crate) fn mark_dirty(&mut self, slot: u32) {
        if let Some(conn) = self.get_mut(slot).and_then(|s| s.tcp.conn_mut())
            && !conn.dirty
        {
            conn.dirty = true;
            self.tcp.dirty.push_back(slot);
        }
    }

    /// Whether connections wait to be run.
    pub fn has_dirty(&self) -> bool {
        !self.tcp.dirty.is_empty()
    }

    /// Takes one connection off the list.
    pub fn next_dirty(&mut self) -> Option<u32> {
        self.tcp.dirty.pop_front()
    }

    /// Runs a connection because its app did something or its path changed.
    pub fn tcp_run(&mut self, slot: u32, now: Time, path: Option<Path>, maker: &mut dyn FrameMaker) {
        self.step(slot, now, path, None, maker);
    }

    /// The wheel called. Calls of deadlines that were overtaken by an earlier one are recognised and ignored; `true` if
    /// the connection has to be run.
    pub fn tcp_timer(&mut self, slot: u32, now: Time) -> bool {
        let Some(s) = self.get_mut(slot) else { return false };
        let id = s.id;
        match &mut s.tcp {
            Tcp::Conn(c) if c.armed <= now => {
                c.armed = Time::MAX;
                true
            }
            Tcp::TimeWait(tw) if tw.until <= now => {
                self.forget_time_wait(slot);
                false
            }
            Tcp::TimeWait(tw) => {
                let until = tw.until;
                self.tcp.out.timers.push((id, until));
                false
            }
            _ => false,
        }
    }

    /// Takes what connections produced since the last call; give the emptied lists back with
    /// [`Sockets::return_tcp_out`] to avoid allocations.
    pub fn take_tcp_out(&mut self) -> TcpOut {
        std::mem::take(&mut self.tcp.out)
    }

    /// Gives the lists back.
    pub fn return_tcp_out(&mut self, mut out: TcpOut) {
        out.segments.clear();
        out.transitions.clear();
        out.timers.clear();
        out.stats = Default::default();
        if self.tcp.out.segments.is_empty() && self.tcp.out.timers.is_empty() && self.tcp.out.transitions.is_empty() {
            out.stats = self.tcp.out.stats;
            self.tcp.out = out;
        }
    }
}
