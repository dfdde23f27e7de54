//! The commit path: one log for all partitions of this broker, made durable once for everything that has gathered.

pub mod frame;
