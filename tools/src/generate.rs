//! `pelton generate transactions`: the generator's transactions into a file.

use pelton::command::{CommandError, output};

use crate::cli::TransactionsArgs;
use crate::error::ProgramError;
use crate::fraud::generator::{ExtraColumns, write_csv_with};

/// Writes what was asked for.
///
/// # Errors
/// The output can't be created, or not be written to its end.
pub fn run(args: &TransactionsArgs) -> Result<(), ProgramError> {
    let mut out = output::create(&args.output)?;
    let columns = ExtraColumns { places: args.places, outcomes: args.outcomes };
    write_csv_with(args.seed, args.count, columns, &mut out)
        .and_then(|()| out.finish())
        .map_err(|source| CommandError::write(&args.output, source))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::*;

    fn generated(output: &Path) -> Result<(), ProgramError> {
        let output = output.to_owned();
        run(&TransactionsArgs { count: 5_000, seed: 3, output, places: false, outcomes: false })
    }

    #[test]
    fn the_files_name_says_how_it_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, gzip, zst] =
            ["t.csv", "t.csv.gz", "t.csv.zst"].map(|name| folder.path().join(name));
        for path in [&plain, &gzip, &zst] {
            generated(path).unwrap();
        }
        let expected = std::fs::read(plain).unwrap();
        assert_eq!(expected.iter().filter(|&&byte| byte == b'\n').count(), 5_001);
        let mut from_gzip = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(gzip).unwrap())
            .read_to_end(&mut from_gzip)
            .unwrap();
        let from_zst = zstd::decode_all(std::fs::File::open(zst).unwrap()).unwrap();
        assert!(expected == from_gzip);
        assert!(expected == from_zst);
    }

    #[test]
    fn what_goes_wrong_is_said_in_one_line_with_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/t.csv");
        let error = generated(&missing).unwrap_err().to_string();
        assert!(error.contains("no/such/t.csv") && error.contains("mkdir -p"), "{error}");
        let error = generated(folder.path()).unwrap_err().to_string();
        assert!(error.contains("name a file in it"), "{error}");
        for full in ["/dev/full"].map(Path::new) {
            if full.exists() {
                let error = generated(full).unwrap_err().to_string();
                assert!(error.contains("free some space"), "{error}");
                assert!(!error.contains('\n'), "{error}");
            }
        }
    }
}
