//! A filesystem of a test's own, in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::done;

/// Mounted until it is dropped.
pub(crate) struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one at `path`, which is made; the reason where that is not allowed.
    pub(crate) fn mount(path: &Path, bytes: u64) -> Result<Self, String> {
        std::fs::create_dir(path).unwrap();
        let options = format!("size={bytes},mode=0755");
        done(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Mounts it again with other options: `ro`, `size=...`.
    pub(crate) fn change(&self, options: &str) {
        let options = format!("remount,{options}");
        done(Command::new("mount").args(["-o", &options]).arg(&self.path)).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: whoever failed may have left a process in it.
        let _ = done(Command::new("umount").arg("-l").arg(&self.path));
    }
}
