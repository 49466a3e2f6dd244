//! Structure of a JPEG file: segments and scans up to the end marker (ITU-T T.81, annex B).
use image::metadata::Orientation;

use super::super::{ImageError, exif, names_srgb};

const START: &[u8] = &[0xff, 0xd8];
const END: &[u8] = &[0xff, 0xd9];
/// A JFIF segment of version 1.1 without a thumbnail.
const JFIF: &[u8] = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00";
/// Spectral selection and approximation of a scan that is not progressive.
const WHOLE: &[u8] = &[0, 63, 0];
/// The kinds of Adobe segments: components as they are, YCbCr, and YCCK.
const ADOBE: [&[u8]; 3] = [
    b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00",
    b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01",
    b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x02",
];

/// What the frame header says.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) components: Vec<Component>,
    progressive: bool,
}

/// One component, and what was seen of it in the scans so far.
#[derive(Debug)]
pub(super) struct Component {
    id: u8,
    /// For each coefficient the lowest bit that has come; `None` before any.
    known: [Option<u8>; 64],
}

/// A file's parts.
#[derive(Debug)]
pub(super) struct Markers<'a> {
    pub(super) frame: Frame,
    /// The number of scans.
    pub(super) scans: usize,
    /// Tables, frame and scans in the order of the file.
    parts: Vec<&'a [u8]>,
    jfif: bool,
    /// The colour transform of an Adobe segment.
    adobe: Option<u8>,
    /// What the camera recorded.
    orientation: Option<Orientation>,
    profile: Vec<&'a [u8]>,
    /// Whether there is an end marker.
    pub(super) ended: bool,
}

