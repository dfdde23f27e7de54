//! A configuration file as somebody wrote it: the first byte chooses the binary. It must be read, or refused with an
//! error that can be shown.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tailrace_agent::config::AgentConfig;
use tailrace_collector::config::CollectorConfig;
use tailrace_fuzz::Input;
use tailrace_shared::config::parse;

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let path = Path::new("/nowhere/tailrace.toml");
    let environment = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
    let error = if input.byte() % 2 == 0 {
        parse::<CollectorConfig>(path, input.0, &environment).err()
    } else {
        parse::<AgentConfig>(path, input.0, &environment).err()
    };
    if let Some(error) = error {
        assert!(!error.to_string().is_empty());
    }
});
