//! What a random world is described by: small numbers, each read modulo what there is to choose from, so that every plan
//! makes sense and a smaller number makes a simpler world.

use proptest::{collection::vec, prelude::*};

/// A world and what happens in it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Whether it speaks IPv6 (one world in four).
    pub ipv6: bool,
    /// Routers, 0 to 3.
    pub routers: u8,
    /// Whether three routers are all connected with each other.
    pub triangle: bool,
    /// Whether the cables between routers are /31.
    pub narrow: bool,
    /// Where hosts are.
    pub lans: Vec<LanPlan>,
    /// What is unusual, or wrong.
    pub twists: Vec<Choice>,
    /// What happens.
    pub acts: Vec<Choice>,
}

/// A segment with hosts.
#[derive(Clone, Copy, Debug, Default)]
pub struct LanPlan {
    /// The router it hangs on.
    pub router: u8,
    /// How its members are connected: a cable, a bridge, two bridges, a bridge within the router.
    pub wiring: u8,
    /// Hosts.
    pub hosts: u8,
}

/// One of a list of things, and its details.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// Which.
    pub kind: u8,
    /// Details.
    pub a: u8,
    /// Details.
    pub b: u8,
    /// Details.
    pub c: u8,
    /// Details.
    pub d: u8,
}

/// An element of a list that is not empty.
pub fn pick<T>(of: &[T], n: u8) -> &T {
    &of[usize::from(n) % of.len()]
}

fn choice() -> impl Strategy<Value = Choice> {
    (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(kind, a, b, c, d)| Choice {
        kind,
        a,
        b,
        c,
        d,
    })
}

/// Worlds, most of them with two or three things that are unusual.
pub fn plans() -> impl Strategy<Value = Plan> {
    let lan = (0u8..3, 0u8..4, 1u8..3).prop_map(|(router, wiring, hosts)| LanPlan { router, wiring, hosts });
    let shape = (prop::bool::weighted(0.25), 0u8..4, any::<bool>(), prop::bool::weighted(0.2), vec(lan, 1..4));
    (shape, vec(choice(), 0..5), vec(choice(), 1..9)).prop_map(
        |((ipv6, routers, triangle, narrow, lans), twists, acts)| Plan {
            ipv6,
            routers,
            triangle,
            narrow,
            lans,
            twists,
            acts,
        },
    )
}
