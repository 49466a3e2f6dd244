//! What a request for an attack asks, validated.
use buckler_attack::{
    AnyAttack, Attack, AttackConfig, AttackKind, ConfigError, DEFAULT_MAX_BATCH, Limits,
    Parameters as Effort,
};
use buckler_data::ModelClasses;
use buckler_runtime::Classifier;
use serde_json::{Map, Value};

use crate::{Config, error::ApiError, request::Parameters};

/// All that `/attack` takes.
pub(crate) const PARAMETERS: &[&str] = &[
    "model",
    "attack",
    "norm",
    "eps",
    "min_eps",
    "steps",
    "step_size",
    "restarts",
    "objective",
    "variants",
    "seed",
    "target",
    "label",
    "partial",
    "return",
    "background",
];

/// Those that describe the attack itself.
const CONFIGURATION: &[&str] = &[
    "attack",
    "norm",
    "eps",
    "steps",
    "step_size",
    "restarts",
    "objective",
    "variants",
    "seed",
];

/// Bisections for the smallest radius: to a 256th of the largest.
const HALVINGS: u32 = 8;

/// An attack at several radii.
pub(crate) struct Wanted {
    pub kind: AttackKind,
    /// One for each radius, in the order asked; at least one.
    pub attacks: Vec<AnyAttack>,
    /// Whether the smallest radius is searched, and in how many bisections.
    pub halvings: Option<u32>,
    pub label: Option<usize>,
    pub target: Option<usize>,
    /// An attack that runs out of time is answered with what it has.
    pub partial: bool,
    /// The adversarial image is part of the answer.
    pub image: bool,
    pub needs_gradients: bool,
    /// Rows that the attack asks for at a time, for each image.
    rows_at_once: usize,
}

impl Wanted {
    pub fn of(
        parameters: &Parameters,
        classifier: &Classifier,
        config: &Config,
    ) -> Result<Self, ApiError> {
        let class = |field| match parameters.text(field) {
            Some(text) => class(field, &text, classifier.class_names()).map(Some),
            None => Ok(None),
        };
        let image = match parameters.text("return").as_deref() {
            None => false,
            Some("image") => true,
            Some(other) => {
                return Err(ApiError::value(
                    "return",
                    format!("return `{other}` is not possible: use `image`, or leave it out"),
                ));
            }
        };
        let limits = Limits {
            max_steps: config.max_steps,
            max_restarts: config.max_restarts,
            ..Limits::for_input(classifier.input())
        };
        let configurations = configurations(parameters)?;
        let kind = configurations.first().map(|one| one.attack);
        let kind = kind.unwrap_or_default();
        let attacks = configurations
            .iter()
            .map(|configuration| configuration.validate(&limits))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ApiError::value(field_of(&error), error.to_string()))?;
        let halvings = switch(parameters, "min_eps", false)?.then_some(HALVINGS);
        if halvings.is_some() && attacks.len() > 1 {
            return Err(ApiError::value(
                "min_eps",
                format!(
                    "min_eps searches below one radius, and eps has {}: give the largest alone",
                    attacks.len()
                ),
            ));
        }
        Ok(Self {
            kind,
            rows_at_once: match kind {
                AttackKind::Spsa => DEFAULT_MAX_BATCH,
                _ => 1,
            },
            attacks,
            halvings,
            label: class("label")?,
            target: class("target")?,
            partial: switch(parameters, "partial", true)?,
            image,
            needs_gradients: kind.needs_gradients(),
        })
    }

    /// The radii as they were written.
    pub fn radii(&self) -> Vec<String> {
        let radii = self.attacks.iter();
        radii
            .map(|attack| attack.threat().epsilon.to_string())
            .collect()
    }

    /// Rows under way at a time for so many images.
    pub fn rows(&self, images: usize) -> usize {
        let each = images.saturating_mul(self.rows_at_once);
        each.min(DEFAULT_MAX_BATCH)
            .saturating_mul(self.attacks.len())
    }

    /// The most queries for so many images.
    ///
    /// # Errors
    /// When that is more than a request may ask.
    pub fn price(&self, images: usize, classes: usize, limit: u64) -> Result<u64, ApiError> {
        let each = self
            .attacks
            .iter()
            .map(|attack| attack.most_queries(classes));
        let each = each.fold(0, u64::saturating_add);
        let rounds = 1 + u64::from(self.halvings.unwrap_or(0));
        let images_count = u64::try_from(images).unwrap_or(u64::MAX);
        let cost = each.saturating_mul(rounds).saturating_mul(images_count);
        if cost <= limit {
            return Ok(cost);
        }
        let effort = self.attacks.first().map(Attack::parameters);
        let (steps, restarts) = match effort {
            Some(Effort {
                steps, restarts, ..
            }) => (steps, restarts),
            None => (0, 0),
        };
        Err(ApiError::TooExpensive {
            cost,
            images,
            radii: self.attacks.len().max(rounds as usize),
            restarts,
            steps,
            limit,
        })
    }
}

