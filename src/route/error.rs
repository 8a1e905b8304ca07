//! Why a route or rule is refused, or a destination has no route.

use super::types::Family;
use crate::base::Errno;

/// Why a change of the tables is refused. [`Display`](std::fmt::Display) is the line that `ip` prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteError {
    /// Same prefix, type of service and metric as a route that exists, or the same rule.
    Exists,
    /// No route matches what was to be deleted.
    NotFound,
    /// No rule matches what was to be deleted.
    NoRule,
    /// There is no route to change.
    NothingToChange(Family),
    /// The prefix has host bits set (IPv4 only; IPv6 clears them).
    InvalidPrefix,
    /// The two low bits of a type of service belong to ECN.
    InvalidTos,
    /// The scope does not fit the type of the route.
    InvalidScope,
    /// A special route cannot have a gateway or a device.
    SpecialWithHop,
    /// A route of host scope cannot have a gateway.
    HostScopeGateway,
    /// A route of host scope cannot have several hops.
    HostScopeMultipath,
    /// The preferred source is no address of this host.
    InvalidPrefsrc,
    /// The gateway is not on a link, is a broadcast address, or would be reached through another gateway.
    InvalidGateway,
    /// The gateway is no unicast address (IPv6).
    InvalidGatewayAddress,
    /// The gateway is an address of this host (IPv6).
    LocalGateway,
    /// The gateway is not on a link (IPv6).
    NoRouteToGateway,
    /// A link-local gateway says nothing about the device (IPv6).
    NoEgressDevice,
    /// A gateway cannot be behind the loopback device (IPv6).
    LoopbackEgress,
    /// A route without gateway needs a device.
    NoDevice,
    /// `onlink` needs a device.
    OnlinkDevice,
    /// The device is down.
    DeviceDown,
    /// The device of an `onlink` gateway is down.
    OnlinkDeviceDown,
    /// A gateway or source of the other family.
    Family,
    /// A limit of the simulator: [`super::Fib::MAX_ROUTES`], [`super::Fib::MAX_HOPS`] or [`super::Fib::MAX_RULES`].
    Full,
}

impl RouteError {
    /// The error number of the netlink answer.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Exists => Errno::EEXIST,
            Self::NotFound => Errno::ESRCH,
            Self::NoRule | Self::NothingToChange(_) => Errno::ENOENT,
            Self::NoRouteToGateway => Errno::EHOSTUNREACH,
            Self::NoDevice | Self::OnlinkDevice => Errno::ENODEV,
            Self::DeviceDown | Self::OnlinkDeviceDown => Errno::ENETDOWN,
            Self::Full => Errno::ENOBUFS,
            _ => Errno::EINVAL,
        }
    }

    /// The kernel's explanation beside the number, if it gives one.
    pub const fn explanation(self) -> Option<&'static str> {
        Some(match self {
            Self::NothingToChange(Family::V6) => "Can not replace route - no match found.",
            Self::InvalidPrefix => "Invalid prefix for given prefix length.",
            Self::InvalidTos => "Invalid dsfield (tos): ECN bits must be 0.",
            Self::InvalidScope => "Invalid scope.",
            Self::SpecialWithHop => "Gateway, device and multipath can not be specified for this route type.",
            Self::HostScopeGateway => "Route with host scope can not have a gateway.",
            Self::HostScopeMultipath => "Route with host scope can not have multiple nexthops.",
            Self::InvalidPrefsrc => "Invalid prefsrc address.",
            Self::InvalidGateway => "Nexthop has invalid gateway.",
            Self::InvalidGatewayAddress => "Invalid gateway address.",
            Self::LocalGateway => "Gateway can not be a local address.",
            Self::NoEgressDevice => "Egress device not specified.",
            Self::LoopbackEgress => "Egress device can not be loopback device for this route.",
            Self::OnlinkDevice => "Nexthop device required for onlink.",
            Self::DeviceDown => "Device for nexthop is not up.",
            Self::OnlinkDeviceDown => "Nexthop device is not up.",
            _ => return None,
        })
    }
}

impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.explanation() {
            Some(text) => write!(f, "Error: {text}"),
            None => write!(f, "RTNETLINK answers: {}", self.errno()),
        }
    }
}

impl std::error::Error for RouteError {}

/// Why there is no way to a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookupError {
    /// No table has a route, or a rule of type `unreachable` matched: ICMP net unreachable.
    NoRoute,
    /// An `unreachable` route: ICMP host unreachable.
    Unreachable,
    /// A `prohibit` route or rule: ICMP communication administratively prohibited.
    Prohibit,
    /// A `blackhole` route or rule: silence.
    Blackhole,
}

impl LookupError {
    /// What a local sender gets (case special-route-types-local).
    pub const fn errno(self) -> Errno {
        match self {
            Self::NoRoute => Errno::ENETUNREACH,
            Self::Unreachable => Errno::EHOSTUNREACH,
            Self::Prohibit => Errno::EACCES,
            Self::Blackhole => Errno::EINVAL,
        }
    }
}

impl std::fmt::Display for LookupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.errno().fmt(f)
    }
}

impl std::error::Error for LookupError {}
