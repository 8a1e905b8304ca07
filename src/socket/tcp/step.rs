//! Running one connection and spreading the news.

use super::{
    FrameMaker, OutSegment, Path, Tcp, TcpState, Transition,
    conn::{Around, Ran},
    timewait::TimeWait,
    tuple,
};
use crate::{
    base::{Time, proto},
    socket::{Entry, Socket, Sockets, demux::FlowKey, split},
    wire::tcp::Segment,
};

impl Sockets {
    /// Runs the connection in `slot`: feeds it `packet` if there is one, then does whatever is due at `now`. Segments,
    /// state changes and the next deadline are put into [`super::TcpOut`].
    pub(super) fn step(
        &mut self,
        slot: u32,
        now: Time,
        path: Option<Path>,
        packet: Option<(&[u8], Segment)>,
        maker: &mut dyn FrameMaker,
    ) {
        let (generation, index) = split(slot);
        let Sockets { entries, tcp, .. } = self;
        let Some(Entry { socket: Some(s), .. }) = entries.get_mut(index).filter(|e| e.generation == generation) else {
            return;
        };
        let Socket { tcp: Tcp::Conn(conn), local, peer: Some(remote), opts, ip_id, .. } = &mut **s else { return };
        let (local, remote) = (*local, *remote);
        let before = conn.state;
        let mut frames = std::mem::take(&mut tcp.spare);
        let mut around =
            Around { local, remote, opts, config: &tcp.config, held: tcp.held, ip_id, maker, frames: &mut frames };
        let ran = conn.run(&mut tcp.engine, now, path, packet, &mut around);
        conn.dirty = false;
        tcp.steps += 1;
        let tuple = tuple(local, remote);
        let segment = |frame| OutSegment { frame, tuple, oif: opts.device, mark: opts.mark, tos: opts.tos };
        tcp.out.segments.extend(frames.drain(..).map(segment));
        tcp.spare = frames;
        tcp.out.stats.out_resets += ran.reset as u64;
        tcp.out.stats.retransmitted += ran.repeated.0;
        tcp.out.stats.unsent += ran.repeated.0 - ran.repeated.1;
        if let Some(at) = ran.deadline.filter(|at| *at < conn.armed) {
            conn.armed = at;
            tcp.out.timers.push((s.id, at));
        }
        let after = s.tcp.state();
        if before != after {
            tcp.out.transitions.push(Transition { tuple, state: after });
        }
        self.after(slot, before, after, &ran, now);
    }

    /// Spreads what a run changed: to the listener, to the app, to the tables.
    fn after(&mut self, slot: u32, before: TcpState, after: TcpState, ran: &Ran, now: Time) {
        let Some(s) = self.get_mut(slot) else { return };
        let Some(conn) = s.tcp.conn() else { return };
        let (parent, orphan) = (conn.parent, conn.orphan);
        let handshake = matches!(before, TcpState::Listen | TcpState::SynReceived | TcpState::SynSent);
        if ran.error.is_some() {
            s.error = ran.error;
        }
        if ran.ended {
            let stats = &mut self.tcp.out.stats;
            match before {
                TcpState::SynSent => stats.attempt_fails += 1,
                // An embryo that nobody confirms just goes; a reset is noticed (tcp_check_req).
                _ if handshake => stats.attempt_fails += ran.withdrawn as u64,
                TcpState::Established | TcpState::CloseWait => stats.estab_resets += 1,
                _ => {}
            }
            self.unlink(slot);
        }
        match parent {
            Some(listener) if handshake && ran.ended => {
                self.miscarried(listener);
                return self.remove(slot);
            }
            Some(listener) if handshake && after > TcpState::SynReceived => self.hatched(listener, slot),
            _ => {}
        }
        if orphan && ran.ended {
            return self.remove(slot);
        }
        if orphan && after == TcpState::TimeWait {
            return self.become_time_wait(slot, now);
        }
        if ran.news {
            self.wake(slot);
        }
    }

    /// Takes a finished connection out of the flow table; a port that was not bound explicitly is free again
    /// (`tcp_done`).
    pub(super) fn unlink(&mut self, slot: u32) {
        let Some(s) = self.get(slot) else { return };
        let Some(peer) = s.peer else { return };
        let (key, port, locked) = (FlowKey::new(s.local, peer), s.local.port(), s.port_locked);
        if self.flows.get(&key) == Some(&slot) {
            self.flows.remove(&key);
        }
        if !locked {
            self.ports.remove(&(proto::TCP, port, slot));
        }
    }

    /// Replaces an orphan's state machine and buffers by the few numbers TIME-WAIT needs (`tcp_time_wait`).
    pub(super) fn become_time_wait(&mut self, slot: u32, now: Time) {
        let Some(s) = self.get_mut(slot) else { return };
        let Some(conn) = s.tcp.conn() else { return };
        let tw = TimeWait::new(conn.last, now);
        let (id, until, armed) = (s.id, tw.until, conn.armed);
        s.tcp = Tcp::TimeWait(tw);
        if until < armed {
            self.tcp.out.timers.push((id, until));
        }
    }
}
