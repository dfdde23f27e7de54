//! Tests of the group state machine and of the coordinator.
