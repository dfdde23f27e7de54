//! The `tailrace-collector` binary.
fn main() {}
