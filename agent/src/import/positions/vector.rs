//! checkpoints.json of a file source: offsets by a checksum of the first line, or by device and inode. checkpoint.txt of a
//! journald source: a cursor.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crc_fast::CrcAlgorithm;
use serde::Deserialize;

use super::super::Tool;
use super::{PositionsError, Progress, Which, text_of, unknown};

#[derive(Deserialize)]
struct Checkpoints {
    checkpoints: Vec<Checkpoint>,
}

#[derive(Deserialize)]
struct Checkpoint {
    fingerprint: Fingerprint,
    position: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fingerprint {
    #[serde(alias = "first_line_checksum")]
    FirstLinesChecksum(u64),
    DevInode(u64, u64),
}

pub(super) fn read(path: &Path) -> Result<Vec<Progress>, PositionsError> {
    if path.extension().is_some_and(|extension| extension == "txt") {
        let source = path.parent().and_then(Path::file_name);
        return Ok(vec![Progress::Journal {
            name: source.unwrap_or_default().to_string_lossy().into_owned(),
            cursor: text_of(path)?.trim().to_owned(),
        }]);
    }
    let Checkpoints { checkpoints } =
        serde_json::from_str(&text_of(path)?).map_err(|error| unknown(path, Tool::Vector, error.to_string()))?;
    let progress = |Checkpoint { fingerprint, position }| Progress::File {
        which: match fingerprint {
            Fingerprint::FirstLinesChecksum(checksum) => Which::FirstLine(checksum),
            Fingerprint::DevInode(device, inode) => Which::Inode { device, inode },
        },
        offset: position,
    };
    Ok(checkpoints.into_iter().map(progress).collect())
}

/// The checksum of the first line, its end included; `None` if it is too long, or has not ended.
pub(super) fn first_line_checksum(file: impl Read) -> io::Result<Option<u64>> {
    const LEN_MAX: u64 = 102_400;
    let mut line = Vec::new();
    BufReader::new(file).take(LEN_MAX).read_until(b'\n', &mut line)?;
    let is_whole = line.ends_with(b"\n") || line.len() as u64 == LEN_MAX;
    Ok(is_whole.then(|| crc_fast::checksum(CrcAlgorithm::Crc64Ecma182, &line)))
}