/// The attack at each radius.
fn configurations(parameters: &Parameters) -> Result<Vec<AttackConfig>, ApiError> {
    let mut object = parameters.object(CONFIGURATION);
    let radii = match object.remove("eps") {
        None => vec![None],
        Some(Value::Array(radii)) => radii.into_iter().map(Some).collect(),
        Some(Value::String(text)) => text
            .split(',')
            .map(|radius| Some(Value::String(radius.trim().to_owned())))
            .collect(),
        Some(radius) => vec![Some(radius)],
    };
    if radii.is_empty() {
        return Err(ApiError::value(
            "eps",
            "eps is an empty list: give a radius such as `8/255`, or several".to_owned(),
        ));
    }
    // One by one first, so that an error can name its field.
    for (name, value) in &object {
        read(Map::from_iter([(name.clone(), value.clone())]))
            .map_err(|message| ApiError::value(name, message))?;
    }
    radii
        .into_iter()
        .map(|radius| {
            let mut object = object.clone();
            if let Some(radius) = radius {
                if radius.as_str() == Some("") {
                    return Err(ApiError::value(
                        "eps",
                        "eps has an empty radius: write radii such as `4/255,8/255`".to_owned(),
                    ));
                }
                object.insert("eps".to_owned(), radius);
            }
            read(object).map_err(|message| ApiError::value("eps", message))
        })
        .collect()
}

fn read(object: Map<String, Value>) -> Result<AttackConfig, String> {
    serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())
}

fn switch(parameters: &Parameters, field: &str, default: bool) -> Result<bool, ApiError> {
    match parameters.text(field).as_deref() {
        None => Ok(default),
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(ApiError::value(
            field,
            format!("{field} `{other}` is neither `true` nor `false`"),
        )),
    }
}

fn field_of(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::Eps { .. } => "eps",
        ConfigError::Steps { .. } => "steps",
        ConfigError::StepSize(_) => "step_size",
        ConfigError::Restarts { .. } => "restarts",
        ConfigError::Norm { .. } => "norm",
        ConfigError::NotForAttack { field, .. } => field,
    }
}

/// A class by its name, else by its number, where no other class is called by one.
pub(crate) fn class(field: &str, text: &str, names: &[String]) -> Result<usize, ApiError> {
    let classes = ModelClasses {
        count: names.len(),
        names,
    };
    classes
        .find(text)
        .map_err(|error| ApiError::value(field, format!("{field} {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_go_by_name_and_else_by_number() {
        let names = ["cat", "dog", "bird"].map(str::to_owned);
        assert_eq!(class("target", "dog", &names).unwrap(), 1);
        assert_eq!(class("target", "2", &names).unwrap(), 2);
        for text in ["3", "-1", "Dog", "1.0"] {
            let error = class("target", text, &names).unwrap_err().to_string();
            assert!(
                error.contains(&format!("target `{text}`")) && error.contains("0 to 2"),
                "{error}"
            );
        }
        let from_one = ["1", "2", "3"].map(str::to_owned);
        for (index, name) in from_one.iter().enumerate() {
            assert_eq!(class("label", name, &from_one).unwrap(), index);
        }
        // Not the class called 1.
        let error = class("label", "0", &from_one).unwrap_err().to_string();
        assert!(error.contains("use a name such as `1`"), "{error}");
        assert!(!error.contains("a number from"), "{error}");
    }
}
