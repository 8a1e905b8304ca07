//! The error numbers a Linux program sees, and what an ICMP error turns into.

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// An error of a socket call, with the name, number (x86-64) and text Linux gives it.
        ///
        /// ```
        /// use netsim::base::Errno;
        /// assert_eq!(Errno::ECONNREFUSED.name(), "ECONNREFUSED");
        /// assert_eq!(Errno::ECONNREFUSED.number(), 111);
        /// assert_eq!(Errno::ECONNREFUSED.to_string(), "Connection refused");
        /// assert_eq!(Errno::from_name("ENETUNREACH"), Some(Errno::ENETUNREACH));
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Errno {
            $(
                #[doc = $text]
                $name = $number,
            )*
        }

        impl Errno {
            /// Every error netsim can report, by number.
            pub const ALL: &'static [Errno] = &[$(Errno::$name,)*];

            /// The name in `errno.h`.
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$name => stringify!($name),)* }
            }

            /// What `strerror` says.
            pub const fn text(self) -> &'static str {
                match self { $(Errno::$name => $text,)* }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted";
    ENOENT = 2, "No such file or directory";
    ESRCH = 3, "No such process";
    ENXIO = 6, "No such device or address";
    EBADF = 9, "Bad file descriptor";
    EAGAIN = 11, "Resource temporarily unavailable";
    ENOMEM = 12, "Cannot allocate memory";
    EACCES = 13, "Permission denied";
    EBUSY = 16, "Device or resource busy";
    EEXIST = 17, "File exists";
    ENODEV = 19, "No such device";
    ENOTDIR = 20, "Not a directory";
    EISDIR = 21, "Is a directory";
    EINVAL = 22, "Invalid argument";
    EMFILE = 24, "Too many open files";
    EFBIG = 27, "File too large";
    ENOSPC = 28, "No space left on device";
    EROFS = 30, "Read-only file system";
    EPIPE = 32, "Broken pipe";
    ERANGE = 34, "Numerical result out of range";
    ELOOP = 40, "Too many levels of symbolic links";
    ENONET = 64, "Machine is not on the network";
    EPROTO = 71, "Protocol error";
    EDESTADDRREQ = 89, "Destination address required";
    EMSGSIZE = 90, "Message too long";
    EPROTOTYPE = 91, "Protocol wrong type for socket";
    ENOPROTOOPT = 92, "Protocol not available";
    EPROTONOSUPPORT = 93, "Protocol not supported";
    EOPNOTSUPP = 95, "Operation not supported";
    EAFNOSUPPORT = 97, "Address family not supported by protocol";
    EADDRINUSE = 98, "Address already in use";
    EADDRNOTAVAIL = 99, "Cannot assign requested address";
    ENETDOWN = 100, "Network is down";
    ENETUNREACH = 101, "Network is unreachable";
    ECONNABORTED = 103, "Software caused connection abort";
    ECONNRESET = 104, "Connection reset by peer";
    ENOBUFS = 105, "No buffer space available";
    EISCONN = 106, "Transport endpoint is already connected";
    ENOTCONN = 107, "Transport endpoint is not connected";
    ETIMEDOUT = 110, "Connection timed out";
    ECONNREFUSED = 111, "Connection refused";
    EHOSTDOWN = 112, "Host is down";
    EHOSTUNREACH = 113, "No route to host";
    EALREADY = 114, "Operation already in progress";
    EINPROGRESS = 115, "Operation now in progress";
}

impl Errno {
    /// The number on Linux x86-64.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The error of that name, if netsim can report it.
    pub fn from_name(name: &str) -> Option<Errno> {
        Errno::ALL.iter().copied().find(|e| e.name() == name)
    }

    /// What an ICMP or ICMPv6 error means to the socket whose packet it quotes: the errno, and whether the error is
    /// *hard* (reported to a connected UDP socket even without `IP_RECVERR`). `None` for messages that are no error
    /// for a socket: redirects, source quench, unknown codes.
    ///
    /// The kernel's `icmp_err_convert` and `icmpv6_err_convert`; observed in case filter-reject-codes.
    ///
    /// ```
    /// use netsim::base::Errno;
    /// assert_eq!(Errno::from_icmp(true, 3, 3), Some((Errno::ECONNREFUSED, true)));
    /// assert_eq!(Errno::from_icmp(true, 11, 0), Some((Errno::EHOSTUNREACH, false)));
    /// assert_eq!(Errno::from_icmp(false, 1, 4), Some((Errno::ECONNREFUSED, true)));
    /// assert_eq!(Errno::from_icmp(true, 5, 1), None);
    /// ```
    pub const fn from_icmp(ipv4: bool, kind: u8, code: u8) -> Option<(Errno, bool)> {
        Some(match (ipv4, kind, code) {
            (true, 3, 0 | 11) => (Errno::ENETUNREACH, false),
            (true, 3, 1 | 12) => (Errno::EHOSTUNREACH, false),
            (true, 3, 2) => (Errno::ENOPROTOOPT, true),
            (true, 3, 3) => (Errno::ECONNREFUSED, true),
            (true, 3, 4) => (Errno::EMSGSIZE, false),
            (true, 3, 5) => (Errno::EOPNOTSUPP, false),
            (true, 3, 6 | 9) => (Errno::ENETUNREACH, true),
            (true, 3, 7) => (Errno::EHOSTDOWN, true),
            (true, 3, 8) => (Errno::ENONET, true),
            (true, 3, 10 | 13 | 14 | 15) => (Errno::EHOSTUNREACH, true),
            (true, 11, _) => (Errno::EHOSTUNREACH, false),
            (true, 12, _) => (Errno::EPROTO, true),
            (false, 1, 0) => (Errno::ENETUNREACH, false),
            (false, 1, 2 | 3) => (Errno::EHOSTUNREACH, false),
            (false, 1, 4) => (Errno::ECONNREFUSED, true),
            (false, 1, 1 | 5 | 6) => (Errno::EACCES, true),
            (false, 1, _) => (Errno::EPROTO, true),
            (false, 2, _) => (Errno::EMSGSIZE, false),
            (false, 3, _) => (Errno::EHOSTUNREACH, false),
            (false, 4, _) => (Errno::EPROTO, true),
            _ => return None,
        })
    }
}

impl serde::Serialize for Errno {
    /// The name, such as `"ECONNREFUSED"`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_names_are_found_again() {
        assert!(Errno::ALL.windows(2).all(|w| w[0].number() < w[1].number()));
        for e in Errno::ALL {
            assert_eq!(Errno::from_name(e.name()), Some(*e));
        }
        assert_eq!(Errno::from_name("EOVERFLOWING"), None);
    }

    /// What case filter-reject-codes observed for each `reject with icmp-*`.
    #[test]
    fn icmp_codes_of_reject_rules() {
        let seen =
            [(0, "ENETUNREACH"), (1, "EHOSTUNREACH"), (2, "ENOPROTOOPT"), (3, "ECONNREFUSED"), (9, "ENETUNREACH")]
                .into_iter()
                .chain([(10, "EHOSTUNREACH"), (13, "EHOSTUNREACH")]);
        for (code, name) in seen {
            assert_eq!(Errno::from_icmp(true, 3, code).map(|(e, _)| e.name()), Some(name), "3/{code}");
        }
        assert_eq!(Errno::from_icmp(true, 3, 16), None);
        assert_eq!(Errno::from_icmp(true, 8, 0), None);
    }
}
