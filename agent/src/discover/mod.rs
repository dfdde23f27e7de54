//! Turns globs into files, each known by filesystem, inode and a fingerprint of its first bytes.
//!
//! [`Pattern`] is one glob, matched component by component, so that [`Walker`] only enters directories where it can
//! still match. A walk, of everything or of one directory, gives a [`Scan`]; [`Known`] compares it with the files known
//! so far and says what became of them. Files that a scan did not meet under any matching name are looked for beside
//! where they were ([`locate`]), because a rotated file often leaves the glob with lines still unread. What had its name after it and was rotated away
//! before anybody looked is found by how rotation names files ([`unseen`]).

mod container;
mod generations;
mod known;
mod listing;
mod locate;
mod pattern;
#[cfg(test)]
mod tests;
mod walk;

pub use container::{CONTAINER_FIELDS, container_of};
pub use generations::{Place, Rotated, age, is_rotated, places, rotated, unseen};
pub use known::{Event, FileNo, Known};
pub use locate::{Whereabouts, locate};
pub use pattern::{Pattern, PatternError, exclusions};
pub use walk::{Found, Scan, Selection, Walker};
