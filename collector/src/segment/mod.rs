//! Immutable files behind the WAL: format, writer, reader, index, and the flush of WAL files into them.

pub mod run;
