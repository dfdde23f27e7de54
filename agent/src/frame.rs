//! Cuts raw bytes into lines.
