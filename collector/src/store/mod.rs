//! Where segments, checkpoints and catalog documents live: an object store, or a local directory that acts as one.
