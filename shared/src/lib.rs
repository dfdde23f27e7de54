//! What the agent, the collector and the command line must agree on.
//!
//! Lower layers first: the seams to the outside world ([`clock`], [`disk`]), the bytes of a log ([`record`]), the bytes
//! of the wire ([`kafka`]) and where keys go ([`murmur2`]), proofs of identity ([`sasl`]), a small client that speaks it ([`client`]), and what every
//! binary needs to be operated ([`config`], [`telemetry`], [`service`], [`terminal`]). Nothing here knows the agent or the collector.

pub mod client;
pub mod clock;
pub mod config;
pub mod disk;
pub mod kafka;
pub mod murmur2;
pub mod record;
pub mod reloading;
pub mod sasl;
pub mod service;
pub mod telemetry;
pub mod terminal;
pub mod tls;
