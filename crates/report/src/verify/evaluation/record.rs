//! One record: what came of an image, against what is known of it.

use buckler_attack::{Distances, Norm, SampleRecord, Status};

use super::{Check, truth::Truth};

/// Distances in a report are in single precision.
const DISTANCE_TOLERANCE: f64 = 1e-6;

impl Check<'_> {
    /// What is true of a record, with what is not noted.
    pub(super) fn record(
        &self,
        stated: &SampleRecord,
        truth: &Truth<'_>,
        problems: &mut Vec<String>,
    ) -> SampleRecord {
        let mut record = stated.clone();
        let differs = |what: &str, stated: &dyn std::fmt::Debug, is: &dyn std::fmt::Debug| {
            format!("the report says {what} {stated:?}, and it is {is:?}")
        };
        if stated.label != truth.label {
            problems.push(differs("label", &stated.label, &truth.label));
        }
        if stated.target != truth.target {
            problems.push(differs("target", &stated.target, &truth.target));
        }
        if stated.clean_prediction != truth.clean {
            let stated = &stated.clean_prediction;
            problems.push(differs("clean prediction", stated, &truth.clean));
        }
        (record.label, record.target, record.clean_prediction) =
            (truth.label, truth.target, truth.clean);
        record.broken = !record.is_right();
        let reached = truth.clean.is_none_or(|class| truth.fools(Some(class)));
        match stated.outcome {
            Status::MisclassifiedClean if !reached => {
                problems.push("the report says misclassified_clean, and it is not".to_owned());
            }
            Status::AdversarialFound | Status::NotFound if reached => problems.push(format!(
                "the report says {}, and nothing is to be looked for: the clean image is predicted as {:?}",
                stated.outcome, truth.clean
            )),
            Status::Incomplete => {
                problems.push("the search was stopped before it was done".to_owned());
            }
            _ => (),
        }
        match stated.outcome {
            Status::AdversarialFound => match self.confirm(stated, truth) {
                Ok(()) => record.broken = true,
                Err(problem) => {
                    (record.linf, record.l2, record.l1) = (None, None, None);
                    problems.push(problem);
                }
            },
            outcome => {
                if truth.saved.is_some() {
                    let fools = match truth.look {
                        Some((exact, _)) if truth.fools(exact) => "fools the model",
                        _ => "does not fool the model",
                    };
                    problems.push(format!(
                        "the report says {outcome}, and an adversarial image is saved that {fools}"
                    ));
                    record.broken |= truth.look.is_some_and(|(exact, _)| truth.fools(exact));
                }
                let distances = [stated.linf, stated.l2, stated.l1];
                if distances.iter().any(Option::is_some)
                    || stated.png_still_adversarial.is_some()
                    || stated.found_by.is_some()
                {
                    problems.push(format!(
                        "the report says {outcome}, and speaks of an adversarial image"
                    ));
                    (record.linf, record.l2, record.l1) = (None, None, None);
                    (record.png_still_adversarial, record.found_by) = (None, None);
                }
            }
        }
        if stated.broken != record.broken {
            problems.push(differs("broken", &stated.broken, &record.broken));
        }
        problems.extend(self.counts(stated));
        problems.extend(self.prediction(stated, truth));
        record
    }

    /// Confirms an adversarial: the saved image is in its ball and in the box, as far away as stated, and fools the model.
    fn confirm(&self, stated: &SampleRecord, truth: &Truth<'_>) -> Result<(), String> {
        let image = truth.saved.ok_or("no adversarial image is saved for it")?;
        let Some((exact, rounded)) = truth.look else {
            return Err(format!("the saved image has the shape {:?}", image.shape()));
        };
        let parameters = &self.stated.parameters;
        let distances = Distances::between(truth.image, image);
        let distance = distances.in_norm(parameters.norm);
        // NaN is not inside.
        let inside = distance <= f64::from(parameters.eps.value());
        if !inside {
            let eps = parameters.eps;
            return Err(format!(
                "the saved image is {distance} away, outside eps {eps}"
            ));
        }
        if !image.iter().all(|value| (0.0..=1.0).contains(value)) {
            return Err("the saved image leaves [0, 1]".to_owned());
        }
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let distance = distances.in_norm(norm);
            let said = stated.distance(norm);
            let near = |said: f32| {
                (f64::from(said) - distance).abs() <= DISTANCE_TOLERANCE * distance.max(1.0)
            };
            if !said.is_some_and(near) {
                let said = said.map_or("nothing".to_owned(), |said| said.to_string());
                return Err(format!(
                    "the saved image is {distance} away in {norm}, the report says {said}"
                ));
            }
        }
        if !truth.fools(exact) {
            return Err(format!("the saved image is predicted as {exact:?}"));
        }
        if stated.prediction != exact {
            return Err(format!(
                "the saved image is predicted as {exact:?}, the report says {:?}",
                stated.prediction
            ));
        }
        if stated.png_still_adversarial != Some(truth.fools(rounded)) {
            return Err(format!(
                "rounded to 8 bits it is predicted as {rounded:?}, the report says otherwise"
            ));
        }
        Ok(())
    }
}
