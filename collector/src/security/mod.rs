//! Who somebody is, and what they may do.

mod authorizer;
mod principal;

pub use authorizer::Authorizer;
pub use principal::Principal;
