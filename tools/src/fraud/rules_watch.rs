//! Looks at a rules file while the job runs, and swaps in what is new.
//!
//! Takes a file's name; hands on its rules to [`RulesInUse`], checked whole, and a line for people.
//!
//! Invariants
//! 1. A text is judged once it has been the same for two looks: a file that is being written, or is
//!    replaced, is not taken by half.
//! 2. A text is judged once: what is wrong with it is said once. The rules in use stay.
//!
//! Why the text is read each time, and not asked for its date: it is short, dates are coarse, and
//! editors and file systems set them as they please.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::rules::{Rules, RulesError};
use super::rules_in_use::RulesInUse;

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A rules file that may change.
#[derive(Debug)]
pub struct WatchedRules {
    path: PathBuf,
    in_use: RulesInUse,
    /// What the last look has found: the text, or why there is none.
    seen: Result<String, String>,
    /// Whether that has been judged.
    judged: bool,
}

/// What came of a new text, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// It is in use now.
    Swapped(String),
    /// It can't be used.
    Refused(String),
}

impl WatchedRules {
    /// Watches the file that the rules in use have been read from.
    #[must_use]
    pub fn new(path: &Path, in_use: RulesInUse) -> Self {
        // Nothing is known of the file: what is there at the first look may be newer than what was
        // read, and rules of one version are not swapped.
        Self { path: path.to_owned(), in_use, seen: Err(String::new()), judged: true }
    }

    /// Looks at the file; answers what there is to say.
    pub fn look(&mut self) -> Option<Looked> {
        let found = std::fs::read_to_string(&self.path).map_err(|error| error.to_string());
        if found != self.seen {
            (self.seen, self.judged) = (found, false);
            return None;
        }
        if std::mem::replace(&mut self.judged, true) {
            return None;
        }
        let file = self.path.display().to_string();
        let looked = match self.take(&file) {
            Ok(false) => return None,
            Ok(true) => {
                Looked::Swapped(format!("{file}: rules {} are in use", self.in_use.version()))
            }
            Err(error) => {
                let version = self.in_use.version();
                Looked::Refused(format!("{error}; rules {version} stay in use"))
            }
        };
        Some(looked)
    }

    fn take(&self, file: &str) -> Result<bool, RulesError> {
        let text = self.seen.as_ref().map_err(|error| RulesError::Unreadable {
            file: file.to_owned(),
            source: std::io::Error::other(error.clone()),
        })?;
        self.in_use.swap(file, Rules::parse(file, text)?)
    }
}

/// A thread that looks, until this is dropped.
#[derive(Debug)]
pub struct RulesWatch {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RulesWatch {
    /// Looks at the file now and then, and says on standard error what has come of it.
    #[must_use]
    pub fn start(mut watched: WatchedRules) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                match watched.look() {
                    Some(Looked::Swapped(told) | Looked::Refused(told)) => {
                        eprintln!("note: {told}")
                    }
                    None => {}
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for RulesWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What it has panicked with was said on standard error.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn text(decline: u32) -> String {
        format!("[decision]\nreview = 1\ndecline = {decline}\n")
    }

    /// The one thing that was said, a refusal.
    #[track_caller]
    fn refused(mut looked: Vec<Looked>) -> String {
        assert_eq!(looked.len(), 1, "{looked:?}");
        match looked.remove(0) {
            Looked::Refused(told) => told,
            Looked::Swapped(told) => panic!("{told}"),
        }
    }

    #[test]
    fn a_changed_file_is_taken_once_it_has_settled_and_a_broken_one_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.toml");
        fs::write(&path, text(5)).unwrap();
        let in_use = RulesInUse::new(Rules::load(Some(&path)).unwrap());
        let first = in_use.version();
        let mut watched = WatchedRules::new(&path, in_use.clone());
        let mut looks =
            |count: usize| -> Vec<Looked> { (0..count).filter_map(|_| watched.look()).collect() };
        assert_eq!(looks(3), [], "what is in use is nothing new");

        fs::write(&path, text(6)).unwrap();
        assert_eq!(looks(1), [], "it may not be whole");
        fs::write(&path, text(7)).unwrap();
        assert_eq!(looks(1), []);
        let second = Rules::parse("", &text(7)).unwrap().version();
        let told = format!("{}: rules {second} are in use", path.display());
        assert_eq!(looks(3), [Looked::Swapped(told)]);
        assert_eq!(in_use.version(), second);

        fs::write(&path, "[decision]\nreview = \n").unwrap();
        let told = refused(looks(5));
        assert!(told.contains("my.toml, line 2: "), "{told}");
        assert!(told.ends_with(&format!("; rules {second} stay in use")), "{told}");
        assert!(!told.contains('\n'), "{told}");
        fs::remove_file(&path).unwrap();
        let told = refused(looks(5));
        assert!(told.starts_with("can't read the rules file"), "{told}");
        assert_eq!(in_use.version(), second);

        fs::write(&path, text(5)).unwrap();
        assert_eq!(looks(5).len(), 1);
        assert_eq!(in_use.version(), first, "old rules come back under their own name");
    }
}
