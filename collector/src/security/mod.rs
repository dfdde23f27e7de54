//! Who somebody is, and what they may do.
//!
//! A connection belongs to a [`Principal`]: whoever its TLS certificate names, or whoever logged in on it
//! ([`login`], checked against [`users`]). The [`Authorizer`] says what a principal may do.

mod authorizer;
pub(crate) mod certificate;
pub mod login;
mod principal;
pub mod tokens;
pub mod users;

pub use authorizer::Authorizer;
pub use principal::Principal;
