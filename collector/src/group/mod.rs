//! Consumer groups: a pure state machine per group, and the coordinator that feeds it.
//!
//! [`Group`] takes an event and the time and answers with [`Effect`]s; it knows no clock, no socket and no log. `join`,
//! `sync`, `session` and `commit` each hold the events of one request. The [`Coordinator`] owns the groups and carries the
//! effects out, and `upkeep` lets them go in the end; its `store` keeps what must survive in `__consumer_offsets`, in
//! Kafka's own [`record`] format.

mod commit;
mod coordinator;
mod describe;
mod effect;
mod join;
mod load;
mod log;
mod member;
pub mod record;
mod session;
mod state;
mod store;
mod subscriptions;
mod sync;
#[cfg(test)]
mod tests;
mod upkeep;

pub use commit::{CommitToWrite, CommittedOffset};
pub use coordinator::Coordinator;
pub use describe::{GroupDescription, GroupListing, MemberDescription};
pub use effect::{Effect, GroupError, JoinReply, JoinedMember, ReplyTo, Snapshot, SyncReply};
pub use join::JoinRequest;
pub use log::{OFFSETS_TOPIC, OffsetsLog, OffsetsLogError};
pub use member::Member;
pub use session::Caller;
pub use state::{Group, GroupOptions, Phase};
pub use sync::SyncRequest;
