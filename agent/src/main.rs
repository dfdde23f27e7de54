//! The `tailrace-agent` binary.
fn main() {}
