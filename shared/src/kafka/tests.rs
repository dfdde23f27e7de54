//! Tests of the whole protocol layer.
