//! The real program, killed with SIGKILL at random moments, most of them inside a checkpoint.
//!
//! `PELTON_KILLS` says how often (12, unless the environment says otherwise; `.ci/run kills` has 200,
//! and 10,000 is the longer mode); ten kills a seed. `PELTON_KILLS_SEED` runs one seed again.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod stops;

use std::path::PathBuf;
use std::process::Child;

use stops::{Campaign, Stop, number};

const KILLS_DEFAULT: u64 = 12;
const KILLS_A_SEED: u64 = 10;

/// SIGKILL.
struct Kill {
    folder: tempfile::TempDir,
    rounds: u64,
}

impl Stop for Kill {
    fn ground(&mut self) -> PathBuf {
        let _ = std::fs::remove_dir_all(self.folder.path().join(self.rounds.to_string()));
        self.rounds += 1;
        self.folder.path().join(self.rounds.to_string())
    }

    fn stop(&mut self, child: &mut Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_program_that_is_killed_at_any_moment_loses_nothing_and_says_nothing_twice() {
    let mut campaign = Campaign::new(
        "PELTON_KILLS_SEED=SEED cargo test --release -p pelton-cli --test kills -- --nocapture",
    );
    let mut kill = Kill { folder: tempfile::tempdir().unwrap(), rounds: 0 };
    if let Some(seed) = number("PELTON_KILLS_SEED") {
        campaign.seed(seed, number("PELTON_KILLS").unwrap_or(KILLS_A_SEED), &mut kill);
    } else {
        let kills = number("PELTON_KILLS").unwrap_or(KILLS_DEFAULT);
        let seeds = (kills / KILLS_A_SEED).max(2);
        for seed in 1..=seeds {
            let share = kills / seeds + u64::from(seed <= kills % seeds);
            campaign.seed(seed, share, &mut kill);
        }
    }
    campaign.tally.show("kills");
    let (stops, inside) = (campaign.tally.stops(), campaign.tally.inside());
    assert!(inside * 2 >= stops, "{inside} of {stops} kills hit a checkpoint");
}
