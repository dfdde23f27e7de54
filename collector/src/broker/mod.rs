//! The facade that Kafka handlers and HTTP call: topics, partitions, groups and producer ids of this broker.
