//! One partition: sequencer, producer state, recent tail, reader, waiters, manifest and retention.
