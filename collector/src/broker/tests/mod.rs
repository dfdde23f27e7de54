//! The broker as a whole, on a simulated machine: every crash, every restart, against a model of what was acknowledged.

mod behaviour;
mod compaction;
mod machine;
mod model;
mod quiet;
mod reads;
mod simulation;
