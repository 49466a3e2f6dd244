//! One image in the course of an attack.

use ndarray::Array3;
use rand_chacha::ChaCha8Rng;

use crate::{
    AttackError, Distances, InputSpec, Norm, Objective, ObjectiveKind, Outcome, Status, Threat,
    desk::{Desk, Level, Plan, Standing, Stop},
    logits::{finite, log_softmax, possible_classes, predicted},
    query::Slope,
    rng,
    samples::Goal,
};

/// After this many flat starting points, and no slope anywhere, an image is given up: more restarts would be spent on an
/// objective that has no gradient to follow.
const FLAT_STARTS: usize = 3;

/// An image, what is wanted of it, and what came of it so far.
pub(crate) struct Case {
    pub goal: Goal,
    pub label: usize,
    pub input: InputSpec,
    pub classes: usize,
    /// Those of the classes that can be chosen at the clean image.
    possible: usize,
    pub origin: Vec<f32>,
    /// What says how good a point is that does not reach the goal.
    judge: Objective,
    clean: Level,
    /// The point of highest loss, or the adversarial.
    kept: Option<Kept>,
    /// The closest point that reaches the goal, in the ball or not.
    closest: Option<(f64, Kept)>,
    plan: Plan,
    steps_in_restart: usize,
    flat_starts: usize,
    slope_seen: bool,
    /// Whether the gradients since the last step had values that were not finite.
    incomplete_slope: bool,
    desk: Desk,
    /// `Incomplete` while the search is open.
    outcome: Outcome,
}

/// A point and what is said about it.
struct Kept {
    point: Vec<f32>,
    prediction: usize,
    level: Level,
}

