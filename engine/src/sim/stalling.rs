//! An output that is slow by a seed: it refuses items, and takes its time to prepare and to end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::chance::Chance;
use crate::chain::Flow;
use crate::io::Wake;
use crate::record::{FrameHeader, Item};
use crate::sink::{Epoch, Guarantee, Sink, SinkError, SinkFactory, SinkSeat, SinkStart};

/// Another output that stalls about `stalls_in_256` times of 256.
#[derive(Debug)]
pub struct StallingSink<S> {
    inner: S,
    chance: Mutex<Chance>,
    stalls_in_256: u8,
}

/// One shard's end of a [`StallingSink`].
pub struct StallingShard<S> {
    inner: S,
    chance: Chance,
    stalls_in_256: u8,
    wake: Wake,
}

impl<S: std::fmt::Debug> std::fmt::Debug for StallingShard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StallingShard").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> StallingSink<S> {
    /// Stalls `inner`; when follows from `chance`.
    #[must_use]
    pub fn new(inner: S, chance: Chance, stalls_in_256: u8) -> Self {
        Self { inner, chance: Mutex::new(chance), stalls_in_256 }
    }

    fn chance(&self) -> MutexGuard<'_, Chance> {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Item, S: SinkFactory<I>> SinkFactory<I> for StallingSink<S> {
    type Sink = StallingShard<S::Sink>;

    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.inner.check(start)
    }

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.inner.begin(start)
    }

    fn open(&self, seat: SinkSeat) -> Self::Sink {
        StallingShard {
            wake: seat.wake.clone(),
            inner: self.inner.open(seat),
            chance: self.chance().fork(),
            stalls_in_256: self.stalls_in_256,
        }
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        if self.chance().below(256) < u64::from(self.stalls_in_256) {
            return Ok(None);
        }
        self.inner.prepared(epoch)
    }

    fn commit(&self, epoch: Epoch) -> Result<(), SinkError> {
        self.inner.commit(epoch)
    }

    fn abort(&self, epoch: Epoch) {
        self.inner.abort(epoch);
    }

    fn finish(&self) -> Result<u64, SinkError> {
        self.inner.finish()
    }

    fn guarantee(&self) -> Guarantee {
        self.inner.guarantee()
    }
}

impl<S> StallingShard<S> {
    /// Whether it stalls now; its shard is woken, as by room that comes.
    fn stalls(&mut self) -> bool {
        let stalls = self.chance.below(256) < u64::from(self.stalls_in_256);
        if stalls {
            (self.wake)();
        }
        stalls
    }
}

impl<I: Item, S: Sink<I>> Sink<I> for StallingShard<S> {
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        if self.stalls() { Flow::Blocked } else { self.inner.write(header, view) }
    }

    fn flush(&mut self, busy: bool) {
        self.inner.flush(busy);
    }

    fn poll(&mut self) -> Result<bool, SinkError> {
        self.inner.poll()
    }

    fn prepare(&mut self, epoch: Epoch) {
        self.inner.prepare(epoch);
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        if self.stalls() { Ok(false) } else { self.inner.end() }
    }
}
