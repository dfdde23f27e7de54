//! A test for each rule of the spool, as the design counts them.
