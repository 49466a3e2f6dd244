//! What a card may say, whatever model it belongs to.

use super::{
    Card, CardError, ChannelOrder, Head, Input, MAX_CHANNELS, Preprocessing, Resize,
    keys::{self, KEYS, Kind},
    nearest,
};
use crate::{printable, printable::is_printable};

/// More classes than this are not any classifier's.
const MAX_CLASSES: usize = 1 << 20;

/// The largest height and width of an image that a card or a command may name.
pub const MAX_SIDE: usize = 1 << 16;

/// The smallest share of an image's side that is kept of it: of less, images would be scaled to ten times the model's size and more.
const MIN_CROP: f64 = 0.1;

/// Values of one image: 128 MiB as 32-bit numbers.
const MAX_VALUES: usize = 1 << 25;

/// Problems that are looked for: a card may have any number.
const MAX_PROBLEMS: usize = 100;

/// Measured figures of one model.
const MAX_MEASURED: usize = 10_000;

impl Card {
    /// Whether a card is one that can be used: texts that are not too long and hold no control characters,
    /// sizes that fit into memory, a normalisation in units of pixels in `[0, 1]`.
    ///
    /// # Errors
    /// All that is wrong, by key.
    pub fn check(&self, origin: &str) -> Result<(), CardError> {
        let mut error = CardError::new(origin);
        for (_, message) in problems(self) {
            error.add(None, message);
        }
        error.or(())
    }
}

/// Paths and what is wrong there.
pub(super) fn problems(card: &Card) -> Vec<(String, String)> {
    let mut found = Problems(Vec::new());
    found.text("name", "name", &card.name);
    found.text("description", "description", &card.description);
    found.classes(&card.classes);
    if let Some(output) = &card.output {
        found.name("output", "the name of an output", output, limit("output"));
    }
    found.input(&card.input);
    if let Some(head) = &card.head {
        found.head(head);
    }
    if let Some(training) = &card.training {
        for (key, text) in [
            ("recipe", Some(&training.recipe)),
            ("framework", Some(&training.framework)),
            ("data", Some(&training.data)),
            ("norm", training.norm.as_ref()),
            ("eps", training.eps.as_ref()),
        ] {
            let path = format!("training.{key}");
            found.text(&path, &path, text.map_or("", String::as_str));
        }
    }
    if card.measured.len() > MAX_MEASURED {
        let count = card.measured.len();
        found.add(
            "measured",
            format!("has {count} figures; at most {MAX_MEASURED} are kept"),
        );
    }
    for (index, measured) in card.measured.iter().enumerate().take(MAX_MEASURED) {
        for (key, text) in [
            ("data", Some(&measured.data)),
            ("attack", Some(&measured.attack)),
            ("norm", measured.norm.as_ref()),
            ("eps", measured.eps.as_ref()),
            ("command", Some(&measured.command)),
        ] {
            let (path, known) = (
                format!("measured[{index}].{key}"),
                format!("measured[].{key}"),
            );
            found.text(&path, &known, text.map_or("", String::as_str));
        }
        let accuracy = measured.accuracy;
        if !(0.0..=1.0).contains(&accuracy) {
            let path = format!("measured[{index}].accuracy");
            found.add(
                &path,
                format!("is {accuracy}; give a share of the images, from 0 to 1"),
            );
        }
    }
    for (file, sum) in &card.sha256 {
        let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        if file.len() > 255 || !is_sum {
            let file = printable(&nearest::shortened(file)).into_owned();
            found.add("sha256", format!("has an entry `{file}` that is not the name of a file with 64 hexadecimal digits"));
        }
    }
    found.0
}

/// The characters that a text may have.
fn limit(path: &str) -> usize {
    let kind = KEYS.iter().find(|key| key.path == path).map(|key| key.kind);
    match kind {
        Some(Kind::Text(most) | Kind::Lines(most)) => most,
        _ => keys::MAX_NAME,
    }
}

struct Problems(Vec<(String, String)>);

impl Problems {
    fn add(&mut self, path: &str, message: String) {
        if self.0.len() < MAX_PROBLEMS {
            self.0.push((path.into(), format!("`{path}` {message}")));
        }
    }

    fn text(&mut self, path: &str, key: &str, text: &str) {
        let kind = KEYS
            .iter()
            .find(|known| known.path == key)
            .map(|known| known.kind);
        let lines = matches!(kind, Some(Kind::Lines(_)));
        let allowed =
            |c: char| is_printable(c) || is_blank(c) || lines && matches!(c, '\n' | '\r' | '\t');
        let most = limit(key);
        self.characters(path, "the text", text, most, allowed);
    }

