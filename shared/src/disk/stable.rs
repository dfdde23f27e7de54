//! Reading a file from the medium and not from the page cache.
//!
//! After a failed fsync Linux marks the pages clean: an ordinary read still shows them, and the medium never got them.
//! So recovery reads with `O_DIRECT`, which writes dirty pages out and bypasses clean ones. Where the file system
//! refuses that, the pages are synced and dropped, and then read again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, OFlags};

use super::{ALIGN, direct};

const CHUNK: usize = 1024 * 1024;

pub(super) fn read(file: &File) -> io::Result<Vec<u8>> {
    match read_direct(file)? {
        Some(bytes) => Ok(bytes),
        None => read_evicted(file),
    }
}

/// `None` if the file system cannot do it.
fn read_direct(file: &File) -> io::Result<Option<Vec<u8>>> {
    let Some(direct) = direct::reopen(file, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let mut unaligned = vec![0; CHUNK + ALIGN];
    let start = unaligned.as_ptr().align_offset(ALIGN);
    let buf = unaligned
        .get_mut(start..start.saturating_add(CHUNK))
        .ok_or(io::ErrorKind::OutOfMemory)?;
    match read_all(&direct, buf) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        result => result.map(Some),
    }
}

fn read_evicted(file: &File) -> io::Result<Vec<u8>> {
    file.sync_data()?;
    rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?;
    read_all(file, &mut vec![0; CHUNK])
}

fn read_all(file: &File, buf: &mut [u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(len)?;
    loop {
        match file.read_at(buf, bytes.len() as u64) {
            Ok(0) => return Ok(bytes),
            Ok(read) => {
                bytes.extend_from_slice(buf.get(..read).unwrap_or_default());
                // A direct read stops within a block only at the end of the file, and may not begin there.
                if read % ALIGN != 0 {
                    return finish(file, bytes);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file that grew or shrank under the reader is in use: there is no such thing as its stable content.
fn finish(file: &File, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if file.metadata()?.len() == bytes.len() as u64 {
        Ok(bytes)
    } else {
        Err(io::Error::other("the file changed its length while it was read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_read_the_same() {
        for len in [0, 1, 4095, 4096, CHUNK, CHUNK + 1, 3 * CHUNK - 512] {
            let file = tempfile::tempfile().unwrap();
            let bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 253).unwrap()).collect();
            file.write_all_at(&bytes, 0).unwrap();
            assert!(read_evicted(&file).unwrap() == bytes, "{len} bytes");
            if let Some(direct) = read_direct(&file).unwrap() {
                assert!(direct == bytes, "{len} bytes, direct");
            }
        }
    }
}
