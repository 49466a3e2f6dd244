//! Which of the media types that there are a client would rather have (RFC 9110, section 12.5.1).

use std::cmp::Reverse;

use axum::http::{HeaderMap, header};

/// The index of the type, among those that there are, that the `Accept` headers rate highest; of equals one that is named goes before
/// one that a wildcard covers, and the one that comes first before the others. `None` where none is wanted.
pub(super) fn preferred(headers: &HeaderMap, types: &[&str]) -> Option<usize> {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges: Vec<Range> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    let rated = types.iter().enumerate().filter_map(|(index, media)| {
        let covering = ranges.iter().enumerate();
        let covering = covering.filter_map(|(place, range)| Some((range.covers(media)?, place)));
        // The most specific range decides.
        let (exactness, place) =
            covering.max_by(|(a, at), (b, other)| a.cmp(b).then(other.cmp(at)))?;
        let quality = ranges.get(place)?.quality;
        (quality > 0).then_some((quality, exactness, Reverse(place), Reverse(index)))
    });
    rated.max().map(|(.., Reverse(index))| index)
}

/// A media range with its weight.
struct Range {
    media: String,
    /// In thousandths.
    quality: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        let quality = match weight {
            None => 1000,
            Some(text) => match text.parse::<f32>() {
                Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
                // What is no weight says nothing.
                _ => 1000,
            },
        };
        (!media.is_empty()).then_some(Self { media, quality })
    }

    /// How exactly this names a type; `None` where it does not cover it.
    fn covers(&self, media: &str) -> Option<u8> {
        let prefix = self.media.strip_suffix('*');
        match prefix {
            None if self.media == media => Some(2),
            Some("*/") => Some(0),
            Some(prefix) if prefix.ends_with('/') && media.starts_with(prefix) => Some(1),
            _ => None,
        }
    }
}
