//! Where the records of an exchange go.

use std::marker::PhantomData;
use std::panic::Location;

use crate::record::{FrameHeader, Item, Key, KeyHash};
use crate::route::{RangeTable, ShardId};

use super::super::operators::merge_key_hash;
use super::super::out::KeyFn;
use super::super::plan::{RoutePlan, type_name};
use super::reads::Reads;

/// Where a record goes.
pub trait Route<I: Item>: Clone + Send + Sync + 'static {
    /// The route from this shard.
    fn at(&self, _shard: ShardId) -> Self {
        self.clone()
    }

    /// What is read of the records behind it.
    fn reads(&self) -> Reads {
        Reads::whole("they go on as they are")
    }

    /// What it is, for plans.
    fn describe(&self) -> RoutePlan;

    /// The hash that the record goes under.
    fn hash(&self, header: &FrameHeader, view: I::View<'_>) -> KeyHash;

    /// That hash, and the shard: as a rule the one that owns its slot.
    #[inline(always)]
    fn target(
        &self,
        header: &FrameHeader,
        view: I::View<'_>,
        ranges: &RangeTable,
    ) -> (KeyHash, ShardId) {
        let hash = self.hash(header, view);
        (hash, ranges.owner(hash))
    }
}

/// By the record's key.
#[derive(Debug)]
pub struct ByKey<K, F> {
    /// Reads the key.
    pub key_fn: F,
    /// Where the job chooses the key; for plans.
    at: Option<&'static Location<'static>>,
    reads: Reads,
    key: PhantomData<fn() -> K>,
}

impl<K, F: Clone> Clone for ByKey<K, F> {
    fn clone(&self) -> Self {
        let reads = self.reads.clone();
        Self { key_fn: self.key_fn.clone(), at: self.at, reads, key: PhantomData }
    }
}

impl<K, F> ByKey<K, F> {
    pub(crate) fn new(key_fn: F) -> Self {
        let reads = Reads::whole("what stands behind may read all of it");
        Self { key_fn, at: None, reads, key: PhantomData }
    }

    /// Says what is read of the records.
    pub(crate) fn read_as(mut self, reads: Reads) -> Self {
        self.reads = reads;
        self
    }

    /// Says where the job chooses the key.
    pub(crate) fn chosen_at(mut self, at: &'static Location<'static>) -> Self {
        self.at = Some(at);
        self
    }
}

impl<I: Item, K: Key, F: KeyFn<I, K>> Route<I> for ByKey<K, F> {
    fn reads(&self) -> Reads {
        self.reads.clone()
    }

    fn describe(&self) -> RoutePlan {
        let at = self.at.map(Into::into);
        RoutePlan { kind: "by key".to_owned(), key: Some(type_name::<K>()), text: None, at }
    }

    #[inline(always)]
    fn hash(&self, _: &FrameHeader, view: I::View<'_>) -> KeyHash {
        K::hash(self.key_fn.key(view))
    }
}

/// By ingress position: what branched from one record meets again, and records spread evenly.
#[derive(Debug, Clone, Copy)]
pub struct ByPosition;

impl<I: Item> Route<I> for ByPosition {
    fn describe(&self) -> RoutePlan {
        RoutePlan::keyless("by position")
    }

    #[inline(always)]
    fn hash(&self, header: &FrameHeader, _: I::View<'_>) -> KeyHash {
        merge_key_hash(header.position, header.ordinal)
    }
}

/// To the shard that it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Local(pub ShardId);

impl<I: Item> Route<I> for Local {
    fn describe(&self) -> RoutePlan {
        RoutePlan::keyless("within the shard")
    }

    fn at(&self, shard: ShardId) -> Self {
        Self(shard)
    }

    #[inline(always)]
    fn hash(&self, header: &FrameHeader, _: I::View<'_>) -> KeyHash {
        header.key_hash
    }

    #[inline(always)]
    fn target(&self, header: &FrameHeader, _: I::View<'_>, _: &RangeTable) -> (KeyHash, ShardId) {
        (header.key_hash, self.0)
    }
}
