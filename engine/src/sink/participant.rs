//! An output of any item and sink, as the thread of the checkpoints sees it.
//!
//! Takes a factory; hands on the same without its types. Only what is called once an epoch goes
//! through this: writes stay static calls.

use std::marker::PhantomData;
use std::sync::Arc;

use super::{Epoch, Guarantee, SinkError, SinkFactory, SinkStart};
use crate::record::Item;

/// An output's part in starting, checkpointing and ending a job: [`SinkFactory`] without its
/// types; see there for what each call promises.
pub trait OutputParticipant: Send + Sync {
    /// See [`SinkFactory::check`].
    ///
    /// # Errors
    /// What stands there is not what `start` goes on from.
    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError>;
    /// See [`SinkFactory::begin`].
    ///
    /// # Errors
    /// The output can't be created, or can't go on.
    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError>;
    /// See [`SinkFactory::prepared`].
    ///
    /// # Errors
    /// What `epoch` holds can't be made durable.
    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError>;
    /// See [`SinkFactory::commit`].
    ///
    /// # Errors
    /// What `epoch` holds can't be made visible.
    fn commit(&self, epoch: Epoch) -> Result<(), SinkError>;
    /// See [`SinkFactory::abort`].
    fn abort(&self, epoch: Epoch);
    /// See [`SinkFactory::finish`].
    ///
    /// # Errors
    /// What went wrong and was not yet told.
    fn finish(&self) -> Result<u64, SinkError>;
    /// See [`SinkFactory::guarantee`].
    fn guarantee(&self) -> Guarantee;
}

struct Typed<I, S>(Arc<S>, PhantomData<fn(I)>);

/// `factory` without its types.
pub(crate) fn participant<I: Item, S: SinkFactory<I>>(
    factory: &Arc<S>,
) -> Arc<dyn OutputParticipant> {
    Arc::new(Typed::<I, S>(Arc::clone(factory), PhantomData))
}

impl<I: Item, S: SinkFactory<I>> OutputParticipant for Typed<I, S> {
    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.0.check(start)
    }

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.0.begin(start)
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        self.0.prepared(epoch)
    }

    fn commit(&self, epoch: Epoch) -> Result<(), SinkError> {
        self.0.commit(epoch)
    }

    fn abort(&self, epoch: Epoch) {
        self.0.abort(epoch);
    }

    fn finish(&self) -> Result<u64, SinkError> {
        self.0.finish()
    }

    fn guarantee(&self) -> Guarantee {
        self.0.guarantee()
    }
}
