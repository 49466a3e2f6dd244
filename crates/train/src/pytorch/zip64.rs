//! Archives whose directory the zip reader looks for in the wrong place.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use tempfile::NamedTempFile;

/// The end of an archive without a comment: the zip64 record and its locator, which small archives do not need but
/// PyTorch writes, then the record of all archives.
const ZIP64: u64 = 56 + 20;
const END: u64 = 22;

/// A copy of an archive without its zip64 record, if it has one and does not need it.
///
/// The reader takes the directory to end where the last record begins and not where the zip64 record does, 76 bytes
/// before. It finds a header there by chance where the first entry of the directory is as long, as it is for archives
/// with names of 21 characters.
pub(super) fn without_record(path: &Path) -> io::Result<Option<NamedTempFile>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(start) = length.checked_sub(ZIP64 + END) else {
        return Ok(None);
    };
    let mut end = [0; (ZIP64 + END) as usize];
    file.seek(SeekFrom::Start(start))?;
    file.read_exact(&mut end)?;
    let (record, rest) = end.split_at(56);
    let (locator, last) = rest.split_at(20);
    let expected = record.starts_with(b"PK\x06\x06")
        && locator.starts_with(b"PK\x06\x07")
        && last.starts_with(b"PK\x05\x06");
    // All ones stand for a value in the zip64 record.
    let needed = last[8..20].as_chunks::<2>().0.contains(&[0xff; 2]);
    if !expected || needed {
        return Ok(None);
    }
    let mut copy = NamedTempFile::new()?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut file.take(start), &mut copy)?;
    io::copy(&mut &last[..], &mut copy)?;
    Ok(Some(copy))
}
