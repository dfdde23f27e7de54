//! The agent's only state: batches on stable storage until they are acknowledged, and the file positions they advance to.
