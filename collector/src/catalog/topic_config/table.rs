//! The keys themselves.

use super::{ConfigKey, ConfigType, Rule};

const I32_MAX: i64 = i32::MAX as i64;

/// Every topic config, by name.
pub static KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: "cleanup.policy",
        broker_name: "log.cleanup.policy",
        kind: ConfigType::List,
        default: "delete",
        rule: Rule::SomeOf(&["delete", "compact"]),
        documentation: "What becomes of old data: delete drops it by age or size, compact keeps the newest record of \
                        each key, and both may be combined.",
    },
    ConfigKey {
        name: "compression.type",
        broker_name: "compression.type",
        kind: ConfigType::String,
        default: "producer",
        rule: Rule::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        documentation: "Accepted for compatibility. Batches are always stored as their producer compressed them.",
    },
    ConfigKey {
        name: "delete.retention.ms",
        broker_name: "log.cleaner.delete.retention.ms",
        kind: ConfigType::Long,
        default: "86400000",
        rule: Rule::Integer(0, i64::MAX),
        documentation: "How long a deletion mark (a record without a value) stays in a compacted topic after the \
                        compaction that first met it.",
    },
    ConfigKey {
        name: "file.delete.delay.ms",
        broker_name: "log.segment.delete.delay.ms",
        kind: ConfigType::Long,
        default: "60000",
        rule: Rule::Integer(0, i64::MAX),
        documentation: "Accepted for compatibility. Replaced objects are deleted after the collector's own grace \
                        period.",
    },
    ConfigKey {
        name: "flush.messages",
        broker_name: "log.flush.interval.messages",
        kind: ConfigType::Long,
        default: "9223372036854775807",
        rule: Rule::Integer(1, i64::MAX),
        documentation: "Accepted for compatibility. Every batch is on stable storage before it is acknowledged.",
    },
    ConfigKey {
        name: "flush.ms",
        broker_name: "log.flush.interval.ms",
        kind: ConfigType::Long,
        default: "9223372036854775807",
        rule: Rule::Integer(0, i64::MAX),
        documentation: "Accepted for compatibility. Every batch is on stable storage before it is acknowledged.",
    },
    ConfigKey {
        name: "index.interval.bytes",
        broker_name: "log.index.interval.bytes",
        kind: ConfigType::Int,
        default: "4096",
        rule: Rule::Integer(0, I32_MAX),
        documentation: "Accepted for compatibility. The index interval is part of the segment format.",
    },
    ConfigKey {
        name: "max.compaction.lag.ms",
        broker_name: "log.cleaner.max.compaction.lag.ms",
        kind: ConfigType::Long,
        default: "9223372036854775807",
        rule: Rule::Integer(1, i64::MAX),
        documentation: "How long a record of a compacted topic may stay uncompacted at most, once it has left the \
                        write-ahead log.",
    },
    ConfigKey {
        name: "max.message.bytes",
        broker_name: "message.max.bytes",
        kind: ConfigType::Int,
        default: "1048588",
        rule: Rule::Integer(0, I32_MAX),
        documentation: "The largest record batch that is taken, in bytes, as compressed by its producer.",
    },
    ConfigKey {
        name: "message.timestamp.type",
        broker_name: "log.message.timestamp.type",
        kind: ConfigType::String,
        default: "CreateTime",
        rule: Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        documentation: "Whether a record keeps its producer's timestamp or gets the time at which it was appended.",
    },
    ConfigKey {
        name: "min.cleanable.dirty.ratio",
        broker_name: "log.cleaner.min.cleanable.ratio",
        kind: ConfigType::Double,
        default: "0.5",
        rule: Rule::Float(0.0, 1.0),
        documentation: "The share of a compacted partition's bytes that must not be compacted yet before it is \
                        compacted again.",
    },
    ConfigKey {
        name: "min.compaction.lag.ms",
        broker_name: "log.cleaner.min.compaction.lag.ms",
        kind: ConfigType::Long,
        default: "0",
        rule: Rule::Integer(0, i64::MAX),
        documentation: "How long a record of a compacted topic stays uncompacted at least.",
    },
    ConfigKey {
        name: "min.insync.replicas",
        broker_name: "min.insync.replicas",
        kind: ConfigType::Int,
        default: "1",
        rule: Rule::Integer(1, I32_MAX),
        documentation: "Accepted for compatibility. A batch is acknowledged when it is on stable storage; there are no \
                        replicas to wait for.",
    },
    ConfigKey {
        name: "preallocate",
        broker_name: "log.preallocate",
        kind: ConfigType::Boolean,
        default: "false",
        rule: Rule::Boolean,
        documentation: "Accepted for compatibility. The write-ahead log is always preallocated.",
    },
    ConfigKey {
        name: "retention.bytes",
        broker_name: "log.retention.bytes",
        kind: ConfigType::Long,
        default: "-1",
        rule: Rule::Integer(-1, i64::MAX),
        documentation: "How many bytes of each partition are kept; -1 is no limit.",
    },
    ConfigKey {
        name: "retention.ms",
        broker_name: "log.retention.ms",
        kind: ConfigType::Long,
        default: "604800000",
        rule: Rule::Integer(-1, i64::MAX),
        documentation: "How long a batch is kept, counted from when it was appended; -1 is for ever.",
    },
    ConfigKey {
        name: "segment.bytes",
        broker_name: "log.segment.bytes",
        kind: ConfigType::Int,
        default: "1073741824",
        rule: Rule::Integer(14, I32_MAX),
        documentation: "In a compacted topic, how many bytes of a partition may be in the write-ahead log, where they \
                        are not compacted. The collector cuts segments by itself, across partitions.",
    },
    ConfigKey {
        name: "segment.index.bytes",
        broker_name: "log.index.size.max.bytes",
        kind: ConfigType::Int,
        default: "10485760",
        rule: Rule::Integer(4, I32_MAX),
        documentation: "Accepted for compatibility. The index is part of the segment and as large as it must be.",
    },
    ConfigKey {
        name: "segment.jitter.ms",
        broker_name: "log.roll.jitter.ms",
        kind: ConfigType::Long,
        default: "0",
        rule: Rule::Integer(0, i64::MAX),
        documentation: "Accepted for compatibility. The collector cuts segments by itself, across partitions.",
    },
    ConfigKey {
        name: "segment.ms",
        broker_name: "log.roll.ms",
        kind: ConfigType::Long,
        default: "604800000",
        rule: Rule::Integer(1, i64::MAX),
        documentation: "In a compacted topic, how long a batch may be in the write-ahead log, where it is not compacted. \
                        The collector cuts segments by itself, across partitions.",
    },
    ConfigKey {
        name: "unclean.leader.election.enable",
        broker_name: "unclean.leader.election.enable",
        kind: ConfigType::Boolean,
        default: "false",
        rule: Rule::OneOf(&["false"]),
        documentation: "Always false: a partition never loses acknowledged batches to become available.",
    },
];
