//! Identities of the batches in a queue: given in order to what is new, and given anew, under a producer id that was never
//! used here, to what cannot go out under the one it has.

use super::identity::{NeedsProducer, Target, Writer};
use super::item::Item;
use super::{Act, Phase, Queue};
use crate::spool::{Bind, Producer};

/// Which batches cannot go out under the identity they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restamp {
    All,
    Of(Producer),
}

impl Restamp {
    pub(super) fn concerns(self, item: &Item) -> bool {
        match self {
            Self::All => true,
            Self::Of(producer) => item.producer() == Some(producer),
        }
    }
}

impl Queue {
    /// Gives every batch without identity one, in order, as far as nothing before it has to be settled first.
    pub(in crate::deliver) fn bind_new(
        &mut self,
        target: &Target,
        producer: Option<Producer>,
    ) -> Result<Option<Bind>, NeedsProducer> {
        let is_elsewhere = |item: &Item| item.stamp.as_ref().is_some_and(|stamp| !target.is_of(stamp));
        let is_bound = self.items.back().is_none_or(|last| last.stamp.is_some());
        let is_split = self.phase == Phase::Splitting || self.has_unbound_before_bound();
        if is_bound || is_split || self.restamp.is_some() || self.unsettled().any(is_elsewhere) {
            return Ok(None);
        }
        let mut writer = match self.writer.take() {
            Some(writer)
                if target.is(
                    &writer.target.cluster_id,
                    writer.target.topic_id,
                    writer.target.partition,
                ) =>
            {
                writer
            }
            _ => self.new_writer(target, producer)?,
        };
        let unbound = self.items.iter_mut().filter(|item| item.stamp.is_none());
        let batches: Vec<_> = unbound.map(|item| writer.stamp(item)).collect();
        let bind = writer.bind(batches);
        self.writer = Some(writer);
        Ok(bind)
    }

    pub(super) fn new_writer(&mut self, target: &Target, producer: Option<Producer>) -> Result<Writer, NeedsProducer> {
        let unused = producer
            .filter(|producer| self.last_used != Some(*producer))
            .ok_or(NeedsProducer)?;
        self.last_used = Some(unused);
        Ok(Writer {
            target: target.clone(),
            producer: unused,
            next_sequence: 0,
        })
    }

    /// Stamps anew what cannot go out under the identity it has, if that is what the queue waits for.
    pub(in crate::deliver) fn restamp(
        &mut self,
        target: &Target,
        producer: Option<Producer>,
        acts: &mut Vec<Act>,
    ) -> Result<(), NeedsProducer> {
        let (Phase::NeedsProducer, Some(restamp)) = (self.phase, self.restamp) else {
            return Ok(());
        };
        let mut writer = self.new_writer(target, producer)?;
        let chosen = self
            .items
            .iter_mut()
            .filter(|item| item.is_unsettled() && restamp.concerns(item));
        let batches: Vec<_> = chosen.map(|item| writer.stamp(item)).collect();
        acts.extend(writer.bind(batches).map(Act::Bind));
        self.drop_spent_writer();
        if self.writer.is_none() {
            self.writer = Some(writer);
        }
        self.restamp = None;
        self.phase = Phase::Flowing;
        Ok(())
    }

    /// A producer with a gap in its sequences stamps nothing more, even if no batch of its is left.
    pub(super) fn drop_spent_writer(&mut self) {
        let spent = self.restamp;
        self.writer = self.writer.take().filter(|writer| match spent {
            None => true,
            Some(Restamp::All) => false,
            Some(Restamp::Of(producer)) => writer.producer != producer,
        });
    }

    /// Parts of a batch before what was behind it: so a process leaves it that dies between splitting and stamping.
    pub(super) fn has_unbound_before_bound(&self) -> bool {
        let mut stamps = self.unsettled().map(|item| item.stamp.is_some());
        stamps.any(|is_bound| !is_bound) && stamps.any(|is_bound| is_bound)
    }
}
