//! Sends what the spool holds, at most five unmarked batches per producer id and partition, and marks what was acknowledged.

mod answer;
mod machine;
mod queue;
#[cfg(test)]
mod tests;
