//! The way past the page cache (`O_DIRECT`), where the file system has one.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::ALIGN;

/// The same file once more, past the page cache; `None` if the file system cannot do it. It is opened through its
/// handle, as its name may have changed.
pub(super) fn reopen(file: &File, access: OFlags) -> io::Result<Option<File>> {
    let own_name = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::open(own_name, access | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()) {
        Ok(direct) => Ok(Some(File::from(direct))),
        // No O_DIRECT here, no /proc, or rights given up since the file was opened.
        Err(Errno::INVAL | Errno::NOENT | Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Memory at which a buffer for direct access may start.
pub(super) fn is_aligned(buf: &[u8]) -> bool {
    buf.as_ptr().align_offset(ALIGN) == 0
}

/// How much of `buf` was written before the file system found that it cannot write like this (all of it, as a rule).
pub(super) fn write_at(direct: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
    let mut written = 0;
    while let Some(rest) = buf.get(written..).filter(|rest| !rest.is_empty()) {
        match direct.write_at(rest, offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A short write may leave a rest that is not whole blocks.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}
