//! The rules in use: swapped whole while a job runs, and kept for as long as it does.
//!
//! Takes checked rules from any thread; hands on to each shard the newest, without a lock, and to an
//! output those that a decision names.
//!
//! Invariants
//! 1. Rules have a number, from 0, which is theirs for the life of the process; what is numbered
//!    stays. A number is never written to a disk: people and files see the hash of the text.
//! 2. Rules are kept under their number before a shard can see them.
//! 3. What shapes the plan does not change: `within` of `[unconfirmed]` is the deadline of a pattern.
//!
//! Why all are kept, up to [`RULES_USED_MAX`], and not the last few: an output that looks names up must
//! not wait for whoever lets old ones go, and a thousand of them are a few megabytes.

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pelton::chain::Reference;
use pelton::record::TimeSpan;

use super::rules::RulesError;
use super::verdict::{CompiledRules, RulesVersion};

/// How many rules a run can have had.
pub const RULES_USED_MAX: usize = 4_096;

/// The rules in use, and all that were in this run. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct RulesInUse {
    reference: Reference<NumberedRules>,
    used: RulesUsed,
    /// The newest number; held while rules are swapped.
    newest: Arc<Mutex<u32>>,
    /// Invariant 3.
    unconfirmed_within: TimeSpan,
}

/// Rules with their number.
#[derive(Debug, Clone)]
pub struct NumberedRules {
    number: u32,
    rules: Arc<CompiledRules>,
}

/// All rules that were used in this run, by their number.
#[derive(Debug, Clone)]
pub struct RulesUsed(Arc<[OnceLock<Arc<CompiledRules>>]>);

impl RulesInUse {
    /// The rules that a run begins with.
    #[must_use]
    pub fn new(rules: CompiledRules) -> Self {
        let unconfirmed_within = rules.alerts().unconfirmed_within();
        let rules = Arc::new(rules);
        let used: Arc<[OnceLock<_>]> = (0..RULES_USED_MAX).map(|_| OnceLock::new()).collect();
        used[0].get_or_init(|| Arc::clone(&rules));
        Self {
            reference: Reference::new(NumberedRules { number: 0, rules }),
            used: RulesUsed(used),
            newest: Arc::new(Mutex::new(0)),
            unconfirmed_within,
        }
    }

    /// Puts other rules in their place; `file` is their name in errors. Answers whether they are
    /// others.
    ///
    /// # Errors
    /// They can't be taken while the job runs.
    pub fn swap(&self, file: &str, rules: CompiledRules) -> Result<bool, RulesError> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if self.used.get(*newest).version() == rules.version() {
            return Ok(false);
        }
        if let Some(unconfirmed) = rules.alerts().unconfirmed
            && unconfirmed.within != self.unconfirmed_within
        {
            return Err(RulesError::NeedsRestart { file: file.to_owned() });
        }
        let number = *newest + 1;
        let rules = Arc::new(rules);
        let Some(place) = usize::try_from(number).ok().and_then(|number| self.used.0.get(number))
        else {
            return Err(RulesError::TooMany { file: file.to_owned() });
        };
        place.get_or_init(|| Arc::clone(&rules));
        self.reference.swap(NumberedRules { number, rules });
        *newest = number;
        Ok(true)
    }

    /// The version of the newest.
    #[must_use]
    pub fn version(&self) -> RulesVersion {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        self.used.get(*newest).version()
    }

    /// What shards read.
    #[must_use]
    pub fn reference(&self) -> &Reference<NumberedRules> {
        &self.reference
    }

    /// What outputs look names up in.
    #[must_use]
    pub fn used(&self) -> RulesUsed {
        self.used.clone()
    }

    /// How long a transaction may be unconfirmed.
    #[must_use]
    pub fn unconfirmed_within(&self) -> TimeSpan {
        self.unconfirmed_within
    }
}

impl NumberedRules {
    /// Their number.
    #[inline]
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Deref for NumberedRules {
    type Target = CompiledRules;
    #[inline]
    fn deref(&self) -> &CompiledRules {
        &self.rules
    }
}

impl RulesUsed {
    /// The rules of a number that a decision of this run names.
    ///
    /// Panics where there are none, by invariant 2 a bug.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u32) -> &CompiledRules {
        self.0[number as usize].get().expect("rules are kept before a shard sees them")
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;

    fn rules(decline: u32, more: &str) -> CompiledRules {
        let text = format!("[decision]\nreview = 1\ndecline = {decline}\n{more}");
        Rules::parse("my.toml", &text).unwrap()
    }

    #[test]
    fn rules_are_kept_under_their_number_and_the_same_ones_are_not_taken_twice() {
        let (first, second) = (rules(5, ""), rules(6, ""));
        let in_use = RulesInUse::new(first.clone());
        assert!(!in_use.swap("my.toml", first.clone()).unwrap());
        assert!(in_use.swap("my.toml", second.clone()).unwrap());
        assert!(in_use.swap("my.toml", first.clone()).unwrap());
        let versions = [0, 1, 2].map(|number| in_use.used().get(number).version());
        assert_eq!(versions, [first.version(), second.version(), first.version()]);
        assert_eq!(in_use.version(), first.version());
    }

    #[test]
    fn what_shapes_the_plan_is_not_swapped() {
        let in_use = RulesInUse::new(rules(5, "[unconfirmed]\nwithin = \"10m\""));
        let error =
            in_use.swap("my.toml", rules(6, "[unconfirmed]\nwithin = \"11m\"")).unwrap_err();
        assert!(error.to_string().contains("[unconfirmed]: `within`"), "{error}");
        // It can be switched off, and left out.
        for more in ["[unconfirmed]\nenabled = false\nwithin = \"10m\"", ""] {
            assert!(in_use.swap("my.toml", rules(6, more)).unwrap(), "{more}");
        }
    }

    #[test]
    fn a_run_has_an_end_of_rules() {
        let in_use = RulesInUse::new(rules(1, ""));
        for number in 2..=u32::try_from(RULES_USED_MAX).unwrap() {
            assert!(in_use.swap("my.toml", rules(number, "")).unwrap());
        }
        let error = in_use.swap("my.toml", rules(1, "")).unwrap_err();
        assert!(error.to_string().contains("start the program again"), "{error}");
    }
}
