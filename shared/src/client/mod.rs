//! A small asynchronous Kafka client: pipelined connections, a metadata cache, retries with jittered backoff.
