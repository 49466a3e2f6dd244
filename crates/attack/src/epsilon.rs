use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The radius of a perturbation ball, as a value in pixel units (`[0, 1]` per pixel).
///
/// Reads `8/255` and `0.031` alike and remembers which was written, because a report that says `0.03137` where the
/// user typed `8/255` cannot be compared with the literature.
#[derive(Clone, Copy, Debug)]
pub struct Epsilon {
    value: f32,
    fraction: Option<(u32, u32)>,
}

impl Epsilon {
    /// An epsilon given as a plain number.
    ///
    /// # Errors
    /// When `value` is not finite or is negative.
    pub fn new(value: f32) -> Result<Self, ParseEpsilonError> {
        Self::checked(value, None, || value.to_string())
    }

    /// The radius in pixel units.
    pub fn value(self) -> f32 {
        self.value
    }

    /// The radius as it was written: `8/255` is a little less or more than any single-precision number. Of a plain number
    /// the largest that is read as the same single-precision number.
    pub(crate) fn as_written(self) -> f64 {
        match self.fraction {
            Some((numerator, denominator)) => f64::from(numerator) / f64::from(denominator),
            None => f64::from(self.value) * (1.0 + f64::from(f32::EPSILON) / 2.0),
        }
    }

    /// A share of this radius, which is between 0 and 1.
    pub(crate) fn times(self, share: f32) -> Self {
        Self {
            value: self.value * share.clamp(0.0, 1.0),
            fraction: None,
        }
    }

    /// `numerator / 255`.
    pub(crate) fn fraction_of_255(numerator: u8) -> Self {
        Self {
            value: f32::from(numerator) / 255.0,
            fraction: Some((numerator.into(), 255)),
        }
    }

    /// A whole number.
    pub(crate) fn whole(number: u8) -> Self {
        Self {
            value: number.into(),
            fraction: None,
        }
    }

    fn checked(
        value: f32,
        fraction: Option<(u32, u32)>,
        text: impl Fn() -> String,
    ) -> Result<Self, ParseEpsilonError> {
        if value.is_finite() && value >= 0.0 {
            // -0 becomes 0.
            let value = value + 0.0;
            Ok(Self { value, fraction })
        } else {
            Err(ParseEpsilonError(text()))
        }
    }
}

impl PartialEq for Epsilon {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fraction {
            Some((numerator, denominator)) => write!(f, "{numerator}/{denominator}"),
            None => write!(f, "{}", self.value),
        }
    }
}

/// The text is not a usable epsilon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "epsilon `{0}` is not a non-negative number: write a fraction such as `8/255` or a number such as `0.031`"
)]
pub struct ParseEpsilonError(String);

impl FromStr for Epsilon {
    type Err = ParseEpsilonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseEpsilonError(text.to_owned());
        let trimmed = text.trim();
        match trimmed.split_once('/') {
            Some((numerator, denominator)) => {
                let numerator: u32 = numerator.trim().parse().map_err(|_| bad())?;
                let denominator: u32 = denominator.trim().parse().map_err(|_| bad())?;
                if denominator == 0 {
                    return Err(bad());
                }
                let value = (f64::from(numerator) / f64::from(denominator)) as f32;
                Self::checked(value, Some((numerator, denominator)), || text.to_owned())
            }
            None => {
                let value: f32 = trimmed.parse().map_err(|_| bad())?;
                Self::checked(value, None, || text.to_owned())
            }
        }
    }
}

impl Serialize for Epsilon {
    /// As text, so that `8/255` survives a round trip.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epsilon {
    /// From text (`"8/255"`, `"0.031"`) or from a number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f32),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Self::new(value),
            Written::Text(text) => text.parse(),
        }
        .map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl utoipa::PartialSchema for Epsilon {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some(
                "The radius of a ball in pixel units, as it was written.",
            ))
            .examples(["8/255", "0.031"])
            .into()
    }
}

#[cfg(feature = "schema")]
impl utoipa::ToSchema for Epsilon {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fractions_and_decimals_and_writes_them_back_as_they_were() {
        let fraction: Epsilon = "8/255".parse().unwrap();
        assert_eq!(fraction.value(), 8.0 / 255.0);
        assert_eq!(fraction.to_string(), "8/255");
        assert_eq!("0.031".parse::<Epsilon>().unwrap().to_string(), "0.031");
        assert_eq!("-0.0".parse::<Epsilon>().unwrap().to_string(), "0");
    }

    #[test]
    fn refuses_what_is_not_a_radius() {
        for text in ["-0.1", "NaN", "inf", "8/0", "8/-255", "/255", "", "eight"] {
            let error = text.parse::<Epsilon>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }
}
