//! RecordBatch v2: the bytes that agents build, that the collector stores as they came, and that consumers read.
