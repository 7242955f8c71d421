//! From a job that is being built to its plan.

use crate::chain::Link;
use crate::state::OperatorId;

use super::super::graph::{self, Graph, PlannedStage, StageInput};
use super::super::listing::{Listing, note_at, note_of};
use super::{ExchangePlan, HeadPlan, Plan, StagePlan, StatePlan, StatefulPlan, ValuePlan};

/// The plan of all that was registered so far.
pub(in crate::job) fn of(graph: &Graph) -> Plan {
    let built = graph.0.borrow();
    let mut order: Vec<&PlannedStage> = built.stages.iter().collect();
    order.sort_by_key(|stage| stage.level);
    let stages: Vec<StagePlan> = order.iter().map(|stage| stage_of(&built, stage)).collect();
    let exchanges = exchanges_of(&order, &stages);
    let mut outputs: Vec<_> = stages.iter().flat_map(StagePlan::links).filter_map(output).collect();
    outputs.sort_by_key(|output| output.number);
    Plan { sources: built.source_plans.clone(), stages, exchanges, outputs }
}

fn output(link: &Link) -> Option<super::OutputPlan> {
    match link {
        Link::Output(output) => Some(output.clone()),
        _ => None,
    }
}

fn stage_of(built: &graph::Plan, stage: &PlannedStage) -> StagePlan {
    let mut chain = Vec::new();
    (stage.chain)(&mut chain);
    annotate(&mut chain, &built.listings);
    let head = match (&stage.operator, &stage.input) {
        (Some((id, describe)), _) => {
            HeadPlan::Operator(stateful(built, *id, &describe(), stage.out.clone()))
        }
        (None, StageInput::Source(number)) => HeadPlan::Source(*number),
        (None, StageInput::Passing(kind, _)) => HeadPlan::Passing((*kind).to_owned()),
        (None, StageInput::Exchanges(_)) => {
            unreachable!("a stage behind an exchange has an operator at its head")
        }
    };
    StagePlan { level: stage.level.0, head, chain }
}

fn stateful(
    built: &graph::Plan,
    id: OperatorId,
    states: &[crate::chain::OperatorState],
    out: String,
) -> StatefulPlan {
    let names = built.operators.state_names();
    let at = built.operators.place(id);
    let note = note_of(&built.listings, at);
    let state = |state: &crate::chain::OperatorState| StatePlan {
        name: names[usize::from(state.id.0)].clone(),
        kind: state.kind.to_owned(),
        identity: state.identity.clone(),
        key: state.key.to_string(),
        values: state.values.iter().map(value).collect(),
    };
    let mut states: Vec<StatePlan> = {
        let mut sorted: Vec<_> = states.iter().collect();
        sorted.sort_by_key(|state| state.id.0);
        sorted.into_iter().map(state).collect()
    };
    states.dedup();
    StatefulPlan {
        name: names[usize::from(id.0)].clone(),
        kind: built.operators.kind(id).to_owned(),
        text: note.map(|note| note.text.to_owned()).filter(|text| !text.is_empty()),
        out,
        states,
        at: at.into(),
    }
}

fn value(value: &crate::chain::StateLayout) -> ValuePlan {
    ValuePlan { name: value.name.clone(), layout: value.layout.to_string() }
}

/// Adds what the macro saw of each operator.
fn annotate(chain: &mut [Link], listings: &[&'static Listing]) {
    for link in chain {
        match link {
            Link::Operator(operator) => {
                let at = &operator.at;
                if let Some(note) = note_at(listings, &at.file, at.line, at.column) {
                    operator.name = known(note.binding);
                    operator.text = known(note.text);
                }
            }
            Link::Exchange(sent) => {
                let at = sent.route.at.as_ref();
                let note = at.and_then(|at| note_at(listings, &at.file, at.line, at.column));
                sent.route.text = note.and_then(|note| known(note.text));
            }
            Link::Sides { main, side } => {
                annotate(main, listings);
                annotate(side, listings);
            }
            Link::Fork { branches } => {
                branches.iter_mut().for_each(|branch| annotate(branch, listings));
            }
            Link::Output(_) => {}
        }
    }
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Every exchange that is sent and read, by number.
fn exchanges_of(order: &[&PlannedStage], stages: &[StagePlan]) -> Vec<ExchangePlan> {
    let reads = |exchange: usize| {
        order.iter().position(|stage| stage.input.exchanges().iter().any(|id| id.0 == exchange))
    };
    let mut exchanges = Vec::new();
    for (from, stage) in stages.iter().enumerate() {
        for link in stage.links() {
            if let Link::Exchange(sent) = link
                && let Some(to) = reads(sent.exchange)
            {
                exchanges.push(ExchangePlan { from, to, sent: sent.clone() });
            }
        }
    }
    exchanges.sort_by_key(|exchange| exchange.sent.exchange);
    exchanges
}
