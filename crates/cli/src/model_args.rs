//! The model of a command, and what the command line says about it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use buckler_onnx::{ChannelOrder, MAX_SIDE, Normalization};
use buckler_runtime::{Classifier, LoadOptions};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// A model to be run.
#[derive(Clone, clap::Args)]
pub struct ModelArgs {
    /// The classifier
    pub model: PathBuf,
    /// Output with the logits or probabilities, for graphs with several [default: the card's, or chosen by the graph]
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// Height and width of the images in pixels, for graphs that leave them open [default: the card's]
    #[arg(long, value_name = "N|HxW", value_parser = size)]
    size: Option<(usize, usize)>,
    /// Order of the channels that the graph takes [default: the card's, or rgb]
    #[arg(long, value_name = "ORDER", value_parser = channel_order())]
    channel_order: Option<ChannelOrder>,
    /// Mean that the model wants subtracted from pixels in [0, 1], one for each channel or one for all [default: the card's, or none]
    #[arg(
        long,
        value_delimiter = ',',
        requires = "std",
        value_name = "MEAN,...",
        value_parser = number,
        allow_hyphen_values = true
    )]
    mean: Option<Vec<f32>>,
    /// Deviation by which it then wants them divided, at most 1; 1/255 for graphs that take 0 to 255 [default: the card's, or none]
    #[arg(
        long,
        value_delimiter = ',',
        requires = "mean",
        value_name = "STD,...",
        value_parser = number,
        allow_hyphen_values = true
    )]
    std: Option<Vec<f32>>,
}

impl ModelArgs {
    /// What the options say about the model's pixels.
    pub fn normalization(&self) -> Option<Normalization> {
        let (mean, std) = self.mean.clone().zip(self.std.clone())?;
        Some(Normalization { mean, std })
    }

    /// Loads the model, and logs what had to be assumed.
    pub fn load(&self) -> Result<Classifier> {
        self.load_normalized(None)
    }

    /// As [`ModelArgs::load`], with a normalisation where the options state none.
    pub fn load_normalized(&self, default: Option<Normalization>) -> Result<Classifier> {
        // A figure is the model's: what a gradient graph beside it says of itself is not taken for it.
        let classifier = self.open_with(&LoadOptions {
            make_gradient: true,
            ..self.options(default)
        })?;
        for assumption in classifier.assumptions() {
            tracing::warn!("{assumption}");
        }
        Ok(classifier)
    }

    /// As [`ModelArgs::load_normalized`], for commands whose answer comes at once and tells what had to be assumed.
    pub fn open(&self, default: Option<Normalization>) -> Result<Classifier> {
        self.open_with(&self.options(default))
    }

    fn open_with(&self, options: &LoadOptions) -> Result<Classifier> {
        if let Some(normalization) = self.normalization() {
            normalization.check(0).context("--mean and --std")?;
        }
        Classifier::load(&self.model, options)
            .with_context(|| format!("cannot load {}", self.model.display()))
    }

    /// The options as they are typed, with their values, but for the normalisation.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let size = self.size.map(|(height, width)| format!("{height}x{width}"));
        let order = self.channel_order.map(|order| match order {
            ChannelOrder::Rgb => "rgb".to_owned(),
            ChannelOrder::Bgr => "bgr".to_owned(),
        });
        let options = [
            ("--output", self.output.clone()),
            ("--size", size),
            ("--channel-order", order),
        ];
        let options = options.into_iter();
        options.filter_map(|(n, value)| Some((n, value?))).collect()
    }

    /// The same model, with the options of `others` where these state none.
    pub fn or(&self, others: &Self) -> Self {
        let normalization = match self.mean {
            Some(_) => self,
            None => others,
        };
        Self {
            model: self.model.clone(),
            output: self.output.clone().or_else(|| others.output.clone()),
            size: self.size.or(others.size),
            channel_order: self.channel_order.or(others.channel_order),
            mean: normalization.mean.clone(),
            std: normalization.std.clone(),
        }
    }

    /// How to load it, with a normalisation where the options state none.
    pub fn options(&self, default: Option<Normalization>) -> LoadOptions {
        LoadOptions {
            output: self.output.clone(),
            size: self.size,
            channel_order: self.channel_order,
            normalization: self.normalization().or(default),
            ..LoadOptions::default()
        }
    }
}

