//! Where segments, checkpoints and catalog documents live: an object store, or a local directory that acts as one.
//!
//! The seam is [`object_store::ObjectStore`], and what the layers above ask of it is little: a put is atomic and
//! durable when it returns, a put with [`object_store::PutMode::Create`] has one winner, a get sees what was put, and a
//! delete is done for good. Buckets promise that (a start-up probe checks the one in use); for a single node
//! [`LocalStore`] promises it of a directory, power failures included. Tests that need neither take
//! [`object_store::memory::InMemory`].

mod local;

use std::fmt::Debug;
use std::path::PathBuf;

use async_trait::async_trait;
use object_store::path::Path as Location;

pub use local::LocalStore;

/// A store on a file system, in which a file that lies there already can become an object without being copied.
#[async_trait]
pub trait AdoptFile: Debug + Send + Sync {
    /// Gives a file one more name, that of an object; durable on return. It must be synced and never change any more. An
    /// error is no loss: file systems differ in what they can.
    async fn adopt(&self, file: PathBuf, at: &Location) -> object_store::Result<()>;
}
