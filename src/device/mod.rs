//! Network devices: what each kind does with a frame.

pub mod bridge;
