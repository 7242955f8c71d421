//! The rules as people write them: a TOML file, checked as a whole before a record is read.
//!
//! Takes the text of a rules file (or the compiled-in `rules.toml`); hands on [`CompiledRules`].
//!
//! Invariants
//! 1. What is in a `CompiledRules` has been checked: names are unique, scores and thresholds are
//!    finite and in range, there are at most 32 enabled rules.
//! 2. A key that is not known is an error: a misspelt threshold must not silently be the default.
//!
//! Why a list of rules a kind and not one table a rule: a team starts with one limit and soon
//! wants "over 220: review, over 1,000: decline", each with its own reason.

use std::path::Path;

use pelton::command::time_span;
use pelton::record::TimeSpan;
use serde::Deserialize;

use super::alerts::{AlertRules, DECLINES_MAX, Declines, SmallThenLarge, Unconfirmed, WITHIN_MAX};
use super::verdict::{CompiledRules, Test};

/// The rules that are compiled in, with the comments that explain them.
pub const DEFAULT_RULES: &str = include_str!("rules.toml");
/// The most enabled rules: reasons are bits of a `u32`.
pub const RULES_MAX: usize = 32;
/// The most that one rule can add.
pub const SCORE_MAX: u32 = 1_000_000;
/// The largest amount or factor that a threshold may name.
const THRESHOLD_MAX: f64 = 1e12;

/// Why a rules file can't be used. Each names the file, the place, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file can't be read.
    #[error("can't read the rules file {file}: {source}; check the path and its permissions")]
    Unreadable {
        /// The file's path.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown or missing key, or a value of the wrong type.
    #[error("{file}, line {line}: {message}; the default rules.toml explains every key")]
    Malformed {
        /// The file's path.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What the parser said, on one line.
        message: String,
    },
    /// A value that makes no sense.
    #[error("{file}, {place}: `{key}` is {found}; {wanted}")]
    Value {
        /// The file's path.
        file: String,
        /// The rule, such as ``[[amount]] `large` ``.
        place: String,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Something that shapes the plan of the job that runs.
    #[error(
        "{file}, [unconfirmed]: `within` can't change while the job runs; start the program again \
         for it"
    )]
    NeedsRestart {
        /// The file's path.
        file: String,
    },
    /// More than a run keeps.
    #[error("{file}: this run has had 4096 rules, and keeps them all; start the program again")]
    TooMany {
        /// The file's path.
        file: String,
    },
}

/// A rules file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    decision: Thresholds,
    #[serde(default)]
    amount: Vec<AmountRule>,
    #[serde(default)]
    customer_spend: Vec<CustomerSpendRule>,
    #[serde(default)]
    terminal_risk: Vec<TerminalRiskRule>,
    #[serde(default)]
    velocity: Vec<VelocityRule>,
    #[serde(default)]
    merchants: Vec<MerchantsRule>,
    #[serde(default)]
    impossible_travel: Vec<ImpossibleTravelRule>,
    small_then_large: Option<SmallThenLargeRule>,
    declines_then_approval: Option<DeclinesRule>,
    unconfirmed: Option<UnconfirmedRule>,
}

