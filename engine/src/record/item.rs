//! Items flow between operators; records are the items that can also be stored and sent.

use super::{
    EventTime, FieldError, FieldSource, FrameWriter, Key, PayloadFull, RecordLayout, RowKind,
    RowWriter, Schema,
};

/// Anything that a chain passes from operator to operator: a record, a change of a changelog, or
/// a record paired with what an operator computed for it.
pub trait Item: 'static {
    /// The item as closures see it.
    type View<'a>: Copy;
}

/// A plain struct under `#[pelton::record]`, which implements all of this.
pub trait Record: Item + Sized + Send + Sync {
    /// The rkyv form, as it lies in frames and in state.
    type Archived: rkyv::Portable;

    /// Names, types and fingerprint.
    const SCHEMA: Schema;
    /// Whether the rkyv bytes are [`Record::Archived`] alone: no text lies beside it.
    const IS_FIXED: bool = false;
    /// The fields that are text, as bits: the n-th field's is bit n, up to the 64th.
    const TEXTS: u64 = 0;

    /// The view of an owned record.
    fn view(&self) -> Self::View<'_>;
    /// The view of an archived record.
    fn view_archived(archived: &Self::Archived) -> Self::View<'_>;
    /// The view without the texts whose bits are not in `kept`: they are empty, or absent.
    #[inline(always)]
    fn narrowed(view: Self::View<'_>, _kept: u64) -> Self::View<'_> {
        view
    }
    /// The owned record. Allocates for text.
    fn to_record(view: Self::View<'_>) -> Self;
    /// The `#[event_time]` field, where there is one.
    fn event_time(view: Self::View<'_>) -> Option<EventTime>;
    /// An upper bound of what [`Record::encode`] writes.
    fn payload_bytes_max(view: Self::View<'_>) -> usize;
    /// Writes the rkyv bytes, the root last.
    ///
    /// # Errors
    /// [`PayloadFull`] where the writer's buffer has less room than `payload_bytes_max`.
    fn encode(view: Self::View<'_>, writer: &mut FrameWriter<'_>) -> Result<(), PayloadFull>;
    /// Where the fields lie in the rkyv bytes.
    fn layout() -> RecordLayout;
    /// Whether these are the rkyv bytes of such a record: for bytes that come from a disk. They
    /// start on an 8-byte boundary.
    fn is_valid_payload(payload: &[u8]) -> bool;
    /// Reads a record from text fields, in the schema's order.
    ///
    /// # Errors
    /// The first field that is missing or does not parse.
    fn decode<'a, S: FieldSource<'a>>(source: &S) -> Result<Self::View<'a>, FieldError>;
    /// Writes the fields by name, in the schema's order.
    fn write_row<W: RowWriter>(view: Self::View<'_>, writer: &mut W);
}

/// The view of a record.
pub trait View<'a>: Copy {
    /// The record that it is a view of.
    type Record: Item<View<'a> = Self>;
}

/// One change of a keyed table: the item of a `Changelog<K, V>`.
#[derive(Debug)]
pub struct Change<K, V>(std::marker::PhantomData<fn() -> (K, V)>);

/// A change as closures see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeView<K, V> {
    /// Insert, update or delete.
    pub kind: RowKind,
    /// The row's key.
    pub key: K,
    /// The row's value: the new one, except in `UpdateBefore` and `Delete`.
    pub value: V,
}

impl<K: Key, V: Copy + 'static> Item for Change<K, V> {
    type View<'a> = ChangeView<K::View<'a>, V>;
}

/// An item with what an operator computed for it.
#[derive(Debug)]
pub struct Paired<I, T>(std::marker::PhantomData<fn() -> (I, T)>);

impl<I: Item, T: Copy + 'static> Item for Paired<I, T> {
    type View<'a> = (I::View<'a>, T);
}

/// A row of a changelog without a key of its own: what it is, and whether it comes or goes.
#[derive(Debug)]
pub struct Changed<I>(std::marker::PhantomData<fn() -> I>);

/// A row that comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedView<V> {
    /// `Insert` or `UpdateAfter` where it comes, `UpdateBefore` or `Delete` where it goes.
    pub kind: RowKind,
    /// The row.
    pub row: V,
}

impl<I: Item> Item for Changed<I> {
    type View<'a> = ChangedView<I::View<'a>>;
}

/// Items of two kinds: those that go on, and those of a side output, such as late records.
#[derive(Debug)]
pub struct Sided<M, S>(std::marker::PhantomData<fn() -> (M, S)>);

/// An item that goes on, or one of the side output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SidedView<M, S> {
    /// It goes on.
    Main(M),
    /// It goes to the side.
    Side(S),
}

impl<M: Item, S: Record> Item for Sided<M, S> {
    type View<'a> = SidedView<M::View<'a>, S::View<'a>>;
}

/// What a closure emitted: nothing yet, a view that borrows, or a record of its own.
pub enum Emitted<'a, R: Record> {
    /// Nothing.
    Nothing,
    /// A view of what lies elsewhere.
    View(R::View<'a>),
    /// An owned record, as text that was made in the closure needs.
    Owned(R),
}

/// What a closure may emit: any view, and (through `#[pelton::record]`) any owned record.
pub trait Emit<'a> {
    /// The record type.
    type Record: Record;
    /// Wraps it.
    fn into_emitted(self) -> Emitted<'a, Self::Record>;
}

impl<'a, V: View<'a>> Emit<'a> for V
where
    V::Record: Record,
{
    type Record = V::Record;
    #[inline(always)]
    fn into_emitted(self) -> Emitted<'a, V::Record> {
        Emitted::View(self)
    }
}
