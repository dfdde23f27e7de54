//! Consumer groups: a pure state machine per group, and the coordinator that feeds it.
