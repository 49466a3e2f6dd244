//! What was decided and assumed about a model, in words.
use buckler_data::ModelClasses;
use buckler_onnx::{Card, ImageInput, Interface, Reading};

use super::{LoadOptions, look::Seen, opened::channel_order};
use crate::RuntimeError;

/// Classes whose numbers are listed.
const MAX_LISTED: usize = 10;

/// One sentence each.
#[derive(Default)]
pub(super) struct List(pub Vec<String>);

impl List {
    fn say(&mut self, text: impl Into<String>) {
        self.0.push(text.into());
    }

    /// The keys in which the card beside the model differs from the one inside it.
    pub fn overruled(&mut self, keys: &[&str]) {
        if !keys.is_empty() {
            let quoted: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
            self.say(format!(
                "the card.json beside the model differs in {} from the card inside the model, which holds",
                quoted.join(", ")
            ));
        }
    }

    /// What the model does not say for want of a card.
    pub fn card(&mut self, card: Option<&Card>, options: &LoadOptions, image: &ImageInput) {
        let stated = card.and_then(|card| card.input.normalization.as_ref());
        let normalized = options.normalization.is_some() || stated.is_some();
        let ordered = image.channels != 3 || channel_order(card, options).is_some();
        // What was exported here says of which head it is, normalises within its graph, and takes RGB.
        let own = card.is_some_and(|card| card.head.is_some());
        match card {
            None => {
                if !normalized {
                    self.say("the model has no card: its pixels are taken to be in [0, 1]");
                }
                if !ordered {
                    self.say(
                        "the model has no card: its channels are taken to be in the order RGB",
                    );
                }
            }
            Some(_) if own => (),
            Some(_) => {
                if !normalized {
                    self.say("the card states no normalization: pixels are taken to be in [0, 1]");
                }
                if !ordered {
                    self.say("the card states no order of channels: RGB is taken");
                }
            }
        }
        if let Some(first) = &image.made_for_bytes
            && options.normalization.as_ref().or(stated).is_none()
        {
            self.say(format!(
                "the graph first {first}, as for pixels of 0 to 255, and is given pixels in [0, 1]: if it wants 0 to 255, state a mean of 0 and a std of 0.00392157 (1/255)"
            ));
        }
        let used = options.normalization.as_ref().or(stated);
        let same = used.is_some_and(|used| {
            let mean = |at: usize| used.mean.get(at).or(used.mean.first());
            let near = |(at, taken): (usize, &f64)| {
                let mean = mean(at).map_or(0.0, |mean| f64::from(*mean));
                taken.abs() > 1e-3 && (taken - mean).abs() <= 1e-3
            };
            !image.taken_off.is_empty() && image.taken_off.iter().enumerate().all(near)
        });
        if same {
            self.say("the graph takes the mean that is stated off its pixels itself: they are normalised twice, unless the mean is left out");
        }
        for doubt in options
            .normalization
            .as_ref()
            .or(stated)
            .iter()
            .flat_map(|used| used.doubts())
        {
            self.say(doubt);
        }
        self.overruled_by_options(card, options);
        if card.is_none_or(|card| card.input.preprocessing.is_none()) {
            self.say(format!(
                "images of another size are stretched to {}x{}",
                image.height, image.width
            ));
        }
    }

    /// What was asked for in place of what the card states.
    fn overruled_by_options(&mut self, card: Option<&Card>, options: &LoadOptions) {
        let Some(card) = card else { return };
        let input = &card.input;
        let differs = |stated: bool, asked: bool, key| (stated && asked).then_some(key);
        let keys = [
            differs(
                input.normalization.is_some() && input.normalization != options.normalization,
                options.normalization.is_some(),
                "input.normalization",
            ),
            differs(
                input.channel_order.is_some() && input.channel_order != options.channel_order,
                options.channel_order.is_some(),
                "input.channel_order",
            ),
            differs(
                card.output.is_some() && card.output != options.output,
                options.output.is_some(),
                "output",
            ),
        ];
        for key in keys.into_iter().flatten() {
            self.say(format!(
                "`{key}` is as asked for, and not as the card states"
            ));
        }
    }

    /// One name for each class.
    pub fn classes(
        &mut self,
        card: Option<&Card>,
        classes: usize,
    ) -> Result<Vec<String>, RuntimeError> {
        match card.map(|card| card.classes.as_slice()).unwrap_or_default() {
            [] => {
                self.say("the model names no classes: they are numbered from 0");
                Ok((0..classes).map(|class| class.to_string()).collect())
            }
            names if names.len() == classes => {
                let shared = ModelClasses {
                    count: classes,
                    names,
                }
                .shared_names();
                if let Some(shared) = shared {
                    self.say(shared);
                }
                Ok(names.to_vec())
            }
            names => Err(RuntimeError::Unsupported {
                what: "card's `classes`",
                expected: format!("{classes} names, one per logit"),
                got: format!("{} names", names.len()),
            }),
        }
    }

