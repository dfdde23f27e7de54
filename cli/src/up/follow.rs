//! What is collected, line by line with the file that it comes from, as `tail -F` over all of them would show it.

use anyhow::{Context, Result};
use clap::builder::styling::Style;
use tailrace_shared::record::RecordView;
use tokio::io::Stdout;

use crate::output;
use crate::tail::reading::Reading;

/// So much is gathered before it is written.
const WRITE_AT: usize = 256 << 10;
/// The agent names the file in this header of each record.
const PATH: &str = "path";

/// Prints what arrives, for ever.
pub(super) async fn print(mut reading: Reading) -> Result<()> {
    let colour = output::has_colour();
    let mut stdout: Stdout = tokio::io::stdout();
    let mut buffer = Vec::new();
    loop {
        for batch in reading.next().await? {
            let place = || format!("cannot read a batch of partition {}", batch.partition);
            for record in batch.records().with_context(place)? {
                render(&record.with_context(place)?, colour, &mut buffer);
                if buffer.len() >= WRITE_AT {
                    output::write(&mut stdout, &buffer).await?;
                    buffer.clear();
                }
            }
        }
        output::write(&mut stdout, &buffer).await?;
        buffer.clear();
    }
}

fn render(record: &RecordView, colour: bool, out: &mut Vec<u8>) {
    if let Some(path) = record.headers.last(PATH) {
        let style = if colour { output::style_of(path) } else { Style::new() };
        out.extend_from_slice(format!("{style}").as_bytes());
        out.extend_from_slice(path);
        out.extend_from_slice(format!("{style:#}: ").as_bytes());
    }
    out.extend_from_slice(record.value.as_deref().unwrap_or_default());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tailrace_shared::record::RecordHeaders;

    use super::*;

    fn rendered(headers: RecordHeaders, colour: bool) -> String {
        let mut out = Vec::new();
        let record = RecordView {
            offset: 0,
            timestamp: 0,
            key: None,
            value: Some(Bytes::from_static(b"a line")),
            headers,
        };
        render(&record, colour, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_follows_the_name_of_its_file() {
        let headers = || RecordHeaders::encode([("host", Some(&b"h"[..])), (PATH, Some(b"/log/a"))]);
        assert_eq!(rendered(headers(), false), "/log/a: a line\n");
        let coloured = rendered(headers(), true);
        assert!(
            coloured.starts_with("\u{1b}[") && coloured.ends_with("/log/a\u{1b}[0m: a line\n"),
            "{coloured:?}"
        );
        assert_eq!(
            rendered(RecordHeaders::empty(), false),
            "a line\n",
            "what others produced"
        );
    }
}
