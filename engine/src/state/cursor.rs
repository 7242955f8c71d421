//! Walks an operator's entries in slot order, a stretch at a time.
//!
//! Takes a position; hands on the offsets of the entries after it, by (hash, namespace, key), which
//! is slot order, as the slot is the hash's high bits.
//!
//! Why stretches: entries lie in the order of their writing. Keeping a list a slot would cost 16
//! bytes an entry and a cache miss an insertion; sorting all offsets of 10 M keys at once would take
//! as long as all stretches together and 240 MB. So one walk over the store picks the next
//! [`STRETCH_ENTRIES_MAX`] entries. The price, at 10 M keys: ten pauses of about a second each on a
//! busy two-core machine, at the end of the input; with a million keys or fewer it is one.

use super::entry::Entry;
use super::{LogOffset, OperatorId, Store};

/// How many entries one walk picks.
const STRETCH_ENTRIES_MAX: usize = 1 << 20;

/// A place in an operator's slot order: after all entries that compare less or equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotPosition {
    /// The key's hash.
    pub hash: u64,
    /// The namespace.
    pub namespace: u64,
}

/// Walks the entries of one operator in slot order. Entries that are added behind it are not seen;
/// entries that are deleted before it are not seen either.
///
/// It holds offsets while it walks: an entry that is moved before it comes by is missed. So what it
/// walks is not changed meanwhile, and nobody calls [`Store::maintain`]; a freeze moves nothing.
#[derive(Debug)]
pub struct SlotCursor {
    operator: OperatorId,
    after: Option<SlotPosition>,
    /// The rest of this stretch, the next entry last.
    stretch: Vec<(SlotPosition, LogOffset)>,
    stretch_entries_max: usize,
    ended: bool,
}

impl SlotCursor {
    /// A cursor before the first entry, or after `after`.
    #[must_use]
    pub fn new(operator: OperatorId, after: Option<SlotPosition>) -> Self {
        Self {
            operator,
            after,
            stretch: Vec::new(),
            stretch_entries_max: STRETCH_ENTRIES_MAX,
            ended: false,
        }
    }

    /// The same, with shorter stretches: for tests.
    #[must_use]
    pub fn with_stretch(mut self, entries_max: usize) -> Self {
        self.stretch_entries_max = entries_max;
        self
    }

    /// After which position the cursor stands: give it to [`SlotCursor::new`] to go on from here.
    #[must_use]
    pub fn position(&self) -> Option<SlotPosition> {
        self.after
    }

    /// Goes on to the next entry.
    pub fn next(&mut self, store: &Store) -> Option<LogOffset> {
        loop {
            while let Some((position, offset)) = self.stretch.pop() {
                self.after = Some(position);
                let lives = store
                    .living(self.operator, offset)
                    .is_some_and(|entry| position_of(entry) == position);
                if lives {
                    return Some(offset);
                }
            }
            if self.ended {
                return None;
            }
            self.fill(store);
        }
    }

    /// Picks the least entries after the position, in one walk.
    fn fill(&mut self, store: &Store) {
        let max = self.stretch_entries_max;
        let mut cut: Option<SlotPosition> = None;
        for (offset, entry) in slot_entries(store, self.operator) {
            let position = position_of(entry);
            if Some(position) <= self.after || cut.is_some_and(|cut| position > cut) {
                continue;
            }
            self.stretch.push((position, offset));
            if self.stretch.len() >= 2 * max {
                cut = Some(keep_least(&mut self.stretch, max));
            }
        }
        if self.stretch.len() > max {
            cut = Some(keep_least(&mut self.stretch, max));
        }
        self.ended = cut.is_none();
        self.stretch.sort_unstable_by(|left, right| {
            let key = |offset: LogOffset| store.key(offset);
            (right.0, key(right.1)).cmp(&(left.0, key(left.1)))
        });
    }
}

/// The live entries of one operator, in the order of their writing.
pub(super) fn slot_entries(
    store: &Store,
    operator: OperatorId,
) -> impl Iterator<Item = (LogOffset, Entry<'_>)> {
    store.entries().filter(move |(_, entry)| entry.operator() == operator)
}

fn position_of(entry: Entry<'_>) -> SlotPosition {
    SlotPosition { hash: entry.hash().0, namespace: entry.namespace() }
}

/// Keeps the `count` least, and all that are at the same position as the last of them, so that
/// keys with one hash stay together. Answers with that position.
fn keep_least(stretch: &mut Vec<(SlotPosition, LogOffset)>, count: usize) -> SlotPosition {
    let (_, &mut (cut, _), _) = stretch.select_nth_unstable(count - 1);
    stretch.retain(|&(position, _)| position <= cut);
    cut
}
