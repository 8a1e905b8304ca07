//! The words of a command line.

use super::ExecError;
use crate::{
    base::{DevId, NsId},
    kernel::Kernel,
};
use std::str::FromStr;

/// The words not read yet.
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Words<'a> {
        Words { rest: line.trim() }
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.rest = self.rest[word.len()..].trim_start();
        Some(word)
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.rest.split_whitespace().next()
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }

    /// The word after an option.
    pub(super) fn value(&mut self, option: &str) -> Result<&'a str, ExecError> {
        self.next()
            .ok_or_else(|| ExecError::Words(format!("Command line is not complete: what comes after \"{option}\"?")))
    }

    /// The word after an option, read as a number or an address.
    pub(super) fn parse<T: FromStr>(&mut self, option: &str) -> Result<T, ExecError> {
        let word = self.value(option)?;
        word.parse().map_err(|_| ExecError::Words(format!("Error: argument \"{word}\" is wrong: invalid {option}")))
    }

    /// The device named by the word after an option.
    pub(super) fn device(&mut self, kernel: &Kernel, ns: NsId, option: &str) -> Result<DevId, ExecError> {
        let name = self.value(option)?;
        kernel.find_dev(ns, name).ok_or_else(|| ExecError::no_device(name))
    }
}
