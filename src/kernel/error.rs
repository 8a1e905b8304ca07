//! Why the world refuses a change.

use crate::base::Errno;
use std::fmt;

/// A change of configuration was refused, as rtnetlink would: an errno and, often, a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The errno a program would get.
    pub errno: Errno,
    /// The kernel's own words where it has some (extack), else what went wrong.
    pub message: String,
}

impl ConfigError {
    /// An error with a sentence.
    pub fn new(errno: Errno, message: impl Into<String>) -> ConfigError {
        ConfigError { errno, message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { write!(f, "{}", self.errno.text()) } else { f.write_str(&self.message) }
    }
}

impl std::error::Error for ConfigError {}

impl From<Errno> for ConfigError {
    fn from(errno: Errno) -> ConfigError {
        ConfigError { errno, message: String::new() }
    }
}
