//! Requests and responses as bytes.

use std::net::SocketAddr;

/// Most bytes of a request or of the header of a response.
pub(crate) const MAX_HEADER: usize = 8192;

/// A request line and whether the header is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// More bytes are needed.
    Partial,
    /// A whole request.
    Whole {
        /// Its method.
        method: String,
        /// Its target.
        target: String,
    },
    /// Not a request.
    Malformed,
    /// The header is larger than [`MAX_HEADER`].
    TooLarge,
}

/// Reads a request from what has arrived.
pub(crate) fn request(bytes: &[u8]) -> Request {
    if end_of_header(bytes).is_none() {
        return if bytes.len() > MAX_HEADER { Request::TooLarge } else { Request::Partial };
    }
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let Ok(line) = std::str::from_utf8(line) else { return Request::Malformed };
    let words: Vec<&str> = line.trim_end_matches('\r').split(' ').collect();
    match words[..] {
        [method, target, version]
            if version.starts_with("HTTP/1.") && target.starts_with('/') && !method.is_empty() =>
        {
            Request::Whole { method: method.into(), target: target.into() }
        }
        _ => Request::Malformed,
    }
}

/// The request of our client.
pub(crate) fn get(path: &str, host: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: netsim\r\nAccept: */*\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// The body of our server's answer and its status.
pub(crate) fn answer(text: &str, peer: SocketAddr, method: &str, target: &str) -> (u16, String) {
    let status = if method != "GET" {
        405
    } else if target == "/" {
        200
    } else {
        404
    };
    match status {
        200 => (200, format!("{text}\nYou are {peer}.\n")),
        _ => (status, format!("{status}\n")),
    }
}

/// A response with a body of plain text; the connection ends with it.
pub(crate) fn response(status: u16, body: &str) -> Vec<u8> {
    let allow = if status == 405 { "Allow: GET\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} {}\r\nServer: netsim\r\nContent-Type: text/plain; charset=utf-8\r\n{allow}Content-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        reason(status),
        body.len(),
    )
    .into_bytes()
}

/// The reason phrase of a status code.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Unknown",
    }
}

/// Where the body begins, once the header is complete.
pub(crate) fn end_of_header(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

/// Status line, status code and announced length of a response's header.
pub(crate) fn status(header: &[u8]) -> Option<(String, u16, Option<u64>)> {
    let text = std::str::from_utf8(header).ok()?;
    let mut lines = text.split("\r\n");
    let line = lines.next()?;
    let code = line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = lines
        .filter_map(|l| l.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    Some((line.into(), code, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let get = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n";
        assert_eq!(request(get), Request::Whole { method: "GET".into(), target: "/".into() });
        assert_eq!(request(&get[..get.len() - 1]), Request::Partial);
        assert_eq!(request(b"\r\n\r\n"), Request::Malformed);
        assert_eq!(request(b"GET / FTP/1.1\r\n\r\n"), Request::Malformed);
        assert_eq!(request(b"\xff / HTTP/1.1\r\n\r\n"), Request::Malformed);
        assert_eq!(request(&[b'a'; MAX_HEADER + 1]), Request::TooLarge);
    }

    #[test]
    fn responses_are_read_as_they_are_written() {
        let bytes = response(404, "nothing here\n");
        let body = end_of_header(&bytes).unwrap();
        assert_eq!(&bytes[body..], b"nothing here\n");
        assert_eq!(status(&bytes[..body]), Some(("HTTP/1.1 404 Not Found".into(), 404, Some(13))));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n\r\n"), None);
        assert!(String::from_utf8(response(405, "")).unwrap().contains("\r\nAllow: GET\r\n"));
    }
}
