//! The proc macros of Pelton: `#[pelton::record]`, `#[pelton::state]`, `#[pelton::job]` and
//! `#[pelton::part]`.
//!
//! Takes the user's items; hands on thin code over the engine's traits.
//!
//! Invariants
//! 1. What is emitted holds no `unsafe` of its own and can be printed and read.
//! 2. An error points at the user's own token and says what to write instead.
//! 3. The macros know the engine by path only (`::pelton::..`), so neither needs the other to be
//!    built before its tests run.
//!
//! Why macros at all: a view borrows from where its record lies, and Rust can't yet infer that a
//! closure's result borrows from its argument. The macros write down the lifetimes that a person
//! would have to write by hand. Reflection at run time was refused: it would put a dynamic call
//! between the operators of a chain.

use proc_macro::TokenStream;

mod job;
mod record;
mod state;

/// Makes a plain struct with named fields a record: something that can be read from text, sent
/// between shards and kept in state.
///
/// ```text
/// #[pelton::record]
/// pub struct Click {
///     #[event_time]
///     pub time: EventTime,
///     pub user: String,
///     pub page: Option<String>,
///     pub count: u32,
/// }
/// ```
///
/// The struct stays as it is written. It gains `Debug`, `Clone` and `PartialEq` (where it does
/// not derive them itself, *below* this attribute), rkyv's `Archive`, `Serialize` and
/// `Deserialize`, and a *view*, which is what closures see:
///
/// ```text
/// pub struct ClickView<'a> { pub time: EventTime, pub user: &'a str, pub page: Option<&'a str>, pub count: u32 }
/// ```
///
/// A view is `Copy`, has the fields' visibilities and serialises to the same bytes as the struct.
/// A record without text borrows nothing, so its view has no lifetime: `struct TickView { .. }`.
/// Either way `<Click as Item>::View<'a>` names it.
///
/// Fields are `bool`, `i8` to `i64`, `u8` to `u64`, `f32`, `f64`, `String`, `EventTime`,
/// `Decimal`, and `Option` of those; types are known by their last path segment, so an alias is
/// refused. At most one field, of type `EventTime`, is marked `#[event_time]`.
#[proc_macro_attribute]
pub fn record(arguments: TokenStream, item: TokenStream) -> TokenStream {
    record::expand(arguments.into(), item.into()).into()
}

/// Makes a plain struct with named fields a value that state can hold.
///
/// ```text
/// #[pelton::state]
/// pub struct Profile {
///     pub count: u64,
///     pub last: EventTime,
///     pub by_hour: [u32; 24],
/// }
/// ```
///
/// Fields are of fixed length: `bool`, integers to 128 bits, floats, `EventTime`, `Decimal`,
/// arrays and tuples of those, and other such structs. The struct gains `Debug`, `Clone`, `Copy`,
/// `PartialEq` and `Default`, where it does not derive them itself, *below* this attribute.
///
/// A later version of the job may add, remove, reorder and widen fields. An added field reads as
/// zero bytes in what was kept before, so a `Default` of one's own should be zeroes too.
#[proc_macro_attribute]
pub fn state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    state::expand(arguments.into(), item.into()).into()
}

/// Makes a function from streams to streams a job.
///
/// ```text
/// #[pelton::job]
/// fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
///     clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
/// }
/// ```
///
/// What it changes, and nothing else:
///
/// - The closures of `map`, `filter_map`, `flat_map` and `key_by` on a stream hand their result
///   to a second parameter instead of returning it, and capture by value (`move`), so a setting
///   that two of them use must be `Copy` or cloned. `return` and `?` are refused in them. A
///   closure that already has two parameters is left alone.
/// - `Stream<X>` and `Changelog<K, V>` in the return type gain their chain parameter.
/// - A `Stream<X>` parameter may be used several times: it branches at the source. A stream that
///   was derived from it may be used once.
/// - Every stateful operator gets a stable name: the name of its `let`, or the function's for
///   the last expression; one in the middle of a chain gets its own name after it. What the user
///   wrote with `.named("..")` stays. Two of one name are refused.
/// - A call of a function that is given a stream offers it a name for what it adds, which a
///   [`macro@part`] takes.
/// - A type of the function's name holds a listing: the expansion as text, for `pelton expand`, and
///   what plans say of the operators.
///
/// Parameters that are not streams, such as settings, stay as they are.
///
/// A hidden type of the function's name is made beside it, which `pelton::main!` finds the printed code
/// by: so no module or type beside it may have that name, and a job is not an associated function.
#[proc_macro_attribute]
pub fn job(arguments: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(job::Kind::Job, arguments.into(), item.into()).into()
}

/// Makes a function that takes and returns streams a part of jobs.
///
/// ```text
/// #[pelton::part]
/// fn busy(clicks: Stream<Click>, count_min: u64) -> Stream<UserCount> {
///     let count = clicks.key_by(|c| c.user).count();
///     count.changes().filter(|c| c.value >= count_min).map(|c| UserCountView { .. })
/// }
///
/// #[pelton::job]
/// fn alarms(home: Stream<Click>, shop: Stream<Click>) -> (Stream<UserCount>, Stream<UserCount>) {
///     let at_home = busy(home, 100);
///     let in_shop = busy(shop, 10);
///     (at_home, in_shop)
/// }
/// ```
///
/// As [`macro@job`], with two differences: a parameter `Stream<X>` may come from any operator, so
/// it is used once unless `.fork()` is called on it; and the names of its operators stand behind
/// that of the call, `at_home.count` and `in_shop.count` here, so that each use has its own state.
#[proc_macro_attribute]
pub fn part(arguments: TokenStream, item: TokenStream) -> TokenStream {
    job::expand(job::Kind::Part, arguments.into(), item.into()).into()
}
