//! Why a command fails, and how the tools say it.

use crate::{base::Errno, kernel::ConfigError, route::WordError};
use std::fmt;

/// Why a command fails. [`fmt::Display`] is the line the tool prints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExecError {
    /// The tool does not understand its words.
    Words(String),
    /// The kernel refuses.
    Refused(ConfigError),
    /// There is no such command.
    NotFound(String),
}

impl ExecError {
    pub(super) fn usage(text: &str) -> ExecError {
        ExecError::Words(format!("Usage: {text}"))
    }

    pub(super) fn not_found(command: &str) -> ExecError {
        ExecError::NotFound(command.into())
    }

    pub(super) fn no_device(name: &str) -> ExecError {
        ExecError::Words(format!("Cannot find device \"{name}\""))
    }

    /// A word that is not understood.
    pub(super) fn garbage(word: &str) -> ExecError {
        ExecError::Words(format!("Error: either \"{word}\" is a garbage, or netsim does not know it."))
    }

    /// The exit status of the tool: 255 or 1 for words, 2 for what the kernel refused, 127 for no such command.
    pub fn status(&self) -> i32 {
        match self {
            ExecError::Words(text) if text.starts_with("Cannot find device") => 1,
            ExecError::Words(_) => 255,
            ExecError::Refused(_) => 2,
            ExecError::NotFound(_) => 127,
        }
    }

    /// The error number behind it.
    pub fn errno(&self) -> Errno {
        match self {
            ExecError::Refused(e) => e.errno,
            _ => Errno::EINVAL,
        }
    }

    /// What is wrong, without the prefix of the tool.
    pub fn sentence(&self) -> String {
        match self {
            ExecError::Refused(e) => e.to_string(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExecError::Words(text) => f.write_str(text),
            ExecError::Refused(e) if e.message.is_empty() => write!(f, "RTNETLINK answers: {}", e.errno.text()),
            ExecError::Refused(e) => write!(f, "Error: {}", e.message),
            ExecError::NotFound(command) => {
                write!(f, "{command}: command not found; there are ip address, link, neighbour, route, rule and sysctl")
            }
        }
    }
}

impl std::error::Error for ExecError {}

impl From<ConfigError> for ExecError {
    fn from(e: ConfigError) -> ExecError {
        ExecError::Refused(e)
    }
}

impl From<WordError> for ExecError {
    fn from(e: WordError) -> ExecError {
        ExecError::Words(e.to_string())
    }
}
