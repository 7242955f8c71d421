//! The states of a process function: their names in code, and their declaration.
//!
//! A state is named by a number below 64 that is unique in the function, as a constant, and
//! declared under the name that people see, in `ProcessFunction::states`. Its entries:
//!
//! ```text
//! namespace  | kind 8 bits | field 16 bits | chunk 40 bits |
//!   kind 0: a value                       kind 3: a map's head (a list's)
//!   kind 1: a list's head                 kind 4: a map's chunk of buckets' numbers (a list's)
//!   kind 2: a list's chunk of 16 items    kind 5: a map's bucket
//!   kind 6: a reduced value
//! ```
//!
//! A state with a time to live has 8 bytes before each of its values and items: when it expires.
//! By event time these are a `time`, by the wall clock an `i64`, so that the one never reads as the
//! other.
//!
//! Why declared and not found out from use: a state that a function has not touched yet in this
//! run may be in the directory, and is converted before the first record.

use std::marker::PhantomData;

use super::fold::Fold;
use crate::chain::StateLayout;
use crate::record::{Fixed, Key, Layout, TimeSpan};
use crate::state::ExpiryKind;

pub(super) const KIND_VALUE: u64 = 0;
pub(super) const KIND_LIST: u64 = 1;
pub(super) const KIND_CHUNK: u64 = 2;
pub(super) const KIND_MAP: u64 = 3;
pub(super) const KIND_MAP_CHUNK: u64 = 4;
pub(super) const KIND_BUCKET: u64 = 5;
pub(super) const KIND_REDUCED: u64 = 6;

const CHUNK_BITS: u32 = 40;
/// The highest number of a chunk or bucket.
pub(super) const CHUNK_MAX: u64 = (1 << CHUNK_BITS) - 1;

/// The namespace of a state's entry.
pub(super) fn namespace(kind: u64, field: u16, chunk: u64) -> u64 {
    debug_assert!(chunk <= CHUNK_MAX, "a list is shorter than 2^44");
    kind << 56 | u64::from(field) << CHUNK_BITS | chunk
}

/// How long a state lives after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeToLive {
    pub(super) span: TimeSpan,
    pub(super) clock: ExpiryKind,
}

/// What all names of states have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct StateName {
    pub(super) field: u16,
    pub(super) ttl: Option<TimeToLive>,
}

impl StateName {
    const fn new(field: u16) -> Self {
        assert!(field < 64, "a process function's states are numbered from 0 to 63");
        Self { field, ttl: None }
    }

    const fn ttl(self, span: TimeSpan, clock: ExpiryKind) -> Self {
        assert!(span.0 > 0, "what is written lives for some time");
        Self { ttl: Some(TimeToLive { span, clock }), ..self }
    }

    fn layout(self, value: Layout) -> Layout {
        let expires_at = match self.ttl.map(|ttl| ttl.clock) {
            None => return value,
            Some(ExpiryKind::Event) => Layout::Time,
            Some(ExpiryKind::Wall) => Layout::Int(64),
        };
        Layout::fields([("expires_at", expires_at), ("value", value)])
    }
}

macro_rules! state_name {
    ($(#[$documentation:meta])* $name:ident<$($kind:ident: $bound:ident),*>) => {
        $(#[$documentation])*
        #[derive(Debug)]
        pub struct $name<$($kind),*> {
            pub(super) name: StateName,
            kind: PhantomData<fn() -> ($($kind,)*)>,
        }

        impl<$($kind),*> Clone for $name<$($kind),*> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($kind),*> Copy for $name<$($kind),*> {}

        impl<$($kind: $bound),*> $name<$($kind),*> {
            /// The state with this number, below 64.
            #[must_use]
            pub const fn new(field: u16) -> Self {
                Self { name: StateName::new(field), kind: PhantomData }
            }

            /// The same, gone `span` after it was written last. By event time that is counted from
            /// the record's own time, and a record sees what had not expired at its time, unless a
            /// later record of its key came before it; by the wall clock it depends on when the
            /// job ran.
            #[must_use]
            pub const fn ttl(self, span: TimeSpan, clock: ExpiryKind) -> Self {
                Self { name: self.name.ttl(span, clock), kind: PhantomData }
            }
        }
    };
}

state_name! {
    /// Names a value of a key: `const COUNT: ValueState<u64> = ValueState::new(0)`.
    ValueState<T: Fixed>
}
state_name! {
    /// Names a list of a key: `const SEEN: ListState<u64> = ListState::new(1)`. With a time to live
    /// each item has its own.
    ListState<T: Fixed>
}
state_name! {
    /// Names a map of a key: `const BY_PAGE: MapState<String, u64> = MapState::new(2)`. With a time
    /// to live each of its entries has its own.
    MapState<K: Key, T: Fixed>
}
state_name! {
    /// Names a value that a fold makes: `const SUM: ReducingState<Sum<u64>> = ReducingState::new(3)`.
    ReducingState<F: Fold>
}

/// The kinds, as they are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StateKind {
    Value,
    List,
    Map,
    Reducing,
}

impl StateKind {
    /// How it is declared, for messages.
    fn method(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::List => "list",
            Self::Map => "map",
            Self::Reducing => "reducing",
        }
    }
}

