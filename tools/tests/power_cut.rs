//! The real program on a filesystem whose power is cut: state and results are on a loop device, and
//! the shutdown ioctl drops all that was not synced, the journal's tail too.
//!
//! What it proves beside the kills: that what is called durable was synced, files and names, in an
//! order that holds. The log of checkpoints is on another filesystem and survives, so a manifest
//! that it calls published must be there. What it does not prove: a device that lies about syncs, or
//! tears a sector; those are the simulator's.
//!
//! Skipped, with the reason, where the machine has no loop devices, no `mkfs`, or is no root.
//! `PELTON_POWER_CUTS` says how many cuts on each filesystem (3); `PELTON_POWER_CUTS_SEED` runs one
//! seed again.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod stops;
#[path = "common/tool.rs"]
mod tool;

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stops::{Campaign, Stop, number};
use tool::done;

const CUTS_DEFAULT: u64 = 3;
const CUTS_A_SEED: u64 = 5;
/// Sparse: what is not written takes no room.
const IMAGE_BYTES: u64 = 2 << 30;

/// Waits for a line, then shuts the filesystem of its argument down without a flush of its journal:
/// `_IOR('X', 125, u32)`, which ext4, xfs and f2fs share, with flag 2. In Perl, as Rust needs unsafe
/// code for it; started ahead, so that the cut comes when it is asked for.
const SHUTDOWN: &str = "use Fcntl; sysopen(my $d, $ARGV[0], O_RDONLY) or die $!; <STDIN>; \
                        my $flag = pack('L', 2); ioctl($d, 0x8004587d, $flag) or die $!;";

/// A filesystem in a file, mounted.
struct PowerCut {
    folder: tempfile::TempDir,
    kind: &'static str,
    shutdown: Option<Child>,
    rounds: u64,
}

impl PowerCut {
    /// Makes and mounts one, or says what is missing.
    fn new(kind: &'static str) -> Result<Self, String> {
        let mut cut =
            Self { folder: tempfile::tempdir().unwrap(), kind, shutdown: None, rounds: 0 };
        File::create(cut.image()).unwrap().set_len(IMAGE_BYTES).unwrap();
        fs::create_dir(cut.mounted()).unwrap();
        done(Command::new(format!("mkfs.{kind}")).arg("-q").arg(cut.image()))?;
        done(Command::new("perl").args(["-MFcntl", "-e", "1"]))?;
        cut.mount()?;
        cut.prove()?;
        Ok(cut)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&mut self) -> Result<(), String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", self.kind, "-o", "loop"]).arg(self.image()).arg(self.mounted());
        done(&mut mount)?;
        let mut shutdown = Command::new("perl");
        shutdown.args(["-e", SHUTDOWN]).arg(self.mounted()).stdin(Stdio::piped());
        self.shutdown = Some(shutdown.spawn().map_err(|error| format!("perl: {error}"))?);
        Ok(())
    }

    /// Drops what was not synced.
    fn cut(&mut self) -> Result<(), String> {
        let mut shutdown = self.shutdown.take().expect("it is mounted");
        shutdown.stdin.take().expect("it is piped").write_all(b"\n").unwrap();
        match shutdown.wait().unwrap().success() {
            true => Ok(()),
            false => Err("the shutdown ioctl is refused".to_owned()),
        }
    }

    /// The kernel may hold files of a process that is gone for a moment longer: those of io_uring.
    fn mount_again(&mut self) -> Result<(), String> {
        let mut unmounted = Ok(());
        for _ in 0..200 {
            unmounted = done(Command::new("umount").arg(self.mounted()));
            if unmounted.is_ok() {
                return self.mount();
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        unmounted
    }

    /// A cut that loses nothing would prove nothing.
    fn prove(&mut self) -> Result<(), String> {
        let (synced, lost) = (self.mounted().join("synced"), self.mounted().join("lost"));
        let mut file = File::create(&synced).unwrap();
        file.write_all(b"synced").unwrap();
        file.sync_all().unwrap();
        File::open(self.mounted()).unwrap().sync_all().unwrap();
        fs::write(&lost, "lost").unwrap();
        drop(file);
        self.cut()?;
        self.mount_again()?;
        match fs::read(&synced).unwrap_or_default() == b"synced" && !lost.exists() {
            true => Ok(()),
            false => Err("the shutdown ioctl does not cut the power".to_owned()),
        }
    }
}

impl Stop for PowerCut {
    fn ground(&mut self) -> PathBuf {
        let _ = fs::remove_dir_all(self.mounted().join(self.rounds.to_string()));
        self.rounds += 1;
        self.mounted().join(self.rounds.to_string())
    }

    fn stop(&mut self, child: &mut Child) {
        self.cut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        self.mount_again().unwrap();
    }
}

impl Drop for PowerCut {
    fn drop(&mut self) {
        if let Some(mut shutdown) = self.shutdown.take() {
            let _ = shutdown.kill();
            let _ = shutdown.wait();
        }
        let _ = done(Command::new("umount").arg("-l").arg(self.mounted()));
    }
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_that_was_committed() {
    for kind in ["ext4", "xfs"] {
        let mut cut = match PowerCut::new(kind) {
            Ok(cut) => cut,
            Err(reason) => {
                eprintln!("skipped: power cuts on {kind}: {reason}");
                continue;
            }
        };
        let mut campaign = Campaign::new(
            "PELTON_POWER_CUTS_SEED=SEED cargo test -p pelton-cli --test power_cut -- --nocapture",
        );
        let cuts = number("PELTON_POWER_CUTS").unwrap_or(CUTS_DEFAULT);
        if let Some(seed) = number("PELTON_POWER_CUTS_SEED") {
            campaign.seed(seed, cuts, &mut cut);
        } else {
            let seeds = cuts.div_ceil(CUTS_A_SEED);
            for seed in 1..=seeds {
                let share = cuts / seeds + u64::from(seed <= cuts % seeds);
                campaign.seed(seed, share, &mut cut);
            }
        }
        campaign.tally.show(&format!("power cuts on {kind}"));
    }
}
