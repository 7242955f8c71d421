//! What time does to windows: timers, ends, and what is gone.
//!
//! Takes the watermark and the wall clock; hands on windows to be fired, one key at a time, in the
//! order (time, key's hash).

use std::cmp::Reverse;

use super::super::output::Timing;
use super::cells::{DUE_AT, ENDED, WALL_DUE_AT};
use super::contents::{Contents, Place};
use super::trigger::Trigger;
use super::windows::{Cause, CellOf, Next, TriggeredWindows, status_of};
use crate::chain::operators::fold::Merge;
use crate::record::{EventTime, KeyHash, Record};
use crate::state::{EntryKey, LogOffset, Store};

impl<K, I, V, T, C, F> TriggeredWindows<K, I, V, T, C, F>
where
    I: Record,
    V: Merge,
    T: Trigger,
    C: Contents<V>,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// What happens to a window next by event time, and when.
    fn next_of(&self, cell: &CellOf<C, T, V>) -> (i64, Next) {
        if cell.has(ENDED) {
            return (self.expiry_of(cell.end), Next::Expiry);
        }
        let last = self.last_of(cell.end);
        match self.trigger.event_timer(&cell.trigger) {
            Some(timer) if timer.0 < last => (timer.0, Next::Timer),
            _ => (last, Next::End),
        }
    }

    /// Lets everything happen to the loaded windows that is due at or before `until`.
    fn pass(&mut self, place: &mut Place<'_, '_>, until: i64) {
        let cause = Cause::Time(place.key.hash);
        let mut index = 0;
        while index < self.windows.cells.len() {
            let (at, next) = self.next_of(&self.windows.cells[index]);
            if at > until {
                index += 1;
                continue;
            }
            self.windows.touch(index);
            let cell = &mut self.windows.cells[index];
            let status = status_of(cell, self.watermark, self.wall_micros);
            match next {
                Next::Timer => {
                    let fire = self.trigger.on_event_timer(&mut cell.trigger, &status);
                    let again = self.trigger.event_timer(&cell.trigger);
                    assert!(again.is_none_or(|again| again.0 > at), "a trigger's timer moves on");
                    self.fire(place, index, fire, Timing::Early, cause);
                }
                Next::End => {
                    cell.set(ENDED, true);
                    let fire = self.trigger.on_end(&mut cell.trigger, &status);
                    self.fire(place, index, fire, Timing::OnTime, cause);
                }
                Next::Expiry => {
                    let fire = self.trigger.on_expiry(&mut cell.trigger, &status);
                    self.fire(place, index, fire, Timing::OnTime, cause);
                    let mut cell = self.windows.remove(index);
                    self.contents.clear(place, &mut cell.contents);
                }
            }
        }
    }

    /// The same by the wall clock.
    fn pass_wall(&mut self, place: &mut Place<'_, '_>) {
        for index in 0..self.windows.cells.len() {
            let cell = &mut self.windows.cells[index];
            let timer = self.trigger.wall_timer(&cell.trigger).filter(|_| !cell.has(ENDED));
            if timer.is_none_or(|at| at > self.wall_micros) {
                continue;
            }
            self.windows.touch(index);
            let cell = &mut self.windows.cells[index];
            let status = status_of(cell, self.watermark, self.wall_micros);
            let fire = self.trigger.on_wall_timer(&mut cell.trigger, &status);
            let again = self.trigger.wall_timer(&cell.trigger);
            assert!(
                again.is_none_or(|again| again > self.wall_micros),
                "a trigger's timer moves on"
            );
            self.fire(place, index, fire, Timing::Early, Cause::Time(place.key.hash));
        }
    }

    /// Writes the loaded windows back, and sees to it that they are looked at in time.
    #[inline(always)]
    pub(super) fn save(&mut self, place: &mut Place<'_, '_>, hash: KeyHash) {
        if self.is_global {
            self.drop_purged();
        }
        let (mut due, mut wall_due) = (i64::MAX, i64::MAX);
        for cell in &self.windows.cells {
            due = due.min(self.next_of(cell).0);
            if let Some(at) = self.trigger.wall_timer(&cell.trigger).filter(|_| !cell.has(ENDED)) {
                wall_due = wall_due.min(at);
            }
        }
        let is_unscheduled = self.windows.is_unscheduled && !self.windows.cells.is_empty();
        let waits = self.waits_for(due);
        let head = &mut self.windows.head;
        if due < head.due || is_unscheduled {
            head.due = due;
            if waits {
                self.timers.push(Reverse((due, hash)));
            }
        }
        if wall_due < head.wall_due {
            head.wall_due = wall_due;
            self.wall_timers.push(Reverse((wall_due, hash)));
        }
        self.windows.save(place.store, &place.key);
    }

    /// Whether what is due then stands in the heap: what is due at the end of the input does so only
    /// once that has come.
    pub(super) fn waits_for(&self, due: i64) -> bool {
        due != i64::MAX || self.watermark == EventTime::MAX
    }

    /// Goes on to the watermark; the last one makes due what waits for the end of the input.
    #[inline(always)]
    pub(super) fn reach(&mut self, store: &Store, watermark: EventTime) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        if watermark == EventTime::MAX {
            let entries = store.iter_operator(self.operator);
            let windows = entries.filter(|offset| store.namespace(*offset) == 0);
            let at_end = windows.filter(|offset| store.field::<i64>(*offset, DUE_AT) == i64::MAX);
            self.timers.extend(at_end.map(|offset| Reverse((i64::MAX, store.hash(offset)))));
        }
    }

    /// A global window that holds nothing is as good as none.
    fn drop_purged(&mut self) {
        if self.windows.cells.first().is_some_and(|cell| cell.record_count == 0) {
            self.windows.remove(0);
        }
    }

    /// Works on the windows of the entry at `offset`.
    fn work(
        &mut self,
        store: &mut Store,
        offset: LogOffset,
        work: impl FnOnce(&mut Self, &mut Place<'_, '_>),
    ) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(store.key(offset));
        let hash = store.hash(offset);
        let entry = EntryKey { operator: self.operator, hash, key: &key, namespace: 0 };
        self.windows.load(store, Some(offset));
        let mut place = Place { store, key: entry };
        work(self, &mut place);
        self.save(&mut place, hash);
        self.key = key;
    }

    /// Lets the earliest thing happen that is due; answers whether there was one.
    pub(super) fn pass_next(&mut self, store: &mut Store) -> bool {
        let Some(&Reverse((at, hash))) = self.timers.peek() else {
            return false;
        };
        if at > self.watermark.0 {
            return false;
        }
        let due = |offset: &LogOffset| store.field::<i64>(*offset, DUE_AT) <= at;
        let Some(offset) = store.candidates(self.operator, hash, 0).find(due) else {
            self.timers.pop();
            return true;
        };
        self.work(store, offset, |windows, place| {
            windows.pass(place, at);
            // It is set anew, to when something is due really.
            windows.windows.head.due = i64::MAX;
            windows.windows.is_unscheduled = true;
        });
        true
    }

    /// The same by the wall clock.
    pub(super) fn pass_next_wall(&mut self, store: &mut Store) -> bool {
        let Some(&Reverse((at, hash))) = self.wall_timers.peek() else {
            return false;
        };
        if at > self.wall_micros {
            return false;
        }
        let due = |offset: &LogOffset| store.field::<i64>(*offset, WALL_DUE_AT) <= at;
        let Some(offset) = store.candidates(self.operator, hash, 0).find(due) else {
            self.wall_timers.pop();
            return true;
        };
        self.work(store, offset, |windows, place| {
            windows.pass_wall(place);
            windows.windows.head.wall_due = i64::MAX;
        });
        true
    }
}
