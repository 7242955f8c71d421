//! A plan as a tree of lines, level by level; and the phrases that every form shares.

use super::{
    ExchangePlan, HeadPlan, Link, OperatorPlan, OutputPlan, Plan, SentPlan, SourcePlan, StagePlan,
    StatefulPlan,
};

/// The tree.
pub(super) fn tree(plan: &Plan) -> String {
    let mut tree = Tree { plan, lines: String::new(), depth: 0 };
    let mut level = None;
    for stage in &plan.stages {
        if level != Some(stage.level) {
            level = Some(stage.level);
            tree.line(&format!("level {}", stage.level));
        }
        tree.within(|tree| tree.stage(stage));
    }
    tree.lines
}

struct Tree<'p> {
    plan: &'p Plan,
    lines: String,
    depth: usize,
}

impl Tree<'_> {
    fn line(&mut self, text: &str) {
        for _ in 0..self.depth {
            self.lines += "  ";
        }
        self.lines += text;
        self.lines.push('\n');
    }

    fn within(&mut self, write: impl FnOnce(&mut Self)) {
        self.depth += 1;
        write(self);
        self.depth -= 1;
    }

    fn stage(&mut self, stage: &StagePlan) {
        match &stage.head {
            HeadPlan::Source(number) => {
                let source = &self.plan.sources[*number];
                self.line(&format!("source {}", source_phrase(*number, source)));
            }
            HeadPlan::Passing(kind) => self.line(kind),
            HeadPlan::Operator(operator) => {
                self.line(&format!("operator {}", operator_phrase(operator)));
                self.within(|tree| tree.states(operator));
            }
        }
        self.within(|tree| tree.chain(&stage.chain));
    }

    fn states(&mut self, operator: &StatefulPlan) {
        for state in &operator.states {
            let settings = match state.identity.as_str() {
                "" => String::new(),
                identity => format!("; {identity}"),
            };
            self.line(&format!("keeps {}, {} by {}{settings}", state.name, state.kind, state.key));
            self.within(|tree| {
                for value in &state.values {
                    tree.line(&format!("{}: {}", value.name, value.layout));
                }
            });
        }
    }

    fn chain(&mut self, chain: &[Link]) {
        for link in chain {
            match link {
                Link::Operator(operator) => self.line(&link_phrase(operator)),
                Link::Exchange(sent) => {
                    let target = self.target(sent.exchange);
                    self.line(&format!("-> {target}, {}", sent_phrase(sent)));
                }
                Link::Output(output) => self.line(&output_phrase(output)),
                Link::Sides { main, side } => {
                    self.line("what goes on");
                    self.within(|tree| tree.chain(main));
                    self.line("side");
                    self.within(|tree| tree.chain(side));
                }
                Link::Fork { branches } if branches.is_empty() => self.line("nowhere"),
                Link::Fork { branches } => {
                    for (number, branch) in branches.iter().enumerate() {
                        self.line(&format!("branch {number}"));
                        self.within(|tree| tree.chain(branch));
                    }
                }
            }
        }
    }

    fn target(&self, number: usize) -> String {
        let leads = |exchange: &&ExchangePlan| exchange.sent.exchange == number;
        let exchange = self.plan.exchanges.iter().find(leads);
        exchange.map_or("a stage that is not ended".to_owned(), |exchange| {
            self.plan.head_name(exchange.to)
        })
    }
}

impl Plan {
    /// What the head of a stage is called.
    pub(super) fn head_name(&self, stage: usize) -> String {
        match &self.stages[stage].head {
            HeadPlan::Source(number) => source_name(*number, &self.sources[*number]),
            HeadPlan::Operator(operator) => operator.name.clone(),
            HeadPlan::Passing(kind) => format!("{kind} {stage}"),
        }
    }
}

fn source_name(number: usize, source: &SourcePlan) -> String {
    source.name.clone().unwrap_or_else(|| number.to_string())
}

/// `transactions: Transaction, by `time`, 10 s late at most`.
pub(super) fn source_phrase(number: usize, source: &SourcePlan) -> String {
    let mut phrase = format!("{}: {}", source_name(number, source), source.record);
    match (&source.event_time, source.lateness_micros) {
        (_, None) => phrase += ", in order of arrival",
        (Some(field), Some(micros)) => phrase += &format!(", by {field}, at most {micros} us late"),
        (None, Some(_)) => phrase += ", without event time",
    }
    phrase
}

/// `totals: aggregate -> Change<String, u64>`.
pub(super) fn operator_phrase(operator: &StatefulPlan) -> String {
    let StatefulPlan { name, kind, text, out, .. } = operator;
    format!("{name}: {kind}{} -> {out}", argument(text.as_deref()))
}

/// `adults: filter |p| p.age > 17`.
pub(super) fn link_phrase(operator: &OperatorPlan) -> String {
    let OperatorPlan { kind, name, text, out, .. } = operator;
    let mut phrase = String::new();
    if let Some(name) = name {
        phrase += &format!("{name}: ");
    }
    phrase += kind;
    phrase += &argument(text.as_deref());
    if let Some(out) = out {
        phrase += &format!(" -> {out}");
    }
    phrase
}

/// `by key String |c| c.user: Click, all of user, page (why)`.
pub(super) fn sent_phrase(sent: &SentPlan) -> String {
    let fields = sent.fields.join(", ");
    match &sent.whole_because {
        None => format!("{}: {} {{ {fields} }}", route_phrase(sent), sent.record),
        Some(why) => format!("{}: {} whole, as {why}", route_phrase(sent), sent.record),
    }
}

/// `by key String |c| c.user`.
pub(super) fn route_phrase(sent: &SentPlan) -> String {
    let mut phrase = sent.route.kind.clone();
    if let Some(key) = &sent.route.key {
        phrase += &format!(" {key}");
    }
    phrase + &argument(sent.route.text.as_deref())
}

/// `output 0: Decided, exactly once, NamedSink<Csv>`.
pub(super) fn output_phrase(output: &OutputPlan) -> String {
    let OutputPlan { number, row, sink, guarantee } = output;
    format!("output {number}: {row}, {guarantee}, {sink}")
}

fn argument(text: Option<&str>) -> String {
    text.map(|text| format!(" {text}")).unwrap_or_default()
}
