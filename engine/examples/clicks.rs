//! How often has each user clicked? `cargo run -p pelton --example clicks [-- clicks.csv]`
//!
//! Reads lines `user,page` from the file that is named, or a few that are compiled in, and prints
//! the counts.
#![expect(clippy::print_stdout, reason = "a program that shows its results")]

use std::path::Path;

use pelton::decode::CsvSettings;
use pelton::job::{Files, SourceOptions};
use pelton::source::FileSettings;
use pelton::{Changelog, Engine, Job, JobError, Stream};

#[pelton::record]
struct Click {
    user: String,
    page: String,
}

#[pelton::job]
fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
}

const CLICKS: &str = "ada,home\nbob,home\nada,shop\ngrace,about_us\nada,about_us\nbob,cart\n";

/// Counts the clicks of `path`, or of the compiled-in text; sorted by user.
pub(crate) fn run(path: Option<&Path>) -> Result<Vec<(String, u64)>, JobError> {
    let job = Job::new();
    let clicks = match path {
        Some(path) => {
            let csv = CsvSettings { header: false, ..CsvSettings::default() };
            let files = Files::new([path.to_string_lossy()]);
            job.source(
                files.with(FileSettings { csv, ..FileSettings::default() }),
                SourceOptions::new(),
            )
        }
        None => job.records(CLICKS.lines().filter_map(click).collect()),
    };
    let counts = clicks_per_user(clicks).at_end().collect();
    Engine::new().run(job)?;
    let mut rows: Vec<(String, u64)> =
        counts.take_rows().into_iter().map(|row| (row.key, row.value)).collect();
    rows.sort();
    Ok(rows)
}

fn click(line: &str) -> Option<Click> {
    let (user, page) = line.split_once(',')?;
    Some(Click { user: user.to_owned(), page: page.to_owned() })
}

fn main() -> Result<(), JobError> {
    let path = std::env::args_os().nth(1);
    for (user, count) in run(path.as_deref().map(Path::new))? {
        println!("{user},{count}");
    }
    Ok(())
}
