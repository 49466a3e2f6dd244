//! `(x - mean) / std` of pixels in `[0, 1]`, and what is wrong with one in another unit.

use serde::{Deserialize, Serialize};

/// `(x - mean) / std` of pixels `x` in `[0, 1]`, for graphs that do not do so themselves.
///
/// What a graph wants of pixels in other units is written in this one: `255 x - m` is a mean of `m / 255` and a std of `1 / 255`,
/// pixels in `[-1, 1]` are a mean and a std of 0.5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Normalization {
    /// One for each channel, or one for all; in units of pixels in `[0, 1]`, from -1 to 1.
    pub mean: Vec<f32>,
    /// One for each channel, or one for all; in units of pixels in `[0, 1]`, positive and at most 1.
    pub std: Vec<f32>,
}

/// Below this, normalised pixels and their squares are near the end of what 32 bits hold.
const SMALLEST_STD: f32 = 1e-6;

/// Largest value of an 8-bit pixel.
const LARGEST_PIXEL: f64 = 255.0;

/// Largest of what other tools multiply by in place of dividing: one over a std of 0.1.
const LARGEST_FACTOR: f32 = 10.0;

/// Usual means, from red to blue, and what they are of.
const MEANS: &[(&str, [f32; 3])] = &[
    ("ImageNet", [0.485, 0.456, 0.406]),
    ("ImageNet", [0.485_02, 0.457_96, 0.407_60]),
    ("ImageNet in Caffe", [0.482_35, 0.458_82, 0.407_84]),
    ("CLIP", [0.481_45, 0.457_83, 0.408_21]),
    ("CIFAR-10", [0.4914, 0.4822, 0.4465]),
    ("CIFAR-100", [0.5071, 0.4865, 0.4409]),
];

/// Usual standard deviations, likewise.
const STDS: &[(&str, [f32; 3])] = &[
    ("ImageNet", [0.229, 0.224, 0.225]),
    ("CLIP", [0.268_63, 0.261_30, 0.275_78]),
    ("CIFAR-10", [0.2470, 0.2435, 0.2616]),
    ("CIFAR-10", [0.2023, 0.1994, 0.2010]),
    ("CIFAR-100", [0.2673, 0.2564, 0.2762]),
];

/// A normalisation that no image can be normalised by, or that is not in units of pixels in `[0, 1]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NormalizationError(String);