/// Which states a function has declared: a bit for each number, by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Declared([u64; 4]);

impl Declared {
    /// Panics where the state is not declared: a bug in the job.
    #[inline]
    pub(super) fn check(&self, kind: StateKind, name: StateName) {
        if self.0[kind as usize] >> name.field & 1 == 0 {
            undeclared(kind, name.field);
        }
    }
}

#[cold]
fn undeclared(kind: StateKind, field: u16) -> ! {
    let method = kind.method();
    panic!(
        "the process function uses its {method} state {field}, which it does not declare: add \
         `states.{method}(\"a name\", THE_STATE)` to its `fn states`"
    )
}

/// Takes the declarations of a process function.
#[derive(Debug, Default)]
pub struct States {
    pub(super) declared: Declared,
    pub(super) layouts: Vec<StateLayout>,
}

impl States {
    /// Declares a value.
    pub fn value<T: Fixed>(&mut self, name: &str, state: ValueState<T>) -> &mut Self {
        self.declare(StateKind::Value, name, state.name);
        self.layout(name, "", KIND_VALUE, state.name, 0, state.name.layout(T::layout()))
    }

    /// Declares a value that a fold makes.
    pub fn reducing<F: Fold>(&mut self, name: &str, state: ReducingState<F>) -> &mut Self {
        self.declare(StateKind::Reducing, name, state.name);
        self.layout(name, "", KIND_REDUCED, state.name, 0, state.name.layout(F::State::layout()))
    }

    /// Declares a list.
    pub fn list<T: Fixed>(&mut self, name: &str, state: ListState<T>) -> &mut Self {
        self.declare(StateKind::List, name, state.name);
        self.list_layouts::<T>(name, ["", ".head"], [KIND_CHUNK, KIND_LIST], state.name)
    }

    /// Declares a map.
    pub fn map<K: Key, T: Fixed>(&mut self, name: &str, state: MapState<K, T>) -> &mut Self {
        self.declare(StateKind::Map, name, state.name);
        let pair = [("key", K::layout()), ("value", state.name.layout(T::layout()))];
        let pairs = Layout::Repeated(Box::new(Layout::fields(pair)));
        let bucket = Layout::fields([("place", <u64 as Fixed>::layout()), ("entries", pairs)]);
        self.layout(name, "", KIND_BUCKET, state.name, CHUNK_MAX, state.name.layout(bucket));
        self.list_layouts::<u64>(name, [".order", ".head"], [KIND_MAP_CHUNK, KIND_MAP], state.name)
    }

    fn list_layouts<T: Fixed>(
        &mut self,
        name: &str,
        parts: [&str; 2],
        kinds: [u64; 2],
        state: StateName,
    ) -> &mut Self {
        let items = Layout::Repeated(Box::new(state.layout(T::layout())));
        let head = Layout::fields([
            ("first", <u64 as Fixed>::layout()),
            ("next", <u64 as Fixed>::layout()),
        ]);
        self.layout(name, parts[0], kinds[0], state, CHUNK_MAX, state.layout(items));
        self.layout(name, parts[1], kinds[1], state, 0, state.layout(head))
    }

    fn declare(&mut self, kind: StateKind, name: &str, state: StateName) {
        let bit = 1 << state.field;
        let is_taken = self.declared.0.iter().any(|bits| bits & bit != 0);
        assert!(!is_taken, "state `{name}` has number {}, as one before it", state.field);
        let has_name = self.layouts.iter().any(|layout| layout.name == name);
        assert!(!has_name, "two states of the process function are called `{name}`");
        self.declared.0[kind as usize] |= bit;
    }

    fn layout(
        &mut self,
        name: &str,
        part: &str,
        kind: u64,
        state: StateName,
        chunk_max: u64,
        layout: Layout,
    ) -> &mut Self {
        let [first, last] = [0, chunk_max].map(|chunk| namespace(kind, state.field, chunk));
        self.layouts.push(StateLayout::new(&format!("{name}{part}"), first..=last, layout));
        self
    }
}
