//! The program as a process.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// `pelton` with these arguments and nothing on standard input.
pub(crate) fn pelton<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.args(arguments).stdin(Stdio::null());
    command
}
