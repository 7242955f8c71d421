//! What an input argument stands for: a file, standard input, a directory, or a pattern.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::MatchOptions;

use super::SourceError;
use crate::io::ReadError;

/// One file to read, or standard input (`-`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SplitPath(PathBuf);

impl SplitPath {
    /// The file at `path`, taken literally, or standard input where it is `-`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The path, `-` for standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether it is standard input.
    #[must_use]
    pub fn is_stdin(&self) -> bool {
        self.0.as_os_str() == "-"
    }
}

impl fmt::Display for SplitPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// The splits that `inputs` stand for: in the order of the inputs, and by name within one.
///
/// A directory stands for the files in it (not below it), a pattern for the files that match and
/// for those in directories that match; hidden ones do not count. A path that exists is taken
/// literally, even where it has a `*` in it.
///
/// # Errors
/// An input that can't be found or listed, or that stands for no file at all.
pub fn expand(inputs: &[String]) -> Result<Vec<SplitPath>, SourceError> {
    let mut splits = Vec::new();
    for input in inputs {
        let path = SplitPath::new(input);
        if path.is_stdin() {
            splits.push(path);
            continue;
        }
        match fs::metadata(path.path()) {
            Ok(found) if found.is_dir() => splits.extend(whole_directory(path.path())?),
            Ok(_) => splits.push(path),
            Err(_) if input.contains(['*', '?', '[']) => splits.extend(matches(input)?),
            Err(cause) => {
                return Err(SourceError::Read(ReadError::Open {
                    name: input.clone(),
                    cause: Arc::new(cause),
                }));
            }
        }
    }
    Ok(splits)
}

fn whole_directory(directory: &Path) -> Result<Vec<SplitPath>, SourceError> {
    let files = files_of(directory)?;
    if files.is_empty() {
        let path = directory.display().to_string();
        return Err(SourceError::EmptyDirectory { path });
    }
    Ok(files)
}

fn files_of(directory: &Path) -> Result<Vec<SplitPath>, SourceError> {
    let failed = |cause| cannot_list(directory, cause);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        // Follows links, so that a link to a directory is no file; a dangling one fails on open.
        let is_directory = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
        if !is_hidden && !is_directory {
            files.push(SplitPath(entry.path()));
        }
    }
    files.sort();
    Ok(files)
}

fn matches(pattern: &str) -> Result<Vec<SplitPath>, SourceError> {
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob::glob_with(pattern, options).map_err(|cause| SourceError::BadPattern {
        pattern: pattern.to_owned(),
        cause: Arc::new(cause),
    })?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            let directory = error.path().to_owned();
            cannot_list(&directory, error.into())
        })?;
        if path.is_dir() {
            files.extend(files_of(&path)?);
        } else {
            files.push(SplitPath(path));
        }
    }
    if files.is_empty() {
        let pattern = pattern.to_owned();
        return Err(SourceError::NoMatch { pattern });
    }
    files.sort();
    Ok(files)
}

fn cannot_list(directory: &Path, cause: io::Error) -> SourceError {
    SourceError::ReadDirectory { path: directory.display().to_string(), cause: Arc::new(cause) }
}