    /// As [`Problems::text`], of a name, which cannot be empty.
    fn name(&mut self, path: &str, what: &str, text: &str, most: usize) {
        if text.is_empty() {
            self.add(path, "is empty: give a name, or leave the key out".into());
        }
        self.characters(path, what, text, most, |c| is_printable(c) || is_blank(c));
    }

    fn characters(
        &mut self,
        path: &str,
        what: &str,
        text: &str,
        most: usize,
        allowed: impl Fn(char) -> bool,
    ) {
        let length = text.chars().count();
        if length > most {
            self.add(
                path,
                format!("has {length} characters; {what} may have {most}"),
            );
        } else if let Some(wrong) = text.chars().find(|c| !allowed(*c)) {
            self.add(
                path,
                format!(
                    "is `{}`, with the character U+{:04X}, which does not print: remove it",
                    printable(&nearest::shortened(text)),
                    u32::from(wrong)
                ),
            );
        }
    }

    fn classes(&mut self, classes: &[String]) {
        if classes.len() > MAX_CLASSES {
            let count = classes.len();
            return self.add(
                "classes",
                format!("has {count} names; at most {MAX_CLASSES} are possible"),
            );
        }
        for (index, class) in classes.iter().enumerate() {
            let path = format!("classes[{index}]");
            self.name(&path, "the name of a class", class, keys::MAX_NAME);
            if class.trim() != class {
                self.add(
                    &path,
                    format!(
                        "is `{}`, with a blank at its start or end: remove it",
                        printable(&nearest::shortened(class))
                    ),
                );
            }
        }
    }

    fn input(&mut self, input: &Input) {
        let Input {
            channels,
            height,
            width,
            ..
        } = *input;
        if channels > MAX_CHANNELS {
            self.add(
                "input.channels",
                format!("is {channels}; give 1 for grey, 3 for colour, at most {MAX_CHANNELS}"),
            );
        }
        for (path, side) in [("input.height", height), ("input.width", width)] {
            if side > MAX_SIDE {
                self.add(
                    path,
                    format!("is {side} pixels; at most {MAX_SIDE} are possible"),
                );
            }
        }
        match (height, width) {
            (1.., 0) => self.add(
                "input.width",
                format!("is missing beside `input.height` {height}: give both, or none"),
            ),
            (0, 1..) => self.add(
                "input.height",
                format!("is missing beside `input.width` {width}: give both, or none"),
            ),
            _ => (),
        }
        let sizes = [channels, height, width].map(|size| size.max(1));
        let values = sizes
            .iter()
            .try_fold(1usize, |product, size| product.checked_mul(*size));
        if sizes.iter().all(|size| *size <= MAX_SIDE)
            && values.is_none_or(|values| values > MAX_VALUES)
        {
            self.add(
                "input",
                format!(
                    "has images of {} x {} x {} values; at most {MAX_VALUES} are possible",
                    sizes[0], sizes[1], sizes[2]
                ),
            );
        }
        if input.channel_order == Some(ChannelOrder::Bgr) && !matches!(channels, 0 | 3) {
            self.add(
                "input.channel_order",
                format!(
                    "is \"bgr\", and images of {channels} channel(s) have no such order: leave it out"
                ),
            );
        }
        if let Some(Preprocessing {
            resize, crop_pct, ..
        }) = &input.preprocessing
        {
            let path = "input.preprocessing.crop_pct";
            if !(MIN_CROP..=1.0).contains(crop_pct) {
                self.add(
                    path,
                    format!("is {crop_pct}; give a number from {MIN_CROP} to 1, such as 0.875"),
                );
            } else if *crop_pct != 1.0 && *resize != Resize::CenterCrop {
                self.add(path, format!(
                    "is {crop_pct}, which does nothing where images are stretched: set `input.preprocessing.resize` to \
                     \"center_crop\", or leave it out"
                ));
            }
        }
        if let Some(normalization) = &input.normalization {
            // Of a number of channels that is wrong itself nothing is said twice.
            let channels = if channels > MAX_CHANNELS { 0 } else { channels };
            if let Err(error) = normalization.check(channels) {
                self.0.push((
                    "input.normalization".into(),
                    format!("`input.normalization`: {error}"),
                ));
            }
        }
    }

    fn head(&mut self, head: &Head) {
        if let Head::Hypersphere { scale, margin, .. } = head {
            if !(scale.is_finite() && *scale > 0.0) {
                self.add(
                    "head.scale",
                    format!("is {scale}; give a positive number, such as 15"),
                );
            }
            if !margin.is_finite() {
                self.add(
                    "head.margin",
                    format!("is {margin}; give a finite number, such as 0.2"),
                );
            }
        }
    }
}

/// Blanks and joiners that names are written with, though they print nothing.
fn is_blank(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{2002}'..='\u{200a}' | '\u{200c}' | '\u{200d}' | '\u{202f}' | '\u{3000}'
    )
}
