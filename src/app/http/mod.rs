//! HTTP/1.1, as much of it as a lab needs (RFC 9112): a server that tells who asked, and a client.

mod client;
pub(crate) mod message;
mod server;

pub use client::{HttpGet, HttpGetConfig};
pub use server::{HttpServer, HttpServerConfig};

/// Bytes read in one call.
const CHUNK: usize = 4096;
