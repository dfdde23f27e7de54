//! Where segments, checkpoints and catalog documents live: an object store, or a local directory that acts as one.
//!
//! The seam is [`object_store::ObjectStore`], and what the layers above ask of it is little: a put is atomic and
//! durable when it returns, a put with [`object_store::PutMode::Create`] has one winner, a get sees what was put, and a
//! delete is done for good. Buckets promise that (a start-up probe checks the one in use); for a single node
//! [`LocalStore`] promises it of a directory, power failures included. Tests that need neither take
//! [`object_store::memory::InMemory`].

mod local;

pub use local::LocalStore;
