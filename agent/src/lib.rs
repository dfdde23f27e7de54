//! The agent: tails files and delivers each line exactly once.
//!
//! A line flows one way: [`discover`] finds files, [`watch`] says when to look, [`tail`] reads bytes, [`frame`] cuts
//! events, [`transform`] finds fields in them and drops what is not wanted, [`routing`] says where each goes, [`records`] and [`batch`] make
//! record batches of them, [`reader`] closes stretches, [`spool`] makes a stretch durable together with the positions it advances to, [`deliver`]
//! sends it and marks what was acknowledged. What is no file comes by [`receive`], [`journald`] and [`command`], each with
//! a thread that closes stretches in the place of the reader's. [`pipeline`] composes them; [`status`] shows them to the operator, whose
//! questions [`inspect`] answers.

pub mod batch;
mod child;
pub mod command;
pub mod config;
pub mod deliver;
pub mod discover;
pub mod frame;
mod gather;
pub mod import;
pub mod inspect;
pub mod journald;
pub mod landlock;
pub mod line_regex;
pub mod pipeline;
pub mod position;
pub mod rate_limit;
pub mod reader;
pub mod receive;
pub mod records;
pub mod reload;
pub mod roots;
pub mod routing;
pub mod spool;
pub mod status;
pub mod stretch;
pub mod tail;
pub mod transform;
pub mod watch;
