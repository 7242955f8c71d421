//! Outputs that would overwrite each other, or the input: refused before anything is opened.
//!
//! Takes the paths of a command line; hands on the first clash. Two paths are one file if the
//! system says so (links, too), or, where there is no file yet, if they name the same place.
//! Devices, such as `/dev/null`, are never one file.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::CommandError;
use crate::source::expand;

/// An output, and the option that names it.
pub(super) type Output<'o> = (&'static str, Option<&'o Path>);

/// Checks that no two outputs, and no output and input, are one file.
///
/// # Errors
/// The first two that are.
pub(super) fn check(inputs: &[PathBuf], outputs: &[Output<'_>]) -> Result<(), CommandError> {
    let named = outputs.iter().filter_map(|&(option, path)| Some((option, path?)));
    let outputs: Vec<(&str, &Path, Place)> =
        named.map(|(option, path)| (option, path, Place::of(path))).collect();
    for (index, (option, path, place)) in outputs.iter().enumerate() {
        if let Some((first, ..)) = outputs[..index].iter().find(|(.., other)| other.is(place)) {
            return Err(CommandError::SamePath {
                file: path.display().to_string(),
                first: (*first).to_owned(),
                second: (*option).to_owned(),
            });
        }
    }
    // An input that can't be listed is told about when it is opened.
    let texts: Vec<String> = inputs.iter().map(|path| path.display().to_string()).collect();
    for input in expand(&texts).unwrap_or_default() {
        let place = Place::of(input.path());
        // Standard input and standard output are both `-`, and not one file.
        if place == Place::Standard {
            continue;
        }
        if let Some((option, path, _)) = outputs.iter().find(|(.., other)| other.is(&place)) {
            return Err(CommandError::OutputIsInput {
                file: path.display().to_string(),
                option: (*option).to_owned(),
            });
        }
    }
    Ok(())
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// `-`.
    Standard,
    /// A file or directory that is there: its device and its number on it.
    File(u64, u64),
    /// No file yet: the folder's real path and the name in it.
    Free(PathBuf),
    /// A pipe or a device, which several may write to.
    Device,
}

impl Place {
    fn of(path: &Path) -> Self {
        let file = |found: Metadata| match found.is_file() || found.is_dir() {
            true => Self::File(found.dev(), found.ino()),
            false => Self::Device,
        };
        if path == Path::new("-") {
            return Self::Standard;
        }
        path.metadata().map_or_else(|_| Self::Free(real(path)), file)
    }

    fn is(&self, other: &Self) -> bool {
        self == other && *self != Self::Device
    }
}

/// The path with its folder's links and dots resolved, where the folder is there.
fn real(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
