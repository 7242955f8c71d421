//! What a benchmark of the disk is called with: `[--small] [DIRECTORY]`.

use std::path::PathBuf;

/// How much to do, and where.
#[derive(Debug)]
pub struct Scratch {
    /// Whether to be done in seconds.
    pub small: bool,
    /// A directory of the benchmark's own, in the one that was named or the system's for such things.
    pub directory: PathBuf,
}

impl Scratch {
    /// From the program's arguments; `name` tells the directory from those of other benchmarks.
    #[must_use]
    pub fn of_arguments(name: &str) -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let small = arguments.iter().any(|argument| argument == "--small");
        let directory = arguments.iter().find(|argument| !argument.starts_with("--"));
        let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
        let directory = directory.join(format!("pelton-{name}-{}", std::process::id()));
        Self { small, directory }
    }
}
