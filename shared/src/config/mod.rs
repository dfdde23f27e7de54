//! Configuration files: TOML in, typed values or an error that names file, line, key and remedy out.
