//! The configuration file of the collector.