    /// The size of images where the graph leaves it `open`.
    pub fn size(
        &mut self,
        card: Option<&Card>,
        options: &LoadOptions,
        image: &ImageInput,
        open: bool,
    ) {
        let size = image.size();
        let stated = card.map(|card| &card.input);
        let stated = stated.map(|input| (input.height, input.width));
        if !open {
            let overruled = |stated: &(usize, usize)| {
                options.size.is_some()
                    && stated.0 > 0
                    && stated.1 > 0
                    && options.size != Some(*stated)
            };
            if let Some((height, width)) = stated.filter(overruled) {
                self.say(format!(
                    "images are of {size}, as the graph has it and as asked for, and not {height}x{width} as the card states"
                ));
            }
            return;
        }
        match (options.size, stated) {
            (Some(asked), Some(stated)) if asked != stated && stated.0 > 0 && stated.1 > 0 => {
                self.say(format!(
                    "the graph leaves the size of images open: {size} as asked for, and not {}x{} as the card states",
                    stated.0, stated.1
                ));
            }
            (Some(_), _) => self.say(format!(
                "the graph leaves the size of images open: {size} as asked for"
            )),
            _ => (),
        }
    }

    /// How logits are taken from the output.
    pub fn reading(&mut self, interface: &Interface, seen: &Seen) {
        if interface.flat {
            self.say(
                "the model returns logits with further axes of size 1, which are dropped: [batch, classes]",
            );
        }
        match interface.reading {
            Reading::BeforeSoftmax => self.say(
                "the model returns probabilities; the softmax at its end is left out, and what goes into it are the logits",
            ),
            Reading::LogOfProbabilities => {
                self.say(format!(
                    "output `{}` holds probabilities, and their softmax cannot be left out: the logits are their logarithm",
                    interface.output.escape_debug()
                ));
                if let Some(sum) = seen.other_sum() {
                    self.say(format!(
                        "the probabilities of an image sum to {sum:.4}: they are divided by their sum"
                    ));
                }
            }
            Reading::Logits if interface.sigmoid || seen.scores() => self.say(format!(
                "output `{}` holds scores in [0, 1] that do not sum to 1: probabilities are a softmax over them, and not the model's own",
                interface.output.escape_debug()
            )),
            Reading::Logits => (),
        }
    }

    /// What was seen when the model was tried.
    pub fn seen(&mut self, interface: &Interface, seen: &Seen) {
        // A figure would be another one each time, and what is assumed is compared.
        if seen.random.is_some() {
            self.say(format!(
                "the model is random: two runs on the same images differ in output `{}`",
                interface.output.escape_debug()
            ));
        }
        if let Some(difference) = seen.batch.filter(|_| seen.depends_on_batch()) {
            self.say(format!(
                "the model's answer for an image depends on the other images of its batch, by up to {difference:.2e} in output `{}`: images are \
                 run one at a time",
                interface.output.escape_debug()
            ));
        }
        if seen.constant() {
            self.say(format!(
                "output `{}` was the same for all images that the model was tried with: its answer may not depend on the image",
                interface.output.escape_debug()
            ));
        } else if interface.reading == Reading::Logits && seen.whole_numbers() {
            self.say(format!(
                "output `{}` holds whole numbers alone, as ranks, counts and indices are: they are taken for logits all the same",
                interface.output.escape_debug()
            ));
        } else if interface.reading == Reading::Logits && seen.of_unit_length() {
            self.say(format!(
                "rows of output `{}` have length 1, as those of embeddings have: they are taken for logits all the same",
                interface.output.escape_debug()
            ));
        }
        let masked = seen.masked();
        if !masked.is_empty() {
            let listed: Vec<_> = masked
                .iter()
                .take(MAX_LISTED)
                .map(usize::to_string)
                .collect();
            let more = match masked.len() > MAX_LISTED {
                true => format!(" and {} more", masked.len() - MAX_LISTED),
                false => String::new(),
            };
            self.say(format!(
                "logits of output `{}` are minus infinity in class {}{more} for all images that were tried: where it is so, a class is not chosen",
                interface.output.escape_debug(),
                listed.join(", ")
            ));
        }
        if seen.masks_some() {
            self.say(format!(
                "some logits of output `{}` are minus infinity: that class is not chosen for that image",
                interface.output.escape_debug()
            ));
        }
    }
}
