//! One image in the course of a gradient ascent.

use ndarray::Array3;

use crate::{
    AttackError, InputSpec, Objective, ObjectiveKind, Outcome, Status, Threat, ball,
    logits::predicted, query::Slope, rng, samples::Goal,
};

/// After this many flat starting points, and no slope anywhere, an image is given up: more restarts would be spent on an
/// objective that has no gradient to follow.
const FLAT_STARTS: usize = 3;

/// An image, where its search stands and what came of it.
pub(crate) struct Row {
    goal: Goal,
    objective: Objective,
    origin: Vec<f32>,
    point: Vec<f32>,
    /// The point of highest loss, or the adversarial.
    kept: Option<Vec<f32>>,
    /// Still moving in this restart.
    climbing: bool,
    steps_in_restart: usize,
    flat_starts: usize,
    slope_seen: bool,
    /// `Incomplete` while the search is open.
    outcome: Outcome,
}

impl Row {
    /// A row whose clean image has been judged: open, or closed at once because it reaches the goal as it is.
    pub(crate) fn new(
        id: u64,
        goal: Goal,
        kind: ObjectiveKind,
        origin: Vec<f32>,
        clean_logits: Vec<f32>,
    ) -> Result<Self, AttackError> {
        let Some(prediction) = predicted(&clean_logits) else {
            return Err(AttackError::not_finite(id, &clean_logits));
        };
        let objective = goal.objective(kind);
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
            loss: objective.value(&clean_logits) as f32,
            clean_logits,
            gradient_evaluations: 0,
            forward_evaluations: 1,
            steps_used: 0,
            restarts_used: 0,
            zero_gradient: false,
        };
        Ok(Self {
            goal,
            objective,
            point: origin.clone(),
            origin,
            kept: None,
            climbing: false,
            steps_in_restart: 0,
            flat_starts: 0,
            slope_seen: false,
            outcome,
        })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.outcome.status == Status::Incomplete
    }

    /// Whether the row takes part in the next query.
    pub(crate) fn is_climbing(&self) -> bool {
        self.is_open() && self.climbing
    }

    pub(crate) fn point(&self) -> &[f32] {
        &self.point
    }

    pub(crate) fn objective(&self) -> &Objective {
        &self.objective
    }

    /// The highest loss so far.
    pub(crate) fn loss(&self) -> f32 {
        self.outcome.loss
    }

    /// Begins a restart, at a random point or at the clean image.
    pub(crate) fn start(&mut self, threat: Threat, seed: u64, random: bool) {
        self.point = if random {
            let mut rng = rng::stream(seed, self.outcome.id, self.outcome.restarts_used as u64);
            ball::random_start(threat, &self.origin, &mut rng)
        } else {
            self.origin.clone()
        };
        self.climbing = true;
        self.steps_in_restart = 0;
        self.outcome.restarts_used += 1;
    }

    /// Judges the current point by the answer to a gradient query and, unless that ends the search, moves on.
    pub(crate) fn climb(&mut self, slope: &Slope, threat: Threat, step_size: f32) {
        self.outcome.gradient_evaluations += 1;
        self.judge(&slope.logits);
        if self.is_open() {
            self.advance(&slope.gradient, threat, step_size);
        }
    }

    /// Judges the last point of a restart by a plain forward pass.
    pub(crate) fn land(&mut self, logits: &[f32]) {
        self.outcome.forward_evaluations += 1;
        self.judge(logits);
        self.climbing = false;
    }

    fn judge(&mut self, logits: &[f32]) {
        // Logits that are not finite are no prediction: such a point is neither an adversarial nor the best.
        let Some(prediction) = predicted(logits) else {
            return;
        };
        let loss = self.objective.value(logits) as f32;
        let found = self.goal.met(prediction);
        if found {
            self.outcome.status = Status::AdversarialFound;
        }
        if found || self.kept.is_none() || loss > self.outcome.loss {
            self.kept = Some(self.point.clone());
            self.outcome.loss = loss;
            self.outcome.prediction = prediction;
        }
    }

    fn advance(&mut self, gradient: &[f32], threat: Threat, step_size: f32) {
        if ball::step(threat.norm, step_size, gradient, &mut self.point) {
            ball::project(threat, &self.origin, &mut self.point);
            self.slope_seen = true;
            self.steps_in_restart += 1;
            self.outcome.steps_used += 1;
        } else {
            // The point stays and would only give the same answer again.
            self.climbing = false;
            self.outcome.zero_gradient = true;
            self.flat_starts += usize::from(self.steps_in_restart == 0);
        }
    }

    /// Ends a restart: gives up on a row that has never had a gradient to follow.
    pub(crate) fn end_restart(&mut self) {
        if !self.slope_seen && self.flat_starts >= FLAT_STARTS {
            self.close();
        }
    }

    /// Everything has been tried: an open row has found nothing.
    pub(crate) fn close(&mut self) {
        if self.is_open() {
            self.outcome.status = Status::NotFound;
        }
    }

    pub(crate) fn into_outcome(mut self, input: InputSpec) -> Outcome {
        let shape = (input.channels, input.height, input.width);
        let kept = self
            .kept
            .and_then(|values| Array3::from_shape_vec(shape, values).ok());
        match self.outcome.status {
            Status::AdversarialFound => self.outcome.adversarial = kept,
            _ => self.outcome.best = kept,
        }
        self.outcome
    }
}
