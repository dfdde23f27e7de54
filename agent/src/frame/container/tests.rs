//! What containers write, cut back out of what runtimes make of it.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Charset, Framing, Languages, Multiline, Rule};
use super::runtime::Stream;
use super::*;

fn framing(multiline: bool, max_len: usize) -> Framing {
    let indented = Multiline {
        rule: Rule::Trace(Languages::NONE),
        max_lines: 5,
        timeout: Duration::from_secs(1),
    };
    Framing {
        max_len,
        multiline: multiline.then_some(indented),
        charset: Charset::Bytes,
        container: true,
    }
}

/// Stream, text and why it ends there; what no runtime has written has no stream.
type Seen = (Option<Stream>, String, Cut);

fn stream_of(event: &Event<'_>) -> Option<Stream> {
    match event.said?.fields {
        [(STREAM, name)] => Stream::named(name.as_bytes()),
        _ => None,
    }
}

fn cut_from(framing: &Framing, bytes: &[u8], mid_line: bool, end: End) -> (Vec<Seen>, Consumed) {
    let mut seen = Vec::new();
    let consumed = framing.cut(bytes, None, mid_line, end, |event| {
        assert_eq!(event.said.is_none(), event.problem.is_some());
        let text = String::from_utf8(event.bytes.to_vec()).unwrap();
        seen.push((stream_of(&event), text, event.cut));
        ControlFlow::Continue(())
    });
    (seen, consumed)
}

fn texts(framing: &Framing, bytes: &str) -> Vec<String> {
    let (seen, consumed) = cut_from(framing, bytes.as_bytes(), false, End::Final);
    assert_eq!(consumed.len, bytes.len());
    seen.into_iter().map(|(_, text, _)| text).collect()
}

fn cri(stream: Stream, tag: &str, text: &str) -> String {
    format!("2026-11-27T12:00:01.5Z {} {tag} {text}\n", stream.name())
}

fn out(tag: &str, text: &str) -> String {
    cri(Stream::Stdout, tag, text)
}

fn err(tag: &str, text: &str) -> String {
    cri(Stream::Stderr, tag, text)
}

#[test]
fn the_pieces_of_a_line_are_joined_whatever_lies_between_them() {
    let file = [
        out("F", "one"),
        out("P", "tw"),
        err("P", "er"),
        err("F", "ror"),
        out("F", "o"),
        out("F", ""),
    ];
    assert_eq!(texts(&framing(false, 100), &file.concat()), ["one", "error", "two", ""]);
}

#[test]
fn a_position_stands_where_no_line_is_unfinished() {
    let (framing, whole) = (framing(false, 100), out("F", "one"));
    let file = [whole.as_str(), &out("P", "tw"), &err("F", "error")].concat();
    for end in [End::Open, End::Settled] {
        let (seen, consumed) = cut_from(&framing, file.as_bytes(), false, end);
        assert_eq!(seen.len(), 1);
        assert_eq!((consumed.len, consumed.mid_line), (whole.len(), false));
    }
    let (seen, consumed) = cut_from(&framing, file.as_bytes(), false, End::Idle);
    assert_eq!(seen[2], (Some(Stream::Stdout), "tw".to_owned(), Cut::Unfinished));
    assert_eq!(consumed.len, file.len());
}

