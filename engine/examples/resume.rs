//! A job that survives: `cargo run -p pelton --example resume [-- DIRECTORY]`
//!
//! Counts clicks in a state directory. The job is suspended in the middle and started again, as it
//! would go on after a crash: the counts are those of both runs, and what was read is not read again.
#![expect(clippy::print_stdout, reason = "a program that shows its results")]

use std::path::Path;

use pelton::job::Checkpoints;
use pelton::{Changelog, Engine, Job, Stream};

#[pelton::record]
struct Click {
    user: String,
}

#[pelton::job]
fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.key_by(|c| c.user).count()
}

/// Runs the job over some clicks more; answers the changes of its counts.
pub(crate) fn run(
    state: &Path,
    users: &[&str],
) -> Result<Vec<(String, u64)>, Box<dyn std::error::Error>> {
    let job = Job::new();
    let (clicks, input) = job.push::<Click>(1_024);
    let counts = clicks_per_user(clicks).collect();
    let checkpoints = Checkpoints::new(state).job("clicks");
    let running = Engine::new().shards(2).checkpoints(checkpoints).start(job)?;

    // What an earlier run has counted is in the state, and the source knows how far it was.
    println!("goes on after {} clicks", input.resumed_at());
    for user in users {
        input.push(Click { user: (*user).to_owned() })?;
    }
    while running.snapshot().total.records_in < input.resumed_at() + users.len() as u64 {
        std::thread::yield_now();
    }
    running.suspend()?; // makes a last checkpoint; the counts stay open
    Ok(counts.take_rows().into_iter().map(|change| (change.key, change.value)).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1);
    let directory = argument.map_or_else(|| std::env::temp_dir().join("pelton-resume"), Into::into);
    println!("{:?}", run(&directory, &["ada", "bob", "ada"])?);
    println!("{:?}", run(&directory, &["bob", "ada"])?);
    Ok(())
}
