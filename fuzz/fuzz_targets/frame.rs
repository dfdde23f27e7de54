//! Bytes of a followed file. What they are cut into must not depend on where the agent was restarted, and must be what
//! they are: no byte of a line is lost, none is added.

#![no_main]

use std::ops::ControlFlow;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tailrace_agent::frame::{Charset, Consumed, End, Framing, Languages, Multiline, Rule, mark_of};
use tailrace_fuzz::Input;

fuzz_target!(|input: &[u8]| {
    let mut input = Input(input);
    let choice = input.byte();
    let multiline = Multiline {
        rule: Rule::Trace(Languages {
            java: choice & 1 != 0,
            python: choice & 2 != 0,
            go: choice & 4 != 0,
        }),
        max_lines: u64::from(input.byte()),
        timeout: Duration::from_secs(1),
    };
    let framing = Framing {
        max_len: usize::from(input.byte()),
        multiline: (choice & 8 != 0).then_some(multiline),
        charset: if choice & 16 == 0 {
            Charset::Bytes
        } else {
            Charset::Marked
        },
        container: choice & 32 != 0,
    };
    let bytes = input.0;
    let mark = mark_of(bytes);

    let mut whole = Vec::new();
    let consumed = framing.cut(bytes, mark, false, End::Final, |event| {
        whole.push(event.bytes.to_vec());
        ControlFlow::Continue(())
    });
    assert_eq!(consumed.len, bytes.len());

    let (mut restarted, mut at, mut mid_line) = (Vec::new(), 0, false);
    while at < bytes.len() {
        let Consumed { len, mid_line: mid } = framing.cut(&bytes[at..], mark, mid_line, End::Final, |event| {
            restarted.push(event.bytes.to_vec());
            ControlFlow::Break(())
        });
        assert!(len > 0);
        (at, mid_line) = (at + len, mid);
    }
    assert_eq!(whole, restarted);

    if framing.charset != Charset::Bytes || framing.container {
        return;
    }
    let is_content = |byte: &&u8| !matches!(byte, b'\n' | b'\r');
    let content: Vec<_> = bytes.iter().filter(is_content).collect();
    let records: Vec<_> = whole.iter().flatten().filter(is_content).collect();
    assert_eq!(content, records);
});