#[test]
fn who_stops_within_a_group_gets_all_of_it() {
    let framing = framing(false, 100);
    let file = [out("P", "a"), err("F", "b"), out("F", "c"), out("F", "d")].concat();
    let mut seen = 0;
    let consumed = framing.cut(file.as_bytes(), None, false, End::Open, |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert_eq!((seen, consumed.len), (2, file.len() - out("F", "d").len()));
}

#[test]
fn docker_says_by_the_line_end_that_a_line_is_whole() {
    let line = |log: &str| format!("{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"2026-11-27T12:00:01Z\"}}\n");
    let file = [line("one\\n"), line("t\\\"w"), line("o\\n")].concat();
    assert_eq!(texts(&framing(false, 100), &file), ["one", "t\"wo"]);
}

#[test]
fn what_no_runtime_has_written_goes_on_as_it_is() {
    let file = ["plain\n", &out("P", "a"), "{\"x\":1}\n", &out("F", "b")].concat();
    let (seen, _) = cut_from(&framing(true, 100), file.as_bytes(), false, End::Final);
    let seen: Vec<_> = seen
        .iter()
        .map(|(stream, text, _)| (stream.is_some(), text.as_str()))
        .collect();
    assert_eq!(seen, [(false, "plain"), (false, "{\"x\":1}"), (true, "ab")]);
}

#[test]
fn the_rest_of_a_line_that_was_sent_is_none_of_a_runtime() {
    let (seen, consumed) = cut_from(&framing(false, 100), out("F", "a").as_bytes(), true, End::Open);
    assert_eq!((seen[0].0, consumed.mid_line), (None, false));
    let (seen, consumed) = cut_from(&framing(false, 100), b"\n", true, End::Open);
    assert_eq!((seen.len(), consumed.len), (0, 1));
}

#[test]
fn long_lines_are_cut_where_there_is_no_more_room() {
    let framing = framing(false, 4);
    let file = [out("P", "abc"), out("P", "de"), out("F", "f"), out("F", "ghijkl")].concat();
    let (seen, _) = cut_from(&framing, file.as_bytes(), false, End::Final);
    let seen: Vec<_> = seen.iter().map(|(_, text, cut)| (text.as_str(), *cut)).collect();
    assert_eq!(
        seen,
        [
            ("abc", Cut::TooLong),
            ("def", Cut::Terminated),
            ("ghij", Cut::TooLong),
            ("kl", Cut::Terminated)
        ]
    );
}

#[test]
fn a_line_that_never_ends_takes_no_more_than_its_share() {
    let framing = framing(false, 1 << 20);
    let piece = out("P", &"x".repeat(1000)) + &err("P", "");
    let file = piece.repeat(framing.enough() / piece.len() + 1);
    let (seen, consumed) = cut_from(&framing, file.as_bytes(), false, End::Open);
    assert_eq!((seen[0].1.len(), seen[0].2), ((1 << 20) / 1000 * 1000, Cut::TooLong));
    assert!(consumed.len > 1 << 20);
    let blank = err("P", "").repeat(framing.enough() / err("P", "").len() + 1);
    let (seen, consumed) = cut_from(&framing, blank.as_bytes(), false, End::Open);
    assert_eq!(seen, [(Some(Stream::Stderr), String::new(), Cut::TooLong)]);
    assert!(consumed.len <= wrapped_len_max(1 << 20));
}

#[test]
fn a_stack_trace_is_one_event_and_ends_where_the_stream_changes() {
    let framing = framing(true, 100);
    let file = [
        err("F", "Error"),
        err("P", "  at "),
        err("F", "f"),
        err("F", "  at g"),
        out("F", "  other"),
        err("F", "x"),
    ];
    assert_eq!(
        texts(&framing, &file.concat()),
        ["Error\n  at f\n  at g", "  other", "x"]
    );
    let (seen, consumed) = cut_from(&framing, file[..4].concat().as_bytes(), false, End::Open);
    assert_eq!((seen.len(), consumed.len), (0, 0), "more may belong to it");
    let (seen, _) = cut_from(&framing, file[..4].concat().as_bytes(), false, End::Settled);
    assert_eq!(seen.len(), 1);
    let (seen, _) = cut_from(&framing, file[..2].concat().as_bytes(), false, End::Settled);
    assert_eq!(seen.len(), 0, "its line has not ended");
}

/// What a runtime may write: pieces of both streams, and what does not belong there.
fn files() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![Just(""), Just("a"), Just(" b"), Just("ccc"), Just("  dddddd")];
    let tag = prop_oneof![Just("F"), Just("P")];
    let wrapped = (any::<bool>(), tag, text)
        .prop_map(|(is_stderr, tag, text)| if is_stderr { err(tag, text) } else { out(tag, text) });
    vec(prop_oneof![9 => wrapped, 1 => Just("?\n".to_owned())], 0..20)
}

/// The same by the definition, without limits and without joining lines.
fn naive(lines: &[String]) -> Vec<String> {
    let (mut texts, mut unfinished) = (Vec::new(), [None::<String>, None]);
    for line in lines {
        let Some(wrapped) = Wrapped::parse(line.trim_end_matches('\n').as_bytes()) else {
            texts.push("?".to_owned());
            continue;
        };
        let begun = &mut unfinished[usize::from(wrapped.runtime.stream == Stream::Stderr)];
        let text = begun.get_or_insert_default();
        text.push_str(std::str::from_utf8(&wrapped.content).unwrap());
        if !wrapped.is_partial {
            texts.extend(begun.take());
        }
    }
    texts.extend(unfinished.into_iter().flatten());
    texts
}

proptest! {
    #[test]
    fn every_line_of_a_container_comes_out_once(lines in files()) {
        prop_assert_eq!(texts(&framing(false, 100), &lines.concat()), naive(&lines));
    }

    #[test]
    fn a_restart_after_any_group_cuts_the_same(lines in files(), max_len in 1_usize..12, multiline: bool) {
        let (framing, file) = (framing(multiline, max_len), lines.concat());
        let (whole, _) = cut_from(&framing, file.as_bytes(), false, End::Final);
        let (mut at, mut seen) = (0, Vec::new());
        while at < file.len() {
            let consumed = framing.cut(&file.as_bytes()[at..], None, false, End::Final, |event| {
                let text = String::from_utf8(event.bytes.to_vec()).unwrap();
                seen.push((stream_of(&event), text, event.cut));
                ControlFlow::Break(())
            });
            prop_assert!(consumed.len > 0);
            at += consumed.len;
        }
        prop_assert_eq!(seen, whole);
    }

    #[test]
    fn reading_it_in_chunks_cuts_the_same(
        lines in files(),
        chunks in vec(1_usize..90, 1..20),
        max_len in 1_usize..12,
        multiline: bool,
    ) {
        let (framing, file) = (framing(multiline, max_len), lines.concat());
        let (whole, _) = cut_from(&framing, file.as_bytes(), false, End::Final);
        let (mut at, mut mid_line, mut visible, mut seen) = (0, false, 0, Vec::new());
        for chunk in chunks.iter().cycle() {
            visible = (visible + chunk).min(file.len());
            let end = if visible == file.len() { End::Final } else { End::Open };
            let (more, consumed) = cut_from(&framing, &file.as_bytes()[at..visible], mid_line, end);
            seen.extend(more);
            (at, mid_line) = (at + consumed.len, consumed.mid_line);
            if end == End::Final { break; }
        }
        prop_assert_eq!(at, file.len());
        prop_assert_eq!(seen, whole);
    }
}