/// `224`, or height and width as `64x128`.
fn size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let side = text
            .parse()
            .ok()
            .filter(|side| (1..=MAX_SIDE).contains(side));
        side.filter(|_| is_number).ok_or_else(|| {
            format!("give a side of a square such as 224, or height and width such as 64x128, each from 1 to {MAX_SIDE}")
        })
    };
    match text.split_once(['x', 'X']) {
        Some((height, width)) => Ok((side(height)?, side(width)?)),
        None => side(text).map(|side| (side, side)),
    }
}

fn channel_order() -> impl TypedValueParser<Value = ChannelOrder> {
    PossibleValuesParser::new(["rgb", "bgr"]).map(|order| match order.as_str() {
        "bgr" => ChannelOrder::Bgr,
        _ => ChannelOrder::Rgb,
    })
}

/// A number, or a fraction such as `1/255`.
fn number(text: &str) -> Result<f32, String> {
    let parse = |text: &str| text.trim().parse::<f64>().ok();
    let number = match text.split_once('/') {
        Some((above, below)) => parse(above)
            .zip(parse(below))
            .map(|(above, below)| above / below),
        None => parse(text),
    };
    let number = number
        .map(|number| number as f32)
        .filter(|number| number.is_finite());
    number.ok_or_else(|| "give a number such as 0.485, or a fraction such as 1/255".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        model: ModelArgs,
    }

    fn parse(options: &[&str]) -> Result<ModelArgs, String> {
        let line = ["buckler", "model.onnx"].iter().chain(options);
        let command = Command::try_parse_from(line).map_err(|error| error.to_string())?;
        Ok(command.model)
    }

    #[test]
    fn a_size_is_a_side_or_height_and_width() {
        for (text, expected) in [
            ("224", (224, 224)),
            ("64x128", (64, 128)),
            ("1X65536", (1, 65536)),
        ] {
            let options = parse(&["--size", text]).ok().map(|args| args.options(None));
            assert_eq!(
                options.and_then(|options| options.size),
                Some(expected),
                "{text}"
            );
        }
        for text in [
            "",
            "0",
            "x",
            "64x",
            "x64",
            "-1",
            "+3",
            "1x2x3",
            "65537",
            "1e3",
            "99999999999999999999",
        ] {
            let message = parse(&[&format!("--size={text}")]).err().unwrap();
            assert!(message.contains("64x128"), "{text}: {message}");
        }
    }

    #[test]
    fn output_and_channel_order_are_passed_on() {
        let options = parse(&["--output", "logits", "--channel-order", "bgr"])
            .unwrap()
            .options(None);
        assert_eq!(options.output.as_deref(), Some("logits"));
        assert_eq!(options.channel_order, Some(ChannelOrder::Bgr));
        assert_eq!(parse(&[]).unwrap().options(None).channel_order, None);
        let message = parse(&["--channel-order", "gbr"]).err().unwrap();
        assert!(message.contains("rgb, bgr"), "{message}");
    }

    #[test]
    fn negative_means_and_fractions_are_values() {
        let args = parse(&["--mean", "-0.5,-.25,0", "--std", "1/255"]).unwrap();
        let normalization = args.normalization().unwrap();
        assert_eq!(normalization.mean, [-0.5, -0.25, 0.0]);
        assert_eq!(normalization.std, [1.0 / 255.0]);
        for mean in ["-", "nan", "1/0", "0.5,,0.5", "a"] {
            let message = parse(&["--mean", mean, "--std", "1"]).err().unwrap();
            assert!(message.contains("such as 0.485"), "{mean}: {message}");
        }
        assert!(parse(&["--mean", "0.5"]).err().unwrap().contains("--std"));
    }

    #[test]
    fn values_of_0_to_255_are_refused_before_anything_is_read() {
        let args = parse(&[
            "--mean",
            "123.675,116.28,103.53",
            "--std",
            "58.395,57.12,57.375",
        ])
        .unwrap();
        let message = format!("{:#}", args.load().unwrap_err());
        assert!(message.contains("--mean and --std"), "{message}");
        assert!(
            message.contains("mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225"),
            "{message}"
        );
    }
}
