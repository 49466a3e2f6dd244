//! The chunks of a PNG, for those that the decoder does not read.

/// Names and data, up to the end or to a chunk that is cut off.
pub(super) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// Of a file, signature included.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.get(8..).unwrap_or_default())
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_first_chunk::<4>()?;
        let (data, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        // Behind the data comes their checksum.
        self.0 = rest.get(4..).unwrap_or_default();
        Some((name, data))
    }
}
