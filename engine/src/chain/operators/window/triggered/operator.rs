//! Windows with a trigger, as a stage drives them.

use std::cmp::Reverse;

use super::super::output::{WindowOutput, WindowView};
use super::super::spec::listed;
use super::cells::{DUE_AT, WALL_DUE_AT};
use super::contents::{Contents, Place};
use super::trigger::Trigger;
use super::windows::{CellOf, TriggeredWindows};
use crate::chain::operators::fold::Merge;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{EventTime, FrameHeader, Item, Key, KeyHash, Record, Sided, SidedView};
use crate::state::{EntryKey, Store};

impl<K, I, V, T, C, F> KeyedOperator for TriggeredWindows<K, I, V, T, C, F>
where
    K: Key,
    I: Record,
    V: Merge,
    T: Trigger,
    C: Contents<V>,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Sided<WindowOutput<K, V::Output>, I>;
    /// The record came too late.
    type Emission = ();

    const HAS_DUE: bool = true;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn dropped_count(&self) -> u64 {
        self.late_count
    }

    fn states(&self) -> Vec<OperatorState> {
        let parts = [
            self.window.identity(),
            self.rules.identity(),
            self.trigger.identity(),
            self.contents.identity(),
        ];
        let windows = CellOf::<C, T, V>::entry_layout(C::layout());
        let windows = StateLayout::new("windows", 0..=0, windows);
        vec![OperatorState {
            id: self.operator,
            kind: "triggered_windows",
            identity: listed(&parts),
            key: K::layout(),
            values: std::iter::once(windows).chain(C::more_states()).collect(),
        }]
    }

    /// Makes the heaps anew from the store.
    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.watermark = watermark;
        self.timers.clear();
        self.wall_timers.clear();
        for offset in state.iter_operator(self.operator) {
            if state.namespace(offset) != 0 {
                continue;
            }
            let hash = state.hash(offset);
            let due: i64 = state.field(offset, DUE_AT);
            if self.waits_for(due) {
                self.timers.push(Reverse((due, hash)));
            }
            let wall_due: i64 = state.field(offset, WALL_DUE_AT);
            if wall_due != i64::MAX {
                self.wall_timers.push(Reverse((wall_due, hash)));
            }
        }
    }

    fn tick(&mut self, wall_micros: i64) {
        self.wall_micros = wall_micros;
    }

    fn next_wall_micros(&self) -> Option<i64> {
        self.wall_timers.peek().map(|Reverse((at, _))| *at)
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<()> {
        let input = (self.read)(view);
        K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            let is_late = self.record(&mut Place { store: state, key }, header, input);
            self.late_count += u64::from(is_late);
            if !self.rows.is_empty() {
                self.key.clear();
                self.key.extend_from_slice(bytes);
            }
            is_late.then_some(())
        })
    }

    fn output<'a>(
        &self,
        (): (),
        _: K::View<'a>,
        view: I::View<'a>,
    ) -> <Self::Out as Item>::View<'a> {
        SidedView::Side(view)
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        while self.rows.is_empty() {
            self.reach(state, due.watermark);
            if !self.pass_next_wall(state) && !self.pass_next(state) {
                return false;
            }
        }
        true
    }

    fn due<'s>(&'s self, _: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let row = self.rows.front().expect("asked only after `advance` answered `true`");
        let view = WindowView {
            key: K::from_bytes(&self.key),
            start: EventTime(row.start),
            end: EventTime(row.end),
            value: V::output(row.value),
            kind: row.header.kind,
            timing: row.timing,
            length_index: row.length_index,
        };
        (row.header, SidedView::Main(view))
    }

    fn done(&mut self, _: &mut Store) {
        self.rows.pop_front();
    }
}
