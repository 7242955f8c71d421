//! The stateful operators of a job and their names, which tie state to them across its versions.
//!
//! Takes operators as they are built, and names as they are given; hands on a name for each state,
//! or why there can be none.
//!
//! Invariant: an operator that starts has a name that somebody chose: the user, or the macro from
//! the user's own bindings. None is made of its number.
//!
//! Why not of its number, as it once was (`aggregate_0`): an operator that is added above another
//! would be handed the other's state, without a word.

use std::panic::Location;

use crate::state::OperatorId;

use super::error::JobError;

/// One stateful operator.
#[derive(Debug)]
struct Named {
    kind: String,
    name: Option<String>,
    /// Where the job calls it.
    at: &'static Location<'static>,
    /// The id of its main state; those of its other states follow.
    first: usize,
}

/// All stateful operators of a job, in the order of their ids.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    operators: Vec<Named>,
    /// By id: which operator's state it is, and what it is called beside its main one.
    states: Vec<(usize, Option<String>)>,
}

/// Which operator a name is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatorNames(usize);

impl Operators {
    /// Adds an operator without a name: one id for its main state and one for each suffix.
    pub(super) fn add<'s>(
        &mut self,
        kind: &str,
        suffixes: impl Iterator<Item = &'s str>,
        at: &'static Location<'static>,
    ) -> (OperatorId, OperatorNames) {
        let (index, first) = (self.operators.len(), self.states.len());
        let id = u16::try_from(first).expect("a job has few operators");
        self.operators.push(Named { kind: kind.to_owned(), name: None, at, first });
        self.states.push((index, None));
        self.states.extend(suffixes.map(|suffix| (index, Some(suffix.to_owned()))));
        (OperatorId(id), OperatorNames(index))
    }

    /// Names an operator; the last name counts.
    pub(super) fn name(&mut self, OperatorNames(index): OperatorNames, name: String) {
        self.operators[index].name = Some(name);
    }

    /// The name of each state, by id. What has none yet is called by kind and number, for plans.
    pub(crate) fn state_names(&self) -> Vec<String> {
        let name = |(index, suffix): &(usize, Option<String>)| {
            let operator = &self.operators[*index];
            let name = match &operator.name {
                Some(name) => name.clone(),
                None => format!("{}_{}", operator.kind, operator.first),
            };
            match suffix {
                Some(suffix) => format!("{name}.{suffix}"),
                None => name,
            }
        };
        self.states.iter().map(name).collect()
    }

    /// Where the job calls the operator that keeps a state.
    pub(super) fn place(&self, id: OperatorId) -> &'static Location<'static> {
        self.operators[self.states[usize::from(id.0)].0].at
    }

    /// What an operator is called.
    pub(super) fn name_of(&self, OperatorNames(index): OperatorNames) -> String {
        self.state_names().swap_remove(self.operators[index].first)
    }

    /// What the operator that keeps a state is.
    pub(super) fn kind(&self, id: OperatorId) -> &str {
        &self.operators[self.states[usize::from(id.0)].0].kind
    }

    /// Refuses operators without a name, and two of one.
    pub(super) fn check(&self) -> Result<(), JobError> {
        if let Some(Named { kind, at, .. }) = self.operators.iter().find(|one| one.name.is_none()) {
            return Err(JobError::UnnamedOperator { operator: kind.clone(), at: at.to_string() });
        }
        let names = self.state_names();
        let mut sorted: Vec<usize> = (0..names.len()).collect();
        sorted.sort_by_key(|&state| (&names[state], state));
        match sorted.windows(2).find(|pair| names[pair[0]] == names[pair[1]]) {
            None => Ok(()),
            Some(pair) => Err(self.clash(pair[0], pair[1], names[pair[0]].clone())),
        }
    }

    fn clash(&self, first: usize, second: usize, name: String) -> JobError {
        let told = |state: usize| {
            let Named { kind, at, .. } = &self.operators[self.states[state].0];
            format!("`{kind}` at {at}")
        };
        JobError::DuplicateName { name, first: told(first), second: told(second) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_beside_the_main_one_is_named_after_its_operator() {
        let mut operators = Operators::default();
        let at = Location::caller();
        let (first, named) = operators.add("process", ["timers"].into_iter(), at);
        let (second, _) = operators.add("aggregate", std::iter::empty(), at);
        assert_eq!((first, second), (OperatorId(0), OperatorId(2)));
        operators.name(named, "a.b".to_owned());
        assert_eq!(operators.state_names(), ["a.b", "a.b.timers", "aggregate_2"]);
    }

    #[test]
    fn a_name_that_is_another_ones_state_is_a_clash_too() {
        let mut operators = Operators::default();
        let at = Location::caller();
        let (_, first) = operators.add("process", ["timers"].into_iter(), at);
        let (_, second) = operators.add("aggregate", std::iter::empty(), at);
        operators.name(first, "a".to_owned());
        operators.name(second, "a.timers".to_owned());
        let refused = operators.check().unwrap_err().to_string();
        assert!(refused.contains("called `a.timers`: `process` at"), "{refused}");
        operators.name(second, "b".to_owned());
        assert!(operators.check().is_ok());
    }
}
