//! TCP: servers that answer, swallow or refuse, and a client that connects, talks or transfers in bulk.

mod client;
mod server;

pub use client::{TcpClient, TcpClientConfig, TcpEnd, TcpPayload};
pub use server::{TcpServer, TcpServerConfig, TcpServerMode};

/// Bytes read or written in one call.
const CHUNK: usize = 16_384;
