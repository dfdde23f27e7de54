//! The collector as its clients see it: every API in every version over a socket, and what strangers send.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod access;
mod admin;
mod consume;
mod groups;
mod logins;
mod nonsense;
mod produce;
mod strangers;
mod support;
mod versions;
