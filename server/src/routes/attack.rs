use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{Request, State},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use buckler_attack::{
    AnyAttack, Attack, AttackConfig, AttackReport, ConfigError, Examination, Examined, Limits,
    examine,
};
use buckler_runtime::{Classifier, encode_png};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Config,
    app::{App, Chosen, blocking},
    error::ApiError,
    request::{ImageRequest, Parameters},
};

const PARAMETERS: &[&str] = &[
    "model",
    "attack",
    "norm",
    "eps",
    "steps",
    "step_size",
    "restarts",
    "objective",
    "variants",
    "seed",
    "target",
    "label",
    "return",
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

/// One image's answer, or several in a list.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    One(Box<Attacked>),
    Several { results: Vec<Attacked> },
}

/// What came of attacking one image.
#[derive(Serialize)]
pub(crate) struct Attacked {
    model: String,
    version: String,
    sha256: String,
    assumptions: Vec<String>,
    #[serde(flatten)]
    report: AttackReport,
    /// Gradient evaluations for this image.
    cost: u64,
    /// For the whole request.
    seconds: f64,
    /// Present when asked for; null when there is no adversarial image.
    #[serde(skip_serializing_if = "Option::is_none")]
    adversarial_png: Option<Value>,
}

/// `POST /attack`
pub(crate) async fn attack(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Answer>, ApiError> {
    let start = Instant::now();
    let ImageRequest { images, parameters } =
        ImageRequest::read(request, PARAMETERS, &app.config).await?;
    let chosen = app.choose(parameters.text("model").as_deref(), None)?;
    let wanted = Wanted::of(&parameters, chosen.classifier(), &app.config)?;
    wanted.check_cost(
        images.len(),
        chosen.classifier().classes(),
        app.config.max_cost,
    )?;
    if let Err(reason) = chosen.classifier().can_attack() {
        return Err(ApiError::NoGradient(reason.to_owned()));
    }
    let count = images.len();
    let examination = Examination {
        attack: wanted.attack,
        images: app.decode(chosen.classifier(), images).await?,
        labels: wanted.label.map(|label| vec![label; count]),
        target: wanted.target,
        halvings: None,
        class_names: chosen.classifier().class_names().to_vec(),
    };
    let examined = examine(chosen.classifier(), &examination, &()).await?;
    let pictures = match wanted.image {
        true => Some(encode(&examined).await?),
        false => None,
    };
    let seconds = start.elapsed().as_secs_f64();
    let mut results: Vec<Attacked> = examined
        .into_iter()
        .enumerate()
        .map(|(index, examined)| Attacked {
            adversarial_png: pictures
                .as_ref()
                .map(|pictures| pictures.get(index).cloned().unwrap_or(Value::Null)),
            ..attacked(&chosen, examined.report, seconds)
        })
        .collect();
    Ok(Json(match (results.len(), results.pop()) {
        (1, Some(one)) => Answer::One(Box::new(one)),
        (_, last) => {
            results.extend(last);
            Answer::Several { results }
        }
    }))
}

fn attacked(chosen: &Chosen, report: AttackReport, seconds: f64) -> Attacked {
    Attacked {
        model: chosen.entry.name.clone(),
        version: chosen.entry.version.clone(),
        sha256: chosen.classifier().sha256().to_owned(),
        assumptions: chosen.assumptions.clone(),
        cost: report.gradient_evaluations,
        report,
        seconds,
        adversarial_png: None,
    }
}

/// The adversarial images as PNG data URIs.
async fn encode(examined: &[Examined]) -> Result<Vec<Value>, ApiError> {
    let images: Vec<_> = examined.iter().map(|one| one.adversarial.clone()).collect();
    blocking(move || {
        images
            .iter()
            .map(|image| match image {
                None => Ok(Value::Null),
                Some(image) => {
                    let png = encode_png(image.view())
                        .map_err(|error| ApiError::Internal(error.to_string()))?;
                    let encoded = BASE64_STANDARD.encode(png);
                    Ok(Value::String(format!("data:image/png;base64,{encoded}")))
                }
            })
            .collect()
    })
    .await
}

/// What was asked for, validated.
struct Wanted {
    attack: AnyAttack,
    label: Option<usize>,
    target: Option<usize>,
    image: bool,
}

impl Wanted {
    fn of(
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
                return Err(ApiError::Value {
                    field: "return".to_owned(),
                    message: format!(
                        "return `{other}` is not possible: use `image`, or leave it out"
                    ),
                });
            }
        };
        let limits = Limits {
            max_steps: config.max_steps,
            max_restarts: config.max_restarts,
            ..Limits::for_input(classifier.input())
        };
        Ok(Self {
            attack: configuration(parameters)?
                .validate(&limits)
                .map_err(|error| ApiError::Value {
                    field: field_of(&error).to_owned(),
                    message: error.to_string(),
                })?,
            label: class("label")?,
            target: class("target")?,
            image,
        })
    }

    fn check_cost(&self, images: usize, classes: usize, limit: u64) -> Result<(), ApiError> {
        let buckler_attack::Parameters {
            steps, restarts, ..
        } = self.attack.parameters();
        let each = self.attack.most_queries(classes);
        let cost = each.saturating_mul(u64::try_from(images).unwrap_or(u64::MAX));
        if cost <= limit {
            return Ok(());
        }
        Err(ApiError::TooExpensive {
            cost,
            images,
            restarts,
            steps,
            limit,
        })
    }
}

fn configuration(parameters: &Parameters) -> Result<AttackConfig, ApiError> {
    // One by one first, so that an error can name its field.
    for name in CONFIGURATION {
        read(&[name], parameters).map_err(|message| ApiError::Value {
            field: (*name).to_owned(),
            message,
        })?;
    }
    read(CONFIGURATION, parameters).map_err(ApiError::Internal)
}

fn read(names: &[&str], parameters: &Parameters) -> Result<AttackConfig, String> {
    let object = Value::Object(parameters.object(names));
    serde_json::from_value(object).map_err(|error| error.to_string())
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

/// A class by its name, else by its number. Names come first, so that every class can be named whatever it is called.
fn class(field: &str, text: &str, names: &[String]) -> Result<usize, ApiError> {
    let by_name = names.iter().position(|name| name == text);
    let by_number = || {
        text.parse()
            .ok()
            .filter(|&number: &usize| number < names.len())
    };
    by_name.or_else(by_number).ok_or_else(|| ApiError::Value {
        field: field.to_owned(),
        message: format!(
            "{field} `{text}` is no class of the model: use a name such as `{}` or a number from 0 to {}",
            names.first().map_or("", String::as_str),
            names.len().saturating_sub(1),
        ),
    })
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
    }
}