impl<'a> Markers<'a> {
    /// Reads up to the end marker, or the end of the bytes behind a scan.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut markers = Self {
            frame: Frame::default(),
            scans: 0,
            parts: Vec::new(),
            jfif: false,
            adobe: None,
            orientation: None,
            profile: Vec::new(),
            ended: false,
        };
        let mut rest = bytes.strip_prefix(START).ok_or_else(ImageError::cut_off)?;
        let mut after_table = false;
        while let Some((marker, from_marker)) = next_marker(rest) {
            let between = rest.get(..rest.len() - from_marker.len());
            if after_table
                && between.is_some_and(|between| between.iter().any(|&byte| byte != 0xff))
            {
                return Err(broken("a table is longer than it says"));
            }
            after_table = matches!(marker, 0xc4 | 0xdb);
            match marker {
                0xd9 => {
                    markers.ended = true;
                    break;
                }
                0xd8 => return Err(broken("it has a second start marker")),
                // Markers without a segment.
                0x01 | 0xd0..=0xd7 => rest = from_marker.get(2..).unwrap_or_default(),
                _ => {
                    let segment = Segment::read(from_marker)?;
                    rest = from_marker.get(segment.whole.len()..).unwrap_or_default();
                    if marker == 0xda {
                        let (data, after) = split_scan(rest);
                        rest = after;
                        markers.scan(segment, data)?;
                    } else {
                        markers.segment(marker, segment)?;
                    }
                }
            }
        }
        if markers.scans == 0 && !markers.ended {
            return Err(ImageError::cut_off());
        }
        if markers.frame.components.is_empty() || markers.scans == 0 {
            return Err(broken("it has no image data"));
        }
        Ok(markers)
    }

    fn segment(&mut self, marker: u8, segment: Segment<'a>) -> Result<(), ImageError> {
        let data = segment.data;
        match marker {
            0xc0..=0xc2 => {
                if !self.frame.components.is_empty() {
                    return Err(broken("it has a second frame"));
                }
                self.frame = Frame::read(data, marker == 0xc2)?;
                self.parts.push(segment.whole);
            }
            0xc9..=0xcb | 0xcd..=0xcf => {
                return Err(broken("arithmetic coding of JPEG is not supported"));
            }
            0xc3 => return Err(broken("lossless JPEG is not supported")),
            0xc5..=0xc7 => return Err(broken("hierarchical JPEG is not supported")),
            0xdb if has_zero(data) => return Err(broken("a quantization table has a zero")),
            // Huffman tables, quantization tables, restart interval.
            0xc4 | 0xdb | 0xdd => self.parts.push(segment.whole),
            // What comes after the pixels began is of another image: a preview, or one that was put behind.
            0xe0..=0xef if self.scans > 0 => {}
            0xe0 => self.jfif |= data.starts_with(b"JFIF\0") && data.len() >= 14,
            0xe1 => {
                let exif = data.strip_prefix(b"Exif\0\0");
                self.orientation = self.orientation.or_else(|| exif::orientation(exif?));
            }
            0xe2 => self.profile.extend(data.strip_prefix(b"ICC_PROFILE\0")),
            0xee => {
                let adobe = data.starts_with(b"Adobe").then(|| data.get(11).copied());
                self.adobe = adobe.flatten().or(self.adobe);
            }
            _ => {}
        }
        Ok(())
    }

    fn scan(&mut self, segment: Segment<'a>, data: &'a [u8]) -> Result<(), ImageError> {
        let contradictory = || broken("the header of a scan is contradictory");
        let (&count, selected) = segment.data.split_first().ok_or_else(contradictory)?;
        let (selected, limits) = selected
            .split_at_checked(2 * usize::from(count))
            .ok_or_else(contradictory)?;
        let &[first, last, bits] = limits else {
            return Err(contradictory());
        };
        let (first, last, bits) = match self.frame.progressive {
            true => (first, last, bits & 15),
            false => (0, 63, 0),
        };
        for pair in selected.chunks_exact(2) {
            let component = self
                .frame
                .components
                .iter_mut()
                .find(|component| pair.first() == Some(&component.id))
                .ok_or_else(contradictory)?;
            let range = usize::from(first)..=usize::from(last);
            let known = component.known.get_mut(range);
            known.ok_or_else(contradictory)?.fill(Some(bits));
        }
        self.scans += 1;
        if self.frame.progressive {
            self.parts.push(segment.whole);
        } else {
            // Some programs write other limits, which mean nothing here.
            let header = segment.whole.len() - limits.len();
            self.parts
                .push(segment.whole.get(..header).unwrap_or_default());
            self.parts.push(WHOLE);
        }
        self.parts.push(data);
        Ok(())
    }

    /// Whether scans are missing. The data of those that are there are checked by decoding them.
    pub(super) fn check_complete(&self) -> Result<(), ImageError> {
        for (index, component) in self.frame.components.iter().enumerate() {
            let complete = component.known.iter().all(|&bits| bits == Some(0));
            match component.known.first() {
                // Only with an end marker is a progressive image what its maker wanted.
                _ if !self.ended && !complete => return Err(ImageError::cut_off()),
                Some(None) => {
                    return Err(broken(&format!("no scan has its component {index}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the decoder is given.
    pub(super) fn parts(&self) -> Vec<&'a [u8]> {
        let colors = self.frame.components.len();
        let adobe = self.adobe.map(|transform| match (transform, colors) {
            (0, _) => 0,
            (_, 4) => 2,
            _ => 1,
        });
        let mut parts = vec![START];
        parts.extend(self.jfif.then_some(JFIF));
        parts.extend(adobe.and_then(|kind: usize| ADOBE.get(kind).copied()));
        parts.extend(&self.parts);
        parts.push(END);
        parts
    }

    /// What the camera recorded.
    pub(super) fn orientation(&self) -> Orientation {
        self.orientation.unwrap_or(Orientation::NoTransforms)
    }

    /// Whether there is a colour profile that does not call itself sRGB.
    pub(super) fn has_foreign_profile(&self) -> bool {
        let mut parts = self.profile.iter();
        !self.profile.is_empty() && !parts.any(|part| names_srgb(part))
    }
}

impl Frame {
    fn read(data: &[u8], progressive: bool) -> Result<Self, ImageError> {
        let contradictory = || broken("its frame header is contradictory");
        let (&[precision, y1, y0, x1, x0, count], components) =
            data.split_first_chunk::<6>().ok_or_else(contradictory)?;
        if precision != 8 {
            return Err(broken(&format!(
                "JPEG with {precision} bits for each sample is not supported"
            )));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(broken(&format!(
                "JPEG with {count} components is not supported"
            )));
        }
        if components.len() != 3 * usize::from(count) {
            return Err(contradictory());
        }
        let components = components.iter().step_by(3);
        Ok(Self {
            width: u16::from_be_bytes([x1, x0]),
            height: u16::from_be_bytes([y1, y0]),
            components: components
                .map(|&id| Component {
                    id,
                    known: [None; 64],
                })
                .collect(),
            progressive,
        })
    }
}

/// A segment with and without its marker and its length.
#[derive(Clone, Copy)]
struct Segment<'a> {
    whole: &'a [u8],
    data: &'a [u8],
}

impl<'a> Segment<'a> {
    /// The one whose marker `bytes` begin with.
    fn read(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let length = bytes.get(2..4).ok_or_else(ImageError::cut_off)?;
        let length = length
            .iter()
            .fold(0, |length, &byte| length << 8 | usize::from(byte));
        if length < 2 {
            return Err(broken("it has a segment of no length"));
        }
        let whole = bytes.get(..2 + length).ok_or_else(ImageError::cut_off)?;
        Ok(Self {
            whole,
            data: whole.get(4..).unwrap_or_default(),
        })
    }
}

/// Whether one of the quantization tables would divide by zero; each is 64 numbers of one byte or two.
fn has_zero(mut tables: &[u8]) -> bool {
    while let Some((&kind, numbers)) = tables.split_first() {
        let bytes = if kind < 16 { 1 } else { 2 };
        let (table, rest) = numbers
            .split_at_checked(64 * bytes)
            .unwrap_or((numbers, &[]));
        let mut numbers = table.chunks_exact(bytes);
        if numbers.any(|number| number.iter().all(|&byte| byte == 0)) {
            return true;
        }
        tables = rest;
    }
    false
}

/// The next marker and the bytes from it on. What stands before it, and fill bytes, mean nothing.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let at = bytes
        .windows(2)
        .position(|pair| matches!(pair, [0xff, marker] if !matches!(marker, 0 | 0xff)))?;
    let from_marker = bytes.get(at..)?;
    Some((*from_marker.get(1)?, from_marker))
}

/// The compressed data of a scan, with the restart markers in it, and what comes after.
fn split_scan(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(
        |pair| matches!(pair, [0xff, marker] if !matches!(marker, 0 | 0xd0..=0xd7 | 0xff)),
    );
    bytes
        .split_at_checked(end.unwrap_or(bytes.len()))
        .unwrap_or((bytes, &[]))
}

fn broken(reason: &str) -> ImageError {
    ImageError::Broken(reason.to_owned())
}
