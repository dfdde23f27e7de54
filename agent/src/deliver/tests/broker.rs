//! A model of a broker: logs in memory, an idempotence window of five batches, and the ways in which brokers differ.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::record::{BatchView, Batches, patch_base_offset};
use uuid::Uuid;

use crate::deliver::machine::ClusterView;
use crate::deliver::queue::{Findings, Question};
use crate::spool::{Producer, Stamp};

/// A line with this in it is too large for this broker.
pub(super) const POISON: &str = "poison";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Takes any first sequence of a producer that it does not know.
    Kafka,
    /// Takes only sequence 0 of a producer that it does not know.
    Strict,
}

#[derive(Debug)]
pub(super) struct Broker {
    pub(super) kind: Kind,
    pub(super) cluster_id: Arc<str>,
    pub(super) may_describe: bool,
    pub(super) may_read: bool,
    /// Answered to every Produce instead of an append.
    pub(super) fails_with: Option<ErrorCode>,
    /// The most bytes of a batch, and whether it tells.
    pub(super) bytes_max: usize,
    pub(super) tells_bytes_max: Option<u32>,
    /// Answered to whoever asks for a topic.
    pub(super) hides_with: Option<ErrorCode>,
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    /// Those that were deleted.
    pub(super) deleted: Vec<Topic>,
    next_id: u128,
    next_producer: i64,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: Uuid,
    pub(super) partitions: Vec<Partition>,
}

#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) log: Vec<Logged>,
    producers: BTreeMap<Producer, VecDeque<(i32, i32, i64)>>,
}

#[derive(Debug)]
pub(super) struct Logged {
    pub(super) base_offset: i64,
    pub(super) producer: Producer,
    pub(super) base_sequence: i32,
    pub(super) lines: Vec<String>,
    bytes: Bytes,
}

impl Broker {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            cluster_id: Arc::from("cluster-1"),
            may_describe: true,
            may_read: true,
            fails_with: None,
            bytes_max: usize::MAX,
            tells_bytes_max: None,
            hides_with: None,
            topics: BTreeMap::new(),
            deleted: Vec::new(),
            next_id: 1,
            next_producer: 1000,
        }
    }

    /// Made anew, if there is one of this name.
    pub(super) fn create(&mut self, topic: &str, partitions: usize) {
        let id = Uuid::from_u128(self.next_id);
        self.next_id += 1;
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        let before = self.topics.insert(Arc::from(topic), Topic { id, partitions });
        self.deleted.extend(before);
    }

    pub(super) fn view(&self) -> ClusterView {
        let topics = self.topics.iter().filter(|_| self.hides_with.is_none());
        let hidden = self
            .topics
            .keys()
            .filter_map(|name| Some((Arc::clone(name), self.hides_with?)));
        ClusterView {
            cluster_id: Arc::clone(&self.cluster_id),
            topics: topics
                .map(|(name, topic)| {
                    (
                        Arc::clone(name),
                        topic.id,
                        i32::try_from(topic.partitions.len()).unwrap(),
                    )
                })
                .collect(),
            refused: hidden.collect(),
        }
    }

    pub(super) fn init_producer(&mut self) -> Producer {
        self.next_producer += 1;
        Producer {
            id: self.next_producer,
            epoch: 0,
        }
    }

    /// As after days without a batch, or on a new leader that lost its producer state.
    pub(super) fn forget_producers(&mut self) {
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.producers.clear();
        }
    }

    pub(super) fn produce(&mut self, topic: &str, stamp: &Stamp, bytes: Bytes) -> (ErrorCode, i64) {
        if let Some(code) = self.fails_with {
            return (code, -1);
        }
        let kind = self.kind;
        let Some(topic) = self.topics.get_mut(topic) else {
            return (ErrorCode::UnknownTopicOrPartition, -1);
        };
        let index = usize::try_from(stamp.partition).unwrap();
        if index >= topic.partitions.len() {
            return (ErrorCode::UnknownTopicOrPartition, -1);
        }
        if topic.id != stamp.topic_id {
            return (ErrorCode::UnknownTopicId, -1);
        }
        let batch = Batches::split(bytes, usize::MAX).next().unwrap().unwrap();
        batch.validate_produced().unwrap();
        let lines = lines_of(&batch);
        if batch.bytes.len() > self.bytes_max || lines.iter().any(|line| line.contains(POISON)) {
            return (ErrorCode::MessageTooLarge, -1);
        }
        topic.partitions[index].append(kind, &batch, lines)
    }

    /// What DescribeProducers and reading the log say.
    pub(super) fn answer(&self, topic: &str, partition: i32, question: &Question) -> Findings {
        let Some(topic) = self.topics.get(topic) else {
            return Findings::Failed("no such topic".into());
        };
        let Some(partition) = topic.partitions.get(usize::try_from(partition).unwrap()) else {
            return Findings::Failed("no such partition".into());
        };
        let recent = partition
            .producers
            .get(&question.producer)
            .filter(|_| self.may_describe);
        let last_sequence = recent.and_then(|recent| recent.back()).map(|(_, last, _)| *last);
        let read = (question.read || last_sequence.is_none()) && self.may_read;
        let found = read.then(|| {
            let from = partition
                .log
                .iter()
                .filter(|logged| logged.base_offset >= question.from.unwrap_or(0));
            let own = from.filter(|logged| logged.producer == question.producer);
            let wanted = own.filter_map(|logged| {
                let (number, ..) = question
                    .batches
                    .iter()
                    .find(|(_, base, _)| *base == logged.base_sequence)?;
                Some((*number, logged.base_offset))
            });
            wanted.collect()
        });
        Findings::Known { last_sequence, found }
    }
}

