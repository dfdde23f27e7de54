//! The parts of an entity that has quotas, by Kafka's names.

/// Users.
pub(super) const USER: &str = "user";
/// Client ids.
pub(super) const CLIENT_ID: &str = "client-id";
/// Addresses, which have no quotas here.
pub(super) const IP: &str = "ip";
