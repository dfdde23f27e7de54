//! What an operator sees: logs on stderr, and the HTTP server for metrics, health and readiness.