impl Logged {
    fn next_offset(&self) -> i64 {
        self.base_offset + i64::try_from(self.lines.len()).unwrap()
    }
}

impl Partition {
    fn append(&mut self, kind: Kind, batch: &BatchView, lines: Vec<String>) -> (ErrorCode, i64) {
        let header = &batch.header;
        let producer = Producer {
            id: header.producer_id,
            epoch: header.producer_epoch,
        };
        let (first, last) = (header.base_sequence, header.last_sequence());
        match self.producers.get(&producer) {
            Some(recent) => {
                if let Some((.., offset)) = recent.iter().find(|(base, end, _)| (*base, *end) == (first, last)) {
                    return (ErrorCode::None, *offset);
                }
                if recent.back().is_some_and(|(_, end, _)| first != end.wrapping_add(1)) {
                    return (ErrorCode::OutOfOrderSequenceNumber, -1);
                }
            }
            None if kind == Kind::Strict && first != 0 => return (ErrorCode::UnknownProducerId, -1),
            None => {}
        }
        let base_offset = self.end();
        let recent = self.producers.entry(producer).or_default();
        recent.push_back((first, last, base_offset));
        if recent.len() > 5 {
            recent.pop_front();
        }
        let mut bytes = batch.bytes.to_vec();
        patch_base_offset(&mut bytes, base_offset).unwrap();
        self.log.push(Logged {
            base_offset,
            producer,
            base_sequence: first,
            lines,
            bytes: bytes.into(),
        });
        (ErrorCode::None, base_offset)
    }

    pub(super) fn end(&self) -> i64 {
        self.log.last().map_or(0, Logged::next_offset)
    }

    pub(super) fn last_sequences(&self) -> impl Iterator<Item = (Producer, i32)> {
        let producers = self.producers.iter();
        producers.filter_map(|(producer, recent)| recent.back().map(|(_, last, _)| (*producer, *last)))
    }

    /// The batch that holds this offset.
    pub(super) fn batch_from(&self, offset: i64) -> Option<Bytes> {
        let logged = self.log.iter().find(|logged| logged.next_offset() > offset)?;
        Some(logged.bytes.clone())
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &String> {
        self.log.iter().flat_map(|logged| &logged.lines)
    }
}

pub(super) fn lines_of(batch: &BatchView) -> Vec<String> {
    let values = batch
        .records(1 << 20)
        .unwrap()
        .map(|record| record.unwrap().value.unwrap());
    values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}
