//! Stands in for io_uring where there is no Linux: it is never available.

use std::io;

use super::real::{Flushed, Run, Target};

/// There is none.
#[derive(Debug)]
pub(super) enum Flusher {}

impl Flusher {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn note(&self) -> Option<&str> {
        match *self {}
    }

    pub(super) fn flush(&mut self, _: &[Target<'_>], _: &[Run<'_>]) -> Flushed {
        match *self {}
    }
}
