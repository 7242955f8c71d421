//! Records that the embedding program pushes.
//!
//! Takes owned records from any thread; hands them on in one split, in the order they came in.
//!
//! Invariants
//! 1. At most `capacity` records wait in the queue, and as many again in the split, which takes
//!    the whole queue at once when it has run out.
//! 2. The shard is woken when the queue was empty before; a queue that is not empty will be taken.
//! 3. Once closed, the queue only shrinks; what was pushed before is still read.
//!
//! Why a mutex and a swap, and not crossbeam-channel: batches then form by themselves, one record
//! while the shard is idle and all that has come in while it is busy, at one lock for each push
//! and one for each batch. A channel of batches needs a flush, or a timer, or the caller's care.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::position::{put_count, read_count};
use super::{Next, SourceError, Split};
use crate::io::Wake;
use crate::record::Record;

/// Why a record was not taken. It is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError<R> {
    /// The job is behind: `capacity` records are waiting.
    #[error("the input is full; push again later, or use `push`, which waits")]
    Full(R),
    /// The input was closed, or the job has ended.
    #[error("the input is closed; the job takes no more records")]
    Closed(R),
}

/// Makes an input of `capacity` records, and the split that reads it.
#[must_use]
pub fn push_source<R: Record>(
    name: impl Into<String>,
    capacity: usize,
) -> (PushInput<R>, PushSplit<R>) {
    assert!(capacity > 0, "a push input holds at least one record");
    let shared = Arc::new(Shared {
        queue: Mutex::new(Queue {
            records: VecDeque::new(),
            input_count: 1,
            closed: false,
            wake: None,
            resumed_at: 0,
        }),
        has_room: Condvar::new(),
        capacity,
    });
    let split = PushSplit {
        name: name.into(),
        shared: shared.clone(),
        batch: VecDeque::new(),
        held: None,
        sequence: 0,
    };
    (PushInput { shared }, split)
}

struct Shared<R> {
    queue: Mutex<Queue<R>>,
    has_room: Condvar,
    capacity: usize,
}

struct Queue<R> {
    records: VecDeque<R>,
    input_count: usize,
    closed: bool,
    wake: Option<Wake>,
    /// How many records an earlier run has taken, as its checkpoint says.
    resumed_at: u64,
}

impl<R> Shared<R> {
    fn lock(&self) -> MutexGuard<'_, Queue<R>> {
        // Nothing under the lock can leave the queue half changed, so poison means nothing here.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, mut queue: MutexGuard<'_, Queue<R>>, record: R) {
        let wake = match queue.records.is_empty() {
            true => queue.wake.clone(),
            false => None,
        };
        queue.records.push_back(record);
        drop(queue);
        if let Some(wake) = wake {
            wake();
        }
    }

    fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let wake = queue.wake.clone();
        drop(queue);
        self.has_room.notify_all();
        if let Some(wake) = wake {
            wake();
        }
    }
}

/// The end that the embedding program holds. Clones feed the same split.
pub struct PushInput<R> {
    shared: Arc<Shared<R>>,
}

impl<R: Record> PushInput<R> {
    /// Pushes a record; waits while the input is full, which is back-pressure.
    ///
    /// # Errors
    /// [`PushError::Closed`].
    pub fn push(&self, record: R) -> Result<(), PushError<R>> {
        let mut queue = self.shared.lock();
        while !queue.closed && queue.records.len() >= self.shared.capacity {
            let waited = self.shared.has_room.wait(queue);
            queue = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if queue.closed {
            return Err(PushError::Closed(record));
        }
        self.shared.put(queue, record);
        Ok(())
    }

    /// Pushes a record if there is room.
    ///
    /// # Errors
    /// [`PushError::Full`] or [`PushError::Closed`].
    pub fn try_push(&self, record: R) -> Result<(), PushError<R>> {
        let queue = self.shared.lock();
        if queue.closed {
            return Err(PushError::Closed(record));
        }
        if queue.records.len() >= self.shared.capacity {
            return Err(PushError::Full(record));
        }
        self.shared.put(queue, record);
        Ok(())
    }

    /// How many records the checkpoint covers from which the job goes on: push from that one on.
    /// 0 in a fresh run, and before the job has started.
    ///
    /// What is pushed is not kept anywhere: the program that pushes must be able to come up with
    /// the records again that no checkpoint covers.
    #[must_use]
    pub fn resumed_at(&self) -> u64 {
        self.shared.lock().resumed_at
    }

    /// Ends the split once what was pushed has been read, for all clones.
    pub fn close(self) {
        self.shared.close();
    }

    /// Ends the split from elsewhere. It does not count as an input, so the split still ends when
    /// the last of these is dropped.
    pub(crate) fn closer(&self) -> impl Fn() + Send + Sync + use<R> {
        let shared = self.shared.clone();
        move || shared.close()
    }
}

impl<R> Clone for PushInput<R> {
    fn clone(&self) -> Self {
        self.shared.lock().input_count += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<R> Drop for PushInput<R> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.input_count -= 1;
        let was_last = queue.input_count == 0;
        drop(queue);
        if was_last {
            self.shared.close();
        }
    }
}

/// The end that a shard reads.
pub struct PushSplit<R> {
    name: String,
    shared: Arc<Shared<R>>,
    batch: VecDeque<R>,
    held: Option<R>,
    /// How many records it has handed out, those of earlier runs too.
    sequence: u64,
}

impl<R: Record> PushSplit<R> {
    /// Sets what wakes the shard that reads this split.
    pub fn set_wake(&mut self, wake: Wake) {
        self.shared.lock().wake = Some(wake);
    }

    /// Takes all that waits, and says whether the input was closed.
    fn take_batch(&mut self) -> bool {
        let mut queue = self.shared.lock();
        mem::swap(&mut queue.records, &mut self.batch);
        let closed = queue.closed;
        drop(queue);
        self.shared.has_room.notify_all();
        closed
    }
}

impl<R: Record> Split<R> for PushSplit<R> {
    #[inline]
    fn next(&mut self) -> Next<'_, R> {
        self.held = self.batch.pop_front();
        if self.held.is_none() {
            let closed = self.take_batch();
            self.held = self.batch.pop_front();
            if self.held.is_none() && closed {
                return Next::Ended;
            }
        }
        match &self.held {
            Some(record) => {
                self.sequence += 1;
                Next::Record(record.view())
            }
            None => Next::Pending,
        }
    }

    fn bounded(&self) -> bool {
        false
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// What waits in the queue is not in it: the program that pushes has it, or must push it again.
    fn position(&self, out: &mut Vec<u8>) {
        put_count(self.sequence, out);
    }

    fn seek(&mut self, position: &[u8], sequence: u64) -> Result<(), SourceError> {
        let count = read_count(position, sequence).map_err(|error| error.of(&self.name))?;
        self.sequence = count;
        self.shared.lock().resumed_at = count;
        Ok(())
    }
}

/// A job that ends lets go of the programs that wait to push.
impl<R> Drop for PushSplit<R> {
    fn drop(&mut self) {
        self.shared.close();
    }
}
