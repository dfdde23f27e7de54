//! The Kafka wire protocol: one schema per message, and the codec derived from it.