impl Normalization {
    /// Whether images of so many channels can be normalised so; 0 where their number is not known.
    ///
    /// A mean is a pixel, so that it is from -1 to 1. A std is at most 1: pixels in `[0, 1]` spread over 0.5 at most, and graphs
    /// want them stretched, if anything.
    ///
    /// # Errors
    /// Names the value, what is allowed, and the values over 255 where they look like ones of 0 to 255.
    pub fn check(&self, channels: usize) -> Result<(), NormalizationError> {
        let wrong = |reason: String| Err(NormalizationError(reason));
        for (what, values) in [("mean", &self.mean), ("std", &self.std)] {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return wrong(format!("{what} {value} is not a finite number"));
            }
            let fits = match channels {
                0 => (1..=super::MAX_CHANNELS).contains(&values.len()),
                channels => values.len() == 1 || values.len() == channels,
            };
            if !fits {
                let allowed = match channels {
                    0 => "one for each channel, or one for all".to_owned(),
                    1 => "one, as the images have 1 channel".to_owned(),
                    channels => format!("one for each of the {channels} channels, or one for all"),
                };
                let count = values.len();
                return wrong(format!("{what} has {count} values; give {allowed}"));
            }
        }
        let (means, stds) = (self.mean.len(), self.std.len());
        if means != stds && means > 1 && stds > 1 {
            return wrong(format!(
                "mean has {means} values and std {stds}; give one for each channel, or one for all"
            ));
        }
        if let Some(std) = self.std.iter().find(|std| **std < SMALLEST_STD) {
            return wrong(format!(
                "std {std} cannot be divided by; give a positive number of at least {SMALLEST_STD:e}, 1 where nothing is \
                 to be divided"
            ));
        }
        match self.is_in_units_of_pixels() {
            true => Ok(()),
            false => wrong(self.in_other_units()),
        }
    }

    /// What is possible but looks like a mistake, as sentences; empty where nothing does.
    pub fn doubts(&self) -> Vec<String> {
        let is = |values: &[f32], known: [f32; 3]| {
            let near = |(value, known): (&f32, f32)| (value - known).abs() <= 6e-4;
            values.len() == 3 && values.iter().zip(known).all(near)
        };
        let reversed = MEANS
            .iter()
            .find(|(_, [red, green, blue])| is(&self.mean, [*blue, *green, *red]));
        let squared = STDS
            .iter()
            .find(|(_, known)| is(&self.std, known.map(|std| std * std)));
        let mut doubts = Vec::new();
        if !self.mean.is_empty() && self.mean.iter().all(|mean| *mean < 0.0) {
            doubts.push(format!(
                "the mean {} is negative, so that pixels are made larger: the mean is subtracted, not added",
                list(&self.mean)
            ));
        }
        if let Some((of, _)) = reversed {
            doubts.push(format!(
                "the mean is that of {of} from blue to red: mean and std are taken from red to blue, whatever order the graph wants"
            ));
        }
        if let Some((of, _)) = squared {
            doubts.push(format!(
                "the std is the variance of {of}, the square of its std"
            ));
        }
        doubts
    }

    /// Mean and std of each channel.
    ///
    /// # Errors
    /// As [`Normalization::check`].
    pub fn per_channel(&self, channels: usize) -> Result<Vec<(f32, f32)>, NormalizationError> {
        self.check(channels)?;
        let of = |values: &[f32], channel| values.get(channel).or(values.first()).copied();
        let pair = |channel| of(&self.mean, channel).zip(of(&self.std, channel));
        Ok((0..channels).filter_map(pair).collect())
    }

    fn is_in_units_of_pixels(&self) -> bool {
        self.mean.iter().all(|mean| mean.abs() <= 1.0) && self.std.iter().all(|std| *std <= 1.0)
    }

    /// What to write instead of values of 0 to 255.
    fn in_other_units(&self) -> String {
        let [mean, std] = [&self.mean, &self.std].map(|values| list(values));
        let front = format!(
            "mean {mean} and std {std} are not in units of pixels in [0, 1], in which a mean is from -1 to 1 and a std at most 1"
        );
        let largest = [&self.mean, &self.std]
            .into_iter()
            .flatten()
            .fold(0.0, |largest, value| value.abs().max(largest));
        if f64::from(largest) > LARGEST_PIXEL {
            return format!("{front}: divide the values by the largest that a pixel can have");
        }
        let small = |value: f32| value.abs() <= 1.0;
        let small_mean = self.mean.iter().all(|mean| small(*mean));
        let inverse = |std: &f32| (1.0..=LARGEST_FACTOR).contains(std);
        if small_mean && self.std.iter().all(inverse) {
            let stds = self.std.iter().map(|std| number(1.0 / written(*std)));
            return format!(
                "{front}: where the values are factors, the std is {}, one over each; where they are of 0 to 255, divide them by 255",
                stds.collect::<Vec<_>>().join(", ")
            );
        }
        // A std of 1 beside a mean of 0 to 255 is one of 0 to 255 too.
        let large_std =
            self.std.iter().any(|std| !small(*std)) || self.std.iter().all(|std| *std == 1.0);
        let over_255 = |values: &[f32], all: bool| {
            let over = |value: &f32| match all || !small(*value) {
                true => number(written(*value) / LARGEST_PIXEL),
                false => number(written(*value)),
            };
            values.iter().map(over).collect::<Vec<_>>().join(", ")
        };
        let remedy = format!(
            "values of 0 to 255 are written over 255, as mean {} and std {}",
            over_255(&self.mean, false),
            over_255(&self.std, self.std.iter().all(|std| *std >= 1.0))
        );
        let factor = self.std.first().map_or(1.0, |std| f64::from(*std));
        match large_std {
            true => format!("{front}: {remedy}"),
            // What other tools call a scale.
            false => format!(
                "{front}: {remedy}; where {} is a factor, the std is {}",
                number(factor),
                number(1.0 / (LARGEST_PIXEL * factor))
            ),
        }
    }
}

