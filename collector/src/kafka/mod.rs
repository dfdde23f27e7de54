//! The Kafka side: listener, connection, the API table, and one handler file per API.
