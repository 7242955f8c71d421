//! Pelton inside another program: build an engine, start a job, push events, read results, stop.
#![expect(clippy::print_stdout, reason = "a program that shows its results")]

use pelton::{Changelog, Engine, Job, Stream};

#[pelton::record]
struct Click {
    user: String,
    page: String,
}

#[pelton::job]
fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
}

pub(crate) fn run() -> Result<Vec<(String, u64)>, Box<dyn std::error::Error>> {
    let job = Job::new();
    let (clicks, input) = job.push::<Click>(1_024);
    let counts = clicks_per_user(clicks).collect();
    let running = Engine::new().shards(2).start(job)?;

    for (user, page) in [("ada", "home"), ("bob", "shop"), ("ada", "about_us"), ("ada", "shop")] {
        input.push(Click { user: user.to_owned(), page: page.to_owned() })?;
    }
    let mut changes = counts.take_rows(); // what is there by now, while the job runs
    running.stop()?;
    changes.extend(counts.take_rows()); // the rest
    Ok(changes.into_iter().map(|change| (change.key, change.value)).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{:?}", run()?);
    Ok(())
}
