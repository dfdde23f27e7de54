//! Builds record batches from lines and closes a stretch when it is large or old enough.
