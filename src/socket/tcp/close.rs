//! Ending connections from this side: shutdown, close, abort (`tcp_shutdown`, `__tcp_close`, `inet_csk_listen_stop`).

use super::{Tcp, TcpState, engine::TcpConn};
use crate::{
    base::{Errno, Time},
    socket::{SockKind, Sockets},
};

impl Sockets {
    /// Closes the sending half, the receiving half, or both.
    ///
    /// # Errors
    /// `ENOTCONN` for a socket that is not connected, `EBADF`.
    pub fn shutdown(&mut self, slot: u32, read: bool, write: bool) -> Result<(), Errno> {
        let s = self.open(slot)?;
        let connected = s.peer.is_some();
        let Tcp::Conn(conn) = &mut s.tcp else {
            return if connected && s.kind != SockKind::Tcp { Ok(()) } else { Err(Errno::ENOTCONN) };
        };
        if matches!(conn.state, TcpState::Closed | TcpState::SynSent) {
            return Err(Errno::ENOTCONN);
        }
        conn.read_shut |= read;
        if write {
            conn.engine.shutdown();
            self.mark_dirty(slot);
        }
        Ok(())
    }

    /// Closes a socket of any kind. A connection lives on as an orphan until the peer has everything; it is reset
    /// instead if data was not read (RFC 2525 §2.17) or `SO_LINGER` says so. Connections a listener holds are reset.
    pub fn close(&mut self, slot: u32, now: Time) {
        let Some(s) = self.get_mut(slot) else { return };
        s.owner = None;
        let linger_zero = s.opts.linger_zero;
        match &mut s.tcp {
            Tcp::Listen(_) => {
                for child in self.brood(slot) {
                    self.discard(child, now);
                }
                self.remove(slot);
            }
            Tcp::Conn(conn) => {
                conn.let_go(now);
                match conn.state {
                    TcpState::Closed => self.remove(slot),
                    TcpState::SynSent => self.vanish(slot),
                    TcpState::TimeWait => self.become_time_wait(slot, now),
                    _ if linger_zero || conn.engine.unread() > 0 => {
                        conn.engine.abort();
                        self.mark_dirty(slot);
                    }
                    _ => {
                        conn.engine.shutdown();
                        self.mark_dirty(slot);
                    }
                }
            }
            Tcp::TimeWait(_) => {}
            Tcp::Idle => self.remove(slot),
        }
    }

    /// Resets a connection at once and closes the socket.
    pub fn abort(&mut self, slot: u32, now: Time) {
        if let Some(s) = self.get_mut(slot) {
            s.opts.linger_zero = true;
            self.close(slot, now);
        }
    }

    /// A listener goes: an established connection it holds is reset, an embryo is forgotten.
    fn discard(&mut self, child: u32, now: Time) {
        let Some(conn) = self.get_mut(child).and_then(|s| s.tcp.conn_mut()) else { return };
        conn.parent = None;
        conn.let_go(now);
        if matches!(conn.state, TcpState::Listen | TcpState::SynReceived | TcpState::Closed) {
            self.vanish(child);
        } else {
            conn.engine.abort();
            self.mark_dirty(child);
        }
    }

    /// Removes a connection without telling the peer.
    fn vanish(&mut self, slot: u32) {
        self.unlink(slot);
        self.remove(slot);
    }
}
