//! Small typed indices. They are handed out in the order things are created and never reused within a run.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The index into the table that owns the thing.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}#{}", stringify!($name), self.0)
            }
        }
    };
}

id!(
    /// A network namespace of the world.
    NsId
);
id!(
    /// A network device; unique in the whole world, so it also names the namespace that owns it.
    DevId
);
id!(
    /// An app running in some namespace.
    AppId
);

/// A socket: the namespace that owns it and its slot there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SockId {
    /// The namespace the socket belongs to.
    pub ns: NsId,
    /// The slot in that namespace's socket table.
    pub slot: u32,
}
