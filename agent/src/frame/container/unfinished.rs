//! The lines of a container that have begun and not ended.

use super::runtime::{Stream, Wrapped};
use super::{Cut, Text};

/// At most one of each stream.
#[derive(Debug, Default)]
pub(super) struct Unfinished<'a> {
    stdout: Option<Text<'a>>,
    stderr: Option<Text<'a>>,
}

impl<'a> Unfinished<'a> {
    fn of(&mut self, stream: Stream) -> &mut Option<Text<'a>> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Whether the line that a piece belongs to is no longer than that with it.
    pub(super) fn has_room(&mut self, piece: &Wrapped<'_>, max_len: usize) -> bool {
        let begun = self.of(piece.runtime.stream).as_ref();
        begun.is_none_or(|begun| begun.bytes.len() + piece.content.len() <= max_len)
    }

    /// The whole line, if this was its last piece.
    pub(super) fn add(&mut self, piece: Wrapped<'a>) -> Option<Text<'a>> {
        let begun = self.of(piece.runtime.stream);
        let text = match begun.take() {
            Some(mut text) => {
                text.bytes.to_mut().extend_from_slice(&piece.content);
                text
            }
            None => Text {
                bytes: piece.content,
                lines: 1,
                cut: Cut::Terminated,
                runtime: Some(piece.runtime),
            },
        };
        if piece.is_partial {
            *begun = Some(text);
            return None;
        }
        Some(text)
    }

    /// What there is of them.
    pub(super) fn cut(self, cut: Cut) -> impl Iterator<Item = Text<'a>> {
        let texts = self.stdout.into_iter().chain(self.stderr);
        texts.map(move |text| Text { cut, ..text })
    }
}
