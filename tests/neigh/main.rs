//! The neighbour table against what the kernel did, and its books under random operations.

mod admin;
mod books;
mod cases;
mod host;
