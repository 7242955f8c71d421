//! A source of the test's own making: any splits, each told how to wake its shard.

use std::sync::Arc;

use pelton::job::{OpenContext, Source};
use pelton::record::Record;
use pelton::source::{Next, PushInput, PushSplit, SourceError, Split, push_source};

/// Wakes the shard that reads a split.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Splits of any kinds, behind one type.
pub struct Inputs<R>(Vec<Prepare<R>>);

type Prepare<R> = Box<dyn FnOnce(Wake) -> AnySplit<R>>;

/// A split behind a box.
pub struct AnySplit<R>(Box<dyn Split<R>>);

impl<R: Record> Default for Inputs<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R: Record> Inputs<R> {
    /// No splits yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a split.
    #[must_use]
    pub fn split(mut self, split: impl Split<R> + 'static) -> Self {
        self.0.push(Box::new(|_| AnySplit(Box::new(split))));
        self
    }

    /// Adds a split that the test pushes to.
    pub fn pushed(&mut self, capacity: usize) -> PushInput<R> {
        let (input, mut split): (_, PushSplit<R>) = push_source("pushed", capacity);
        self.0.push(Box::new(move |wake| {
            split.set_wake(wake);
            AnySplit(Box::new(split))
        }));
        input
    }
}

impl<R: Record> Source<R> for Inputs<R> {
    type Split = AnySplit<R>;

    fn open(&mut self, context: &OpenContext) -> Result<Vec<AnySplit<R>>, SourceError> {
        let prepared = std::mem::take(&mut self.0).into_iter().enumerate();
        Ok(prepared.map(|(index, prepare)| prepare(context.wake(index))).collect())
    }
}

impl<R: Record> Split<R> for AnySplit<R> {
    fn next(&mut self) -> Next<'_, R> {
        self.0.next()
    }
    fn bounded(&self) -> bool {
        self.0.bounded()
    }
    fn name(&self) -> &str {
        self.0.name()
    }
    fn position(&self, out: &mut Vec<u8>) {
        self.0.position(out);
    }
    fn seek(&mut self, position: &[u8], sequence: u64) -> Result<(), SourceError> {
        self.0.seek(position, sequence)
    }
}
