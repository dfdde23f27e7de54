//! The Kafka side: listener, connection, the API table, and one handler file per API.
//!
//! A request's way: `listener` accepts, `connection` reads a frame within its memory budget and keeps the order of
//! answers, `table` finds the handler (and says in ApiVersions what there is), the handler in `handlers/` asks the broker
//! or the groups, `throttle` holds back for a while who uses more than its quota, and `errors` is the one place that turns
//! refusals into Kafka's error codes.

mod allowance;
mod connection;
mod connections;
mod context;
mod endpoint;
mod errors;
mod frame_reader;
mod handlers;
mod listener;
mod memory;
mod peer;
mod table;
mod throttle;

pub use connections::Connections;
pub use context::{BrokerConfig, Call, Context, Limits};
pub use endpoint::Endpoint;
pub use listener::{Listener, ListenerOptions};
pub use memory::MemoryBudget;
pub use throttle::Throttle;