/// From which total on a transaction is reviewed, and declined.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thresholds {
    pub(super) review: u32,
    pub(super) decline: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AmountRule {
    name: String,
    score: u32,
    #[serde(default = "yes")]
    enabled: bool,
    over: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CustomerSpendRule {
    name: String,
    score: u32,
    #[serde(default = "yes")]
    enabled: bool,
    deviations: f64,
    times: f64,
    count_min: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct TerminalRiskRule {
    name: String,
    score: u32,
    #[serde(default = "yes")]
    enabled: bool,
    days: u32,
    risk_min: f64,
    count_min: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct VelocityRule {
    name: String,
    score: u32,
    #[serde(default = "yes")]
    enabled: bool,
    count_min: u32,
    times: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct MerchantsRule {
    name: String,
    score: u32,
    #[serde(default = "yes")]
    enabled: bool,
    count_min: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImpossibleTravelRule {
    name: String,
    score: u32,
    #[serde(default = "yes")]
    enabled: bool,
    kmh_over: f64,
    km_min: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SmallThenLargeRule {
    #[serde(default = "yes")]
    enabled: bool,
    small_to: f64,
    large_over: f64,
    within: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclinesRule {
    #[serde(default = "yes")]
    enabled: bool,
    declines: u32,
    within: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnconfirmedRule {
    #[serde(default = "yes")]
    enabled: bool,
    within: String,
}

fn yes() -> bool {
    true
}

impl Rules {
    /// Reads and checks the file at `path`, or the compiled-in rules where there is none.
    ///
    /// # Errors
    /// The file, the line or rule and key, and what to do.
    pub fn load(path: Option<&Path>) -> Result<CompiledRules, RulesError> {
        let Some(path) = path else {
            return Self::parse("the compiled-in rules.toml", DEFAULT_RULES);
        };
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&file, &text),
            Err(source) => Err(RulesError::Unreadable { file, source }),
        }
    }

    /// Checks the text of a rules file; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`Rules::load`].
    pub fn parse(file: &str, text: &str) -> Result<CompiledRules, RulesError> {
        let rules: Self = toml::from_str(text).map_err(|error| RulesError::Malformed {
            file: file.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().trim().replace('\n', ", "),
        })?;
        rules.compile(text, &Checker { file })
    }

    fn compile(self, text: &str, check: &Checker<'_>) -> Result<CompiledRules, RulesError> {
        let Thresholds { review, decline } = self.decision;
        if review == 0 || decline < review {
            let found = format!("{decline} and `review` is {review}");
            let wanted = "give a review of 1 or more, and a decline no lower than it";
            return Err(check.error("[decision]", "decline", found, wanted));
        }
        let alerts = AlertRules {
            small_then_large: self.small_then_large.map(|rule| rule.check(check)).transpose()?,
            declines: self.declines_then_approval.map(|rule| rule.check(check)).transpose()?,
            unconfirmed: self.unconfirmed.map(|rule| rule.check(check)).transpose()?,
        };
        let mut compiled = CompiledRules::new(text, self.decision, alerts);
        for rule in self.amount {
            let place = place("amount", &rule.name);
            let test = Test::amount(check.number(&place, "over", rule.over)?);
            let named = (rule.name, rule.score, rule.enabled);
            check.add(&mut compiled, &place, named, test)?;
        }
        for rule in self.customer_spend {
            let place = place("customer_spend", &rule.name);
            let deviations = check.number(&place, "deviations", rule.deviations)?;
            let times = check.number(&place, "times", rule.times)?;
            let test = Test::customer_spend(deviations, times, rule.count_min);
            let named = (rule.name, rule.score, rule.enabled);
            check.add(&mut compiled, &place, named, test)?;
        }
        for rule in self.terminal_risk {
            let place = place("terminal_risk", &rule.name);
            let risk_min = check.number(&place, "risk_min", rule.risk_min)?;
            if risk_min > 1.0 || risk_min == 0.0 {
                let wanted = "give a share over 0 and up to 1";
                return Err(check.error(&place, "risk_min", risk_min.to_string(), wanted));
            }
            let Some(test) = Test::terminal_risk(rule.days, risk_min, rule.count_min) else {
                let wanted = "windows of 1, 7 and 30 days are kept: give one of these";
                return Err(check.error(&place, "days", rule.days.to_string(), wanted));
            };
            let named = (rule.name, rule.score, rule.enabled);
            check.add(&mut compiled, &place, named, test)?;
        }
        for rule in self.velocity {
            let place = place("velocity", &rule.name);
            let times = check.number(&place, "times", rule.times)?;
            let test = Test::velocity(rule.count_min, times);
            let named = (rule.name, rule.score, rule.enabled);
            check.add(&mut compiled, &place, named, test)?;
        }
        for rule in self.merchants {
            let place = place("merchants", &rule.name);
            let named = (rule.name, rule.score, rule.enabled);
            check.add(&mut compiled, &place, named, Test::merchants(rule.count_min))?;
        }
        for rule in self.impossible_travel {
            let place = place("impossible_travel", &rule.name);
            let kmh_over = check.number(&place, "kmh_over", rule.kmh_over)?;
            let km_min = check.number(&place, "km_min", rule.km_min)?;
            let named = (rule.name, rule.score, rule.enabled);
            check.add(&mut compiled, &place, named, Test::impossible_travel(kmh_over, km_min))?;
        }
        Ok(compiled)
    }
}

impl SmallThenLargeRule {
    fn check(self, check: &Checker<'_>) -> Result<SmallThenLarge, RulesError> {
        let place = "[small_then_large]";
        let small_to = check.number(place, "small_to", self.small_to)?;
        let large_over = check.number(place, "large_over", self.large_over)?;
        if large_over < small_to {
            let wanted = "give an amount of `small_to` or more: none is both";
            return Err(check.error(place, "large_over", large_over.to_string(), wanted));
        }
        Ok(SmallThenLarge {
            enabled: self.enabled,
            small_to_micros: micros(small_to),
            large_over_micros: micros(large_over),
            within: check.within(place, &self.within)?,
        })
    }
}

impl DeclinesRule {
    fn check(self, check: &Checker<'_>) -> Result<Declines, RulesError> {
        let place = "[declines_then_approval]";
        if !(1..=DECLINES_MAX).contains(&self.declines) {
            let wanted = "give a number from 1 to 10";
            return Err(check.error(place, "declines", self.declines.to_string(), wanted));
        }
        let within = check.within(place, &self.within)?;
        Ok(Declines { enabled: self.enabled, count: self.declines, within })
    }
}

impl UnconfirmedRule {
    fn check(self, check: &Checker<'_>) -> Result<Unconfirmed, RulesError> {
        let within = check.within("[unconfirmed]", &self.within)?;
        Ok(Unconfirmed { enabled: self.enabled, within })
    }
}

/// An amount of a threshold, in millionths.
#[expect(
    clippy::cast_possible_truncation,
    reason = "thresholds are below 1e12, checked by `Checker::number`"
)]
pub(super) fn micros(amount: f64) -> i64 {
    (amount * 1e6).round() as i64
}

fn place(kind: &str, name: &str) -> String {
    format!("[[{kind}]] `{name}`")
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|&&byte| byte == b'\n').count()
}

/// Checks values and says where they stand.
struct Checker<'a> {
    file: &'a str,
}

impl Checker<'_> {
    fn error(
        &self,
        place: &str,
        key: &'static str,
        found: String,
        wanted: &'static str,
    ) -> RulesError {
        RulesError::Value {
            file: self.file.to_owned(),
            place: place.to_owned(),
            key,
            found,
            wanted,
        }
    }

    fn number(&self, place: &str, key: &'static str, value: f64) -> Result<f64, RulesError> {
        if (0.0..=THRESHOLD_MAX).contains(&value) {
            return Ok(value);
        }
        Err(self.error(place, key, value.to_string(), "give a number of 0 or more"))
    }

    /// A length of time that a pattern may take.
    fn within(&self, place: &str, text: &str) -> Result<TimeSpan, RulesError> {
        let allowed = TimeSpan::micros(1)..=WITHIN_MAX;
        time_span(text).ok().filter(|span| allowed.contains(span)).ok_or_else(|| {
            let wanted = "give a time of up to a day with a unit, such as 30s, 10m or 24h";
            self.error(place, "within", format!("{text:?}"), wanted)
        })
    }

    fn add(
        &self,
        compiled: &mut CompiledRules,
        place: &str,
        (name, score, enabled): (String, u32, bool),
        test: Test,
    ) -> Result<(), RulesError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            let wanted = "use letters, digits, - and _";
            return Err(self.error(place, "name", format!("{name:?}"), wanted));
        }
        if compiled.names().any(|known| known == name) {
            let wanted = "it is used twice; give every rule a name of its own";
            return Err(self.error(place, "name", format!("{name:?}"), wanted));
        }
        if score > SCORE_MAX {
            let wanted = "give a score of at most 1000000";
            return Err(self.error(place, "score", score.to_string(), wanted));
        }
        if !enabled {
            return Ok(());
        }
        if compiled.names().count() == RULES_MAX {
            let wanted = "at most 32 rules can be enabled; switch some off";
            return Err(self.error(place, "enabled", "true".to_owned(), wanted));
        }
        compiled.add(name, score, test);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> String {
        Rules::parse("my.toml", text).unwrap_err().to_string()
    }

    const DECISION: &str = "[decision]\nreview = 50\ndecline = 100\n";

    #[test]
    fn the_compiled_in_rules_are_good() {
        let rules = Rules::load(None).unwrap();
        let names: Vec<&str> = rules.names().collect();
        assert_eq!(
            names,
            [
                "amount_over_limit",
                "customer_spend",
                "terminal_risk_1d",
                "terminal_risk_7d",
                "velocity",
                "merchants",
                "impossible_travel"
            ]
        );
        let alerts = *rules.alerts();
        assert!(alerts.small_then_large.is_some() && alerts.declines.is_some());
        assert!(alerts.unconfirmed.is_some());
    }

    #[test]
    fn a_misspelt_key_names_its_line() {
        let text =
            format!("{DECISION}[[amount]]\nname = \"large\"\nscore = 5\nover = 1.0\novr = 2\n");
        let error = error_of(&text);
        assert!(error.starts_with("my.toml, line 8: unknown field `ovr`"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn values_that_make_no_sense_name_the_rule_and_the_key() {
        for (rule, expected) in [
            (
                "[[amount]]\nname = \"a\"\nscore = 5\nover = -1.0",
                "my.toml, [[amount]] `a`: `over` is -1; give a number of 0 or more",
            ),
            (
                "[[amount]]\nname = \"a\"\nscore = 5\nover = nan",
                "my.toml, [[amount]] `a`: `over` is NaN; give a number of 0 or more",
            ),
            (
                "[[terminal_risk]]\nname = \"t\"\nscore = 5\ndays = 2\nrisk_min = 0.5\ncount_min = 1",
                "my.toml, [[terminal_risk]] `t`: `days` is 2; windows of 1, 7 and 30 days are \
                 kept: give one of these",
            ),
            (
                "[[amount]]\nname = \"a b\"\nscore = 5\nover = 1.0",
                "my.toml, [[amount]] `a b`: `name` is \"a b\"; use letters, digits, - and _",
            ),
        ] {
            assert_eq!(error_of(&format!("{DECISION}{rule}")), expected);
        }
        for (rule, expected) in [
            (
                "[small_then_large]\nsmall_to = 5\nlarge_over = 4\nwithin = \"1h\"",
                "[small_then_large]: `large_over` is 4; give an amount of `small_to` or more: none \
                 is both",
            ),
            (
                "[declines_then_approval]\ndeclines = 11\nwithin = \"1h\"",
                "[declines_then_approval]: `declines` is 11; give a number from 1 to 10",
            ),
            (
                "[unconfirmed]\nwithin = \"25h\"",
                "[unconfirmed]: `within` is \"25h\"; give a time of up to a day with a unit, such as \
                 30s, 10m or 24h",
            ),
            (
                "[[impossible_travel]]\nname = \"t\"\nscore = 5\nkmh_over = -1\nkm_min = 1",
                "[[impossible_travel]] `t`: `kmh_over` is -1; give a number of 0 or more",
            ),
        ] {
            assert_eq!(error_of(&format!("{DECISION}{rule}")), format!("my.toml, {expected}"));
        }
        let error = error_of("[decision]\nreview = 50\ndecline = 10");
        assert!(error.contains("`decline` is 10"), "{error}");
    }

    #[test]
    fn names_are_used_once_and_switched_off_rules_do_not_count() {
        let rule = "[[amount]]\nname = \"a\"\nscore = 5\nover = 1\n";
        let error = error_of(&format!("{DECISION}{rule}{rule}"));
        assert!(error.contains("used twice"), "{error}");
        let off = format!("{DECISION}{rule}enabled = false");
        assert_eq!(Rules::parse("my.toml", &off).unwrap().names().count(), 0);
    }

    #[test]
    fn the_version_is_that_of_the_text() {
        let version = |text: &str| Rules::parse("my.toml", text).unwrap().version();
        assert_eq!(version(DECISION), version(DECISION));
        assert_ne!(version(DECISION), version("[decision]\nreview = 50\ndecline = 101\n"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Rules::load(Some(Path::new("/nowhere/rules.toml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/rules.toml"), "{error}");
    }
}
