//! What the operator sees: metrics and the state of each file.