fn list(values: &[f32]) -> String {
    let values = values.iter().map(|value| number(written(*value)));
    values.collect::<Vec<_>>().join(", ")
}

/// As it was written: 123.675 and not the nearest number of 32 bits.
fn written(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Six decimals, as far as there are any.
fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mean: &[f32], std: &[f32], channels: usize) -> Result<(), String> {
        let normalization = Normalization {
            mean: mean.to_vec(),
            std: std.to_vec(),
        };
        let found = normalization.check(channels);
        if channels > 0 {
            let pairs = normalization.per_channel(channels);
            assert_eq!(found.is_ok(), pairs.is_ok());
        }
        found.map_err(|error| error.to_string())
    }

    #[test]
    fn what_networks_want_of_pixels_can_be_written() {
        let over = |values: [f32; 3]| values.map(|value| value / 255.0);
        let legal: [(&[f32], &[f32]); 8] = [
            (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]),
            (&[0.5], &[0.5]),
            (&[0.0], &[1.0]),
            (&over([123.68, 116.779, 103.939]), &[1.0 / 255.0]),
            (&[0.0], &[1.0 / 255.0]),
            (&[0.0], &[1.0 / 65535.0]),
            (&[-0.5], &[1.0, 0.5, 0.25]),
            (&[1.0, -1.0, 0.0], &[1.0]),
        ];
        for (mean, std) in legal {
            assert_eq!(check(mean, std, 3), Ok(()), "{mean:?} {std:?}");
            assert_eq!(check(mean, std, 0), Ok(()), "{mean:?} {std:?}");
        }
    }

    #[test]
    fn values_of_0_to_255_are_refused_with_the_values_over_255() {
        let cases: [(&[f32], &[f32], &str); 10] = [
            (
                &[123.675, 116.28, 103.53],
                &[58.395, 57.12, 57.375],
                "as mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225",
            ),
            (&[127.5], &[127.5], "as mean 0.5 and std 0.5"),
            (
                &[104.0, 117.0, 123.0],
                &[1.0],
                "as mean 0.407843, 0.458824, 0.482353 and std 0.003922",
            ),
            (&[0.0], &[255.0], "as mean 0 and std 1"),
            (
                &[0.4914, 0.4822, 0.4465],
                &[63.0, 62.1, 66.7],
                "as mean 0.4914, 0.4822, 0.4465 and std 0.247059",
            ),
            (&[-123.675], &[58.395], "as mean -0.485 and std 0.229"),
            (
                &[0.5],
                &[2.0],
                "where the values are factors, the std is 0.5",
            ),
            (
                &[0.485, 0.456, 0.406],
                &[4.367, 4.464, 4.444],
                "the std is 0.22899, 0.224014, 0.225023, one over each",
            ),
            (
                &[0.485, 0.456, 0.406],
                &[0.229, 0.224, 57.375],
                "as mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225",
            ),
            (
                &[127.5],
                &[0.0078125],
                "where 0.007812 is a factor, the std is 0.501961",
            ),
        ];
        for (mean, std, remedy) in cases {
            for channels in [0, 3] {
                let message = check(mean, std, channels).unwrap_err();
                assert!(message.contains(remedy), "{message}");
                assert!(message.contains("[0, 1]"), "{message}");
            }
        }
        let message = check(&[32768.0], &[32768.0], 3).unwrap_err();
        assert!(
            message.contains("largest that a pixel can have"),
            "{message}"
        );
    }

    #[test]
    fn what_looks_like_a_mistake_is_told() {
        let doubts = |mean: &[f32], std: &[f32]| {
            let normalization = Normalization {
                mean: mean.to_vec(),
                std: std.to_vec(),
            };
            assert_eq!(normalization.check(3), Ok(()));
            normalization.doubts().join("; ")
        };
        let std = [0.229, 0.224, 0.225];
        assert_eq!(doubts(&[0.485, 0.456, 0.406], &std), "");
        assert_eq!(doubts(&[0.0], &[1.0]), "");
        assert_eq!(doubts(&[-0.5, 0.0, 0.5], &[1.0]), "");
        let negative = doubts(&[-0.485, -0.456, -0.406], &std);
        assert!(
            negative.contains("-0.485, -0.456, -0.406 is negative"),
            "{negative}"
        );
        let reversed = doubts(&[0.406, 0.456, 0.485], &std);
        assert!(reversed.contains("from blue to red"), "{reversed}");
        let squared = doubts(&[0.485, 0.456, 0.406], &[0.0524, 0.0501, 0.0506]);
        assert!(squared.contains("variance"), "{squared}");
        for (of, [red, green, blue]) in MEANS {
            assert_eq!(doubts(&[*red, *green, *blue], &std), "");
            let said = doubts(&[*blue, *green, *red], &std);
            assert!(said.contains(&format!("mean is that of {of}")), "{said}");
        }
        for (of, known) in STDS {
            assert_eq!(doubts(&[0.5], known), "");
            let said = doubts(&[0.5], &known.map(|std| std * std));
            assert!(said.contains(&format!("variance of {of}")), "{said}");
        }
        let caffe = [103.94, 116.78, 123.68].map(|mean| mean / 255.0);
        assert!(doubts(&caffe, &[1.0 / 255.0]).contains("from blue to red"));
    }

    #[test]
    fn the_values_given_instead_are_accepted() {
        for (mean, std) in [
            (123.675, 58.395),
            (104.0, 1.0),
            (255.0, 255.0),
            (1.5, 0.5),
            (0.5, 63.0),
        ] {
            let message = check(&[mean], &[std], 3).unwrap_err();
            let given = message.split("as mean ").nth(1).unwrap();
            let (mean, rest) = given.split_once(" and std ").unwrap();
            let std = rest.split(';').next().unwrap();
            assert_eq!(
                check(&[mean.parse().unwrap()], &[std.parse().unwrap()], 3),
                Ok(()),
                "{message}"
            );
        }
    }

    #[test]
    fn counts_signs_and_what_is_no_number_are_named() {
        let cases: [(&[f32], &[f32], usize, &str); 9] = [
            (&[0.5, 0.5], &[0.5], 3, "mean has 2 values"),
            (
                &[0.5; 3],
                &[0.5],
                1,
                "give one, as the images have 1 channel",
            ),
            (&[0.5; 3], &[0.5; 2], 0, "mean has 3 values and std 2"),
            (&[0.5], &[0.5; 5], 0, "std has 5 values"),
            (&[], &[0.5], 3, "mean has 0 values"),
            (&[f32::NAN], &[1.0], 3, "mean NaN is not a finite number"),
            (
                &[0.0],
                &[f32::INFINITY],
                3,
                "std inf is not a finite number",
            ),
            (&[0.0], &[0.0], 3, "std 0 cannot be divided by"),
            (&[0.0], &[-0.5], 3, "std -0.5 cannot be divided by"),
        ];
        for (mean, std, channels, reason) in cases {
            let message = check(mean, std, channels).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn one_value_is_that_of_all_channels() {
        let normalization = Normalization {
            mean: vec![0.5],
            std: vec![0.25, 0.5, 1.0],
        };
        let pairs = normalization.per_channel(3).unwrap();
        assert_eq!(pairs, [(0.5, 0.25), (0.5, 0.5), (0.5, 1.0)]);
    }
}
