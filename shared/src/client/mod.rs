//! A small asynchronous Kafka client: pipelined connections, a metadata cache, retries with jittered backoff.

mod backoff;
mod transport;

pub use backoff::Backoff;
pub use transport::{Lost, Stream};
