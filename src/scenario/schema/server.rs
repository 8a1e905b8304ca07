//! Servers of a namespace.

use crate::scenario::{
    Spanned,
    read::{choice, record},
};
use std::net::IpAddr;

choice! {
    /// A program that waits for clients, from the start of the run.
    pub enum Server is "a server" {
        /// Answers every GET of `/` with one page.
        Http(Http),
        /// Sends every datagram back.
        UdpEcho(Listen),
        /// Counts datagrams and answers none.
        UdpSink(Listen),
        /// Sends every byte of a connection back.
        TcpEcho(Listen),
        /// Reads every connection to its end and answers nothing.
        TcpSink(Listen),
    }
}

record! {
    /// Where a server listens.
    pub struct Listen is "a server's address" {
        /// The port, 1 to 65535.
        port: Spanned<u16> [1..=65_535],
        /// The address it is bound to. Default: any.
        bind: Option<Spanned<IpAddr>> = None,
    }
}

record! {
    /// An HTTP/1.1 server.
    pub struct Http is "an HTTP server" {
        /// The port, 1 to 65535.
        port: Spanned<u16> [1..=65_535] = 80.into(),
        /// The address it is bound to. Default: any.
        bind: Option<Spanned<IpAddr>> = None,
        /// The first line of the page; the second says who is asking, as the server sees it. Default: a line that names
        /// the namespace.
        body: Option<Spanned<String>> = None,
    }
}

impl Server {
    /// The port and the address it is bound to.
    pub fn listens(&self) -> (Spanned<u16>, Option<Spanned<IpAddr>>) {
        match self {
            Server::Http(s) => (s.port, s.bind),
            Server::UdpEcho(s) | Server::UdpSink(s) | Server::TcpEcho(s) | Server::TcpSink(s) => (s.port, s.bind),
        }
    }

    /// Whether it speaks UDP; the others speak TCP.
    pub fn is_udp(&self) -> bool {
        matches!(self, Server::UdpEcho(_) | Server::UdpSink(_))
    }
}
