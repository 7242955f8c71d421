//! The machine's own programs, such as `mount`.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a tool; what it says on a failure becomes the reason.
pub(crate) fn done(command: &mut Command) -> Result<(), String> {
    let tool = Path::new(command.get_program()).display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{tool}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