impl Case {
    /// A case whose clean image has been judged: open, or closed at once because it reaches the goal as it is.
    pub(crate) fn new(
        id: u64,
        (goal, label): (Goal, usize),
        kind: ObjectiveKind,
        input: InputSpec,
        origin: Vec<f32>,
        clean_logits: Vec<f32>,
    ) -> Result<Self, AttackError> {
        let Some(prediction) = predicted(&clean_logits) else {
            return Err(AttackError::not_finite(id, &clean_logits));
        };
        let possible = possible_classes(&clean_logits);
        let judge = goal.objective(kind, label, possible);
        let level = level(&judge, goal, label, &clean_logits);
        let status = if goal.met(prediction) {
            Status::MisclassifiedClean
        } else {
            Status::Incomplete
        };
        let outcome = Outcome {
            id,
            status,
            clean_prediction: prediction,
            adversarial: None,
            best: None,
            prediction,
            loss: level.loss,
            smallest: None,
            found_by: None,
            gradient_evaluations: 0,
            forward_evaluations: 1,
            steps_used: 0,
            restarts_used: 0,
            zero_gradient: false,
            non_finite_gradient: 0,
            clean_logits,
        };
        let desk = Desk::default();
        desk.stand(|standing| standing.best = level);
        Ok(Self {
            goal,
            label,
            input,
            classes: outcome.clean_logits.len(),
            possible,
            judge,
            origin,
            clean: level,
            kept: None,
            closest: None,
            plan: Plan::default(),
            steps_in_restart: 0,
            flat_starts: 0,
            slope_seen: false,
            incomplete_slope: false,
            desk,
            outcome,
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.outcome.status == Status::Incomplete
    }

    /// Whether nothing has been found for it.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.outcome.status, Status::Incomplete | Status::NotFound)
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    pub(crate) fn clean_logits(&self) -> &[f32] {
        &self.outcome.clean_logits
    }

    pub(crate) fn objective(&self, kind: ObjectiveKind) -> Objective {
        self.goal.objective(kind, self.label, self.possible)
    }

    /// The classes that can be chosen at the clean image: with fewer than all, some objectives are not defined.
    pub(crate) fn possible_classes(&self) -> usize {
        self.possible
    }

    /// Notes how far the search can come.
    pub(crate) fn expect(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// Notes the steps of the restarts that follow, of several attacks one after the other.
    pub(crate) fn expect_steps(&mut self, steps: usize) {
        self.plan.steps = steps;
    }

    /// Begins a restart, and answers with its random stream. What an image draws depends on the seed, its id and how many
    /// restarts it has had.
    pub(crate) fn restart(&mut self, seed: u64) -> ChaCha8Rng {
        let rng = rng::stream(seed, self.outcome.id, self.outcome.restarts_used as u64);
        self.outcome.restarts_used += 1;
        self.steps_in_restart = 0;
        self.incomplete_slope = false;
        self.stand();
        rng
    }

    /// Notes a step.
    pub(crate) fn stepped(&mut self) {
        self.slope_seen = true;
        self.incomplete_slope = false;
        self.steps_in_restart += 1;
        self.outcome.steps_used += 1;
        self.stand();
    }

    /// Notes that there was nothing to follow: a gradient that was zero in every pixel, or in all where it was finite.
    /// Answers whether the image is to be given up.
    pub(crate) fn flat(&mut self) -> bool {
        self.outcome.zero_gradient |= !self.incomplete_slope;
        self.flat_starts += usize::from(self.steps_in_restart == 0);
        !self.slope_seen && self.flat_starts >= FLAT_STARTS
    }

    fn stand(&self) {
        let (restart, step) = (self.outcome.restarts_used, self.steps_in_restart);
        let best = self.kept.as_ref().map_or(self.clean, |kept| kept.level);
        self.desk.stand(|standing| {
            *standing = Standing {
                restart,
                step,
                plan: self.plan,
                best,
            };
        });
    }

    /// The logits at some points, unjudged.
    pub(crate) async fn logits(&mut self, points: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, Stop> {
        let answers = self.desk.logits(points).await?;
        self.outcome.forward_evaluations += answers.len() as u64;
        Ok(answers)
    }

    /// Logits and gradients at some points, unjudged.
    pub(crate) async fn slopes(
        &mut self,
        points: Vec<(Vec<f32>, Objective)>,
    ) -> Result<Vec<Slope>, Stop> {
        let answers = self.desk.slopes(points).await?;
        self.outcome.gradient_evaluations += answers.len() as u64;
        let non_finite: usize = answers.iter().map(|slope| slope.non_finite).sum();
        self.incomplete_slope |= non_finite > 0;
        self.outcome.non_finite_gradient += non_finite as u64;
        Ok(answers)
    }

    /// The logits at a point of the ball.
    ///
    /// # Errors
    /// [`Stop::Found`] when it reaches the goal.
    pub(crate) async fn look(&mut self, point: &[f32]) -> Result<Vec<f32>, Stop> {
        let answer = self.logits(vec![point.to_vec()]).await?;
        let logits = answer.into_iter().next().unwrap_or_default();
        self.judge(point, &logits)?;
        Ok(logits)
    }

    /// Logits and the gradient of an objective at a point of the ball.
    ///
    /// # Errors
    /// [`Stop::Found`] when it reaches the goal.
    pub(crate) async fn slope(
        &mut self,
        point: &[f32],
        objective: &Objective,
    ) -> Result<Slope, Stop> {
        let answer = self
            .slopes(vec![(point.to_vec(), objective.clone())])
            .await?;
        let slope = answer.into_iter().next().ok_or(Stop::Stopped)?;
        self.judge(point, &slope.logits)?;
        Ok(slope)
    }

    /// Keeps a point of the ball if it is the best so far.
    ///
    /// # Errors
    /// [`Stop::Found`] when it reaches the goal.
    pub(crate) fn judge(&mut self, point: &[f32], logits: &[f32]) -> Result<(), Stop> {
        // Logits without a prediction: such a point is neither an adversarial nor the best.
        let Some(prediction) = predicted(logits) else {
            return Ok(());
        };
        let level = self.level(logits);
        let found = self.goal.met(prediction);
        let best = self.kept.as_ref().map(|kept| kept.level.loss);
        if found || best.is_none_or(|best| level.loss > best) {
            self.kept = Some(Kept {
                point: point.to_vec(),
                prediction,
                level,
            });
            self.stand();
        }
        if found {
            self.outcome.status = Status::AdversarialFound;
            return Err(Stop::Found);
        }
        Ok(())
    }

    fn level(&self, logits: &[f32]) -> Level {
        level(&self.judge, self.goal, self.label, logits)
    }

    /// Whether logits reach the goal; those without a prediction do not.
    pub(crate) fn reached(&self, logits: &[f32]) -> bool {
        predicted(logits).is_some_and(|class| self.goal.met(class))
    }

    /// Keeps a point that reaches the goal, wherever it is, if it is the closest so far; answers whether it is.
    pub(crate) fn keep_closest(&mut self, norm: Norm, point: &[f32], logits: &[f32]) -> bool {
        let distance = Distances::between(&self.origin, point).in_norm(norm);
        let closer = self.smallest().is_none_or(|smallest| distance < smallest);
        match predicted(logits) {
            Some(prediction) if closer && self.goal.met(prediction) => {
                let kept = Kept {
                    point: point.to_vec(),
                    prediction,
                    level: self.level(logits),
                };
                self.closest = Some((distance, kept));
                true
            }
            _ => false,
        }
    }

    /// The distance of the closest point that reaches the goal.
    pub(crate) fn smallest(&self) -> Option<f64> {
        self.closest.as_ref().map(|(distance, _)| *distance)
    }

    /// Whether the closest point that reaches the goal lies in the ball, and so counts.
    pub(crate) fn settle(&mut self, threat: Threat) -> bool {
        let epsilon = f64::from(threat.epsilon.value());
        let inside = self.is_open() && self.smallest().is_some_and(|smallest| smallest <= epsilon);
        if inside {
            self.outcome.status = Status::AdversarialFound;
            self.outcome.smallest = self.smallest();
            self.kept = self.closest.take().map(|(_, kept)| kept);
        }
        inside
    }

    /// Says which of several attacks broke the image.
    pub(crate) fn credit(&mut self, attack: &str) {
        if self.outcome.status == Status::AdversarialFound && self.outcome.found_by.is_none() {
            self.outcome.found_by = Some(attack.to_owned());
        }
    }

    /// Everything has been tried: an open image has been found nothing for.
    pub(crate) fn close(&mut self) {
        if self.is_open() {
            self.outcome.status = Status::NotFound;
        }
    }

    pub(crate) fn into_outcome(mut self) -> Outcome {
        let InputSpec {
            channels,
            height,
            width,
        } = self.input;
        if let Some((distance, closest)) = self.closest.take() {
            self.outcome.smallest = Some(distance);
            self.kept = self.kept.or(Some(closest));
        }
        if let Some(kept) = self.kept {
            self.outcome.prediction = kept.prediction;
            self.outcome.loss = kept.level.loss;
            let image = Array3::from_shape_vec((channels, height, width), kept.point).ok();
            match self.outcome.status {
                Status::AdversarialFound => self.outcome.adversarial = image,
                _ => self.outcome.best = image,
            }
        }
        self.outcome
    }
}

fn level(judge: &Objective, goal: Goal, label: usize, logits: &[f32]) -> Level {
    let margin = goal.objective(ObjectiveKind::Margin, label, logits.len());
    let confidence = log_softmax(logits).get(label).map_or(0.0, |log| log.exp());
    Level {
        loss: finite(judge.value(logits)),
        margin: finite(margin.value(logits)),
        confidence: confidence as f32,
    }
}
