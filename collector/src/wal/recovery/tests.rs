//! A test per row of the table.
