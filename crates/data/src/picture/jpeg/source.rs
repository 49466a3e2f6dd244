//! What the JPEG decoder reads: parts of a file, one after another.
use std::io::{self, BufRead, Read};

/// Slices read as one stream.
pub(super) struct Source<'a> {
    parts: std::vec::IntoIter<&'a [u8]>,
    current: &'a [u8],
}

impl<'a> Source<'a> {
    pub(super) fn new(parts: Vec<&'a [u8]>) -> Self {
        Self {
            parts: parts.into_iter(),
            current: &[],
        }
    }
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.parts.next() {
                Some(part) => self.current = part,
                None => break,
            }
        }
        Ok(self.current)
    }

    fn consume(&mut self, length: usize) {
        self.current = self.current.get(length..).unwrap_or_default();
    }
}
