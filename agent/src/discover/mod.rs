//! Turns globs into files, each known by filesystem, inode and a fingerprint of its first bytes.
