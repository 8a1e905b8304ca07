//! Programs that run in a namespace: each a small state machine over the socket API, in virtual time.
//!
//! An app is one file and one line in [`crate::scenario`]'s builder. It prints what the real tool prints and keeps a
//! machine-readable [`Outcome`].

pub(crate) mod http;
mod outcome;
mod ping;
mod stream;
mod tcp;
mod traceroute;
mod udp;

pub use http::{HttpGet, HttpGetConfig, HttpServer, HttpServerConfig};
pub use outcome::{Hop, Outcome, Stream};
pub use ping::{Ping, PingConfig};
pub use tcp::{TcpClient, TcpClientConfig, TcpEnd, TcpPayload, TcpServer, TcpServerConfig, TcpServerMode};
pub use traceroute::{Traceroute, TracerouteConfig, TracerouteMethod};
pub use udp::{UdpSend, UdpSendConfig, UdpServer, UdpServerConfig};

use crate::{
    base::{AppId, NsId, SockId, Time},
    kernel::{Kernel, Work},
    trace::Event,
};

/// A program. Its methods are called by the event loop, never by each other; none may block.
///
/// Call order: [`App::start`] once, then any number of [`App::on_timer`] and [`App::on_socket`]. An app that called
/// [`Context::exit`] is not called again, and its sockets are closed.
pub trait App: Send {
    /// The command as a user would type it, for instance `ping -c 3 10.0.0.2`.
    fn command(&self) -> String;

    /// Begins.
    fn start(&mut self, cx: &mut Context<'_>);

    /// A timer set with [`Context::timer`] fired.
    fn on_timer(&mut self, token: u64, cx: &mut Context<'_>);

    /// A socket of this app has news: data, an error, a connection, or room to write.
    fn on_socket(&mut self, sock: SockId, cx: &mut Context<'_>);

    /// What came of it so far.
    fn outcome(&self) -> Outcome;
}

/// What an app can reach: its namespace's sockets, the clock, and its standard output.
pub struct Context<'a> {
    /// The world's state. Apps use the socket API in [`crate::sys`].
    pub kernel: &'a mut Kernel,
    /// The namespace the app runs in.
    pub ns: NsId,
    /// The app itself.
    pub app: AppId,
    pub(crate) output: &'a mut Vec<String>,
    pub(crate) exit: &'a mut Option<i32>,
}

impl Context<'_> {
    /// Virtual time.
    pub fn now(&self) -> Time {
        self.kernel.core.now
    }

    /// Asks for [`App::on_timer`] at `at`, with `token`. Timers cannot be taken back; ignore a stale token.
    pub fn timer(&mut self, at: Time, token: u64) {
        let lo = self.kernel.ns(self.ns).lo;
        self.kernel.core.schedule(at, lo, Work::App(self.app, token));
    }

    /// Prints a line on the app's standard output and in the trace.
    pub fn print(&mut self, line: impl Into<String>) {
        let line = line.into();
        self.kernel.core.emit(self.ns, None, None, Event::App { app: self.app, line: &line });
        self.output.push(line);
    }

    /// Ends the app with an exit status.
    pub fn exit(&mut self, status: i32) {
        *self.exit = Some(status);
    }
}
