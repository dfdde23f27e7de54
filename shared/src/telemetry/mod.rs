//! What an operator needs of every binary: logs on stderr, metrics, and a small HTTP server that tells of both health
//! and metrics.
//!
//! A binary calls [`logging::init`], declares its metrics once with [`crate::metrics!`], registers them with an
//! [`metrics::Exporter`], and serves [`http::router`], merged with its own routes, by [`http::Server`].

pub mod http;
pub mod logging;
pub mod metrics;
pub mod process;
mod readiness;

pub use readiness::Readiness;
