use crate::{
    Attack, AttackError, Objective, ObjectiveKind, Observer, Options, Outcome, Parameters, Samples,
    Threat, Victim, ball,
    case::Case,
    desk::{Plan, Stop},
    logits,
    pgd::DEFAULT_MAX_BATCH,
    samples::Goal,
    search::{self, Search, count},
};

/// Share of the first interval between two looks at the step size, by how much each is shorter than the one before, and the
/// shortest, all in iterations per iteration.
const INTERVALS: [f64; 3] = [0.22, 0.03, 0.06];

/// A loss that rose in at most this share of an interval's steps oscillates.
const RHO: f64 = 0.75;

/// The weight of a step, against that of the one before it.
const MOMENTUM: f32 = 0.75;

/// Auto-PGD (Croce & Hein 2020), for L-inf and L2: projected gradient descent with momentum that halves its steps by itself.
///
/// It begins with steps of twice the radius. At certain iterations (22, 41, 57, 70, 80, 87, 93 and 99 of 100) it looks back: when
/// the loss rose in at most three quarters of the steps since, or neither the best loss nor the step size changed, it
/// halves the step and goes on from the best point.
///
/// The targeted form climbs the difference of logits ratio towards each of the classes that are likeliest at the clean image,
/// one after the other.
///
/// As the reference implementation, except that an image leaves at its first adversarial, that the last point is looked at
/// without a gradient, and that the first step of all is compared with the start (there: with a loss of zero).
#[derive(Clone, Debug, PartialEq)]
pub struct Apgd {
    /// The ball to search; not L1.
    pub threat: Threat,
    /// Iterations per restart.
    pub steps: usize,
    /// Restarts at most, for each target.
    pub restarts: usize,
    /// The loss to climb.
    pub objective: ObjectiveKind,
    /// How many classes are tried as targets; `None` to leave the label for any.
    pub targets: Option<usize>,
    /// Gradients that are averaged at every point (Athalye et al. 2018), for models that draw something at random.
    pub eot: usize,
    /// The seed of the random starts.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl Apgd {
    /// 100 iterations from one random start.
    pub fn new(threat: Threat, objective: ObjectiveKind) -> Self {
        Self {
            threat,
            steps: 100,
            restarts: 1,
            objective,
            targets: None,
            eot: 1,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    /// The targeted form, with nine targets.
    pub fn targeted(threat: Threat) -> Self {
        Self {
            targets: Some(9),
            ..Self::new(threat, ObjectiveKind::Dlr)
        }
    }

    /// What is climbed, one after the other.
    fn objectives(&self, case: &Case) -> Vec<Objective> {
        match (self.targets, case.goal) {
            (Some(count), Goal::Leave(label)) => {
                let kind = self.objective.with_classes(case.possible_classes(), true);
                logits::targets(case.clean_logits(), label, count)
                    .into_iter()
                    .map(|target| kind.targeted(label, target))
                    .collect()
            }
            _ => vec![case.objective(self.objective)],
        }
    }

    /// One restart.
    async fn climb(
        &self,
        case: &mut Case,
        mut point: Vec<f32>,
        objective: &Objective,
    ) -> Result<(), Stop> {
        let mut step = 2.0 * self.threat.epsilon.value();
        let mut clock = Clock::new(self.steps);
        let (mut loss, mut gradient) = self.look(case, &point, objective).await?;
        let (mut best, mut best_loss, mut best_gradient) = (point.clone(), loss, gradient.clone());
        let mut before = point.clone();
        let (mut rises, mut loss_at_check, mut halved) = (0, best_loss, true);
        for iteration in 0..self.steps {
            let Some(next) = self.step(
                &case.origin,
                [&point, &before],
                &gradient,
                step,
                iteration == 0,
            ) else {
                case.flat();
                return Ok(());
            };
            before = std::mem::replace(&mut point, next);
            case.stepped();
            let last = loss;
            if iteration + 1 == self.steps {
                case.look(&point).await?;
                break;
            }
            (loss, gradient) = self.look(case, &point, objective).await?;
            rises += usize::from(loss > last);
            if loss > best_loss {
                (best, best_loss, best_gradient) = (point.clone(), loss, gradient.clone());
            }
            if let Some(interval) = clock.tick() {
                let oscillates = rises as f64 <= RHO * interval as f64;
                halved = oscillates || (!halved && loss_at_check >= best_loss);
                (rises, loss_at_check) = (0, best_loss);
                if halved {
                    step /= 2.0;
                    (point, gradient) = (best.clone(), best_gradient.clone());
                }
            }
        }
        Ok(())
    }

    /// The loss and its gradient at a point, over several looks where the model draws something.
    async fn look(
        &self,
        case: &mut Case,
        point: &[f32],
        objective: &Objective,
    ) -> Result<(f64, Vec<f32>), Stop> {
        if self.eot <= 1 {
            let slope = case.slope(point, objective).await?;
            return Ok((objective.score(&slope.logits), slope.gradient));
        }
        let copies = vec![(point.to_vec(), objective.clone()); self.eot];
        let slopes = case.slopes(copies).await?;
        let mut mean = vec![0.0f64; point.len()];
        let mut loss = 0.0;
        let share = 1.0 / slopes.len().max(1) as f64;
        for slope in &slopes {
            loss += share * objective.score(&slope.logits);
            for (sum, &value) in mean.iter_mut().zip(&slope.gradient) {
                *sum += share * f64::from(value);
            }
        }
        if let Some(slope) = slopes.first() {
            case.judge(point, &slope.logits)?;
        }
        Ok((loss, mean.into_iter().map(|value| value as f32).collect()))
    }

    /// A step with momentum; `None` where the gradient is zero.
    fn step(
        &self,
        origin: &[f32],
        [point, before]: [&[f32]; 2],
        gradient: &[f32],
        size: f32,
        first: bool,
    ) -> Option<Vec<f32>> {
        let mut ahead = point.to_vec();
        if !ball::step(self.threat.norm, size, gradient, &mut ahead) {
            return None;
        }
        ball::project(self.threat, origin, &mut ahead);
        let weight = if first { 1.0 } else { MOMENTUM };
        let mut next: Vec<f32> = point
            .iter()
            .zip(&ahead)
            .zip(before)
            .map(|((&point, &ahead), &before)| {
                point + weight * (ahead - point) + (1.0 - weight) * (point - before)
            })
            .collect();
        ball::project(self.threat, origin, &mut next);
        Some(next)
    }
}

/// Says when to look at the step size.
struct Clock {
    interval: usize,
    shorter: usize,
    shortest: usize,
    count: usize,
}

impl Clock {
    fn new(steps: usize) -> Self {
        let part = |share: f64| ((share * steps as f64) as usize).max(1);
        let [interval, shorter, shortest] = INTERVALS.map(part);
        Self {
            interval,
            shorter,
            shortest,
            count: 0,
        }
    }

    /// The length of the interval that ends now, if one does.
    fn tick(&mut self) -> Option<usize> {
        self.count += 1;
        if self.count < self.interval {
            return None;
        }
        let ended = self.interval;
        self.count = 0;
        self.interval = self
            .interval
            .saturating_sub(self.shorter)
            .max(self.shortest);
        Some(ended)
    }
}

impl Attack for Apgd {
    fn name(&self) -> &'static str {
        match (self.targets, self.objective) {
            (Some(_), _) => "apgd-t",
            (None, ObjectiveKind::CrossEntropy) => "apgd-ce",
            (None, ObjectiveKind::Dlr) => "apgd-dlr",
            (None, ObjectiveKind::Margin) => "apgd-margin",
        }
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        let mut options = Options::new();
        if let Some(targets) = self.targets {
            options.insert("targets".into(), targets as f64);
        }
        if self.eot > 1 {
            options.insert("eot".into(), self.eot as f64);
        }
        Parameters {
            restarts: self.restarts,
            objective: Some(self.objective),
            options,
            ..Parameters::new(self.name(), self.threat, self.steps, self.seed)
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        let targets = self
            .targets
            .map_or(1, |targets| targets.min(classes.saturating_sub(1)));
        count(&[
            targets,
            self.restarts,
            self.steps.saturating_add(1),
            self.eot.max(1),
        ])
    }

    async fn run<V: Victim, O: Observer>(
        &self,
        victim: &V,
        samples: &Samples,
        observer: &O,
    ) -> Result<Vec<Outcome>, AttackError> {
        search::run(self, victim, samples, observer).await
    }
}

impl Search for Apgd {
    fn judge(&self) -> ObjectiveKind {
        self.objective
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn plan(&self, case: &Case) -> Plan {
        Plan {
            restarts: self.objectives(case).len() * self.restarts,
            steps: self.steps,
        }
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        for objective in self.objectives(case) {
            for _ in 0..self.restarts {
                let mut rng = case.restart(self.seed);
                let start = ball::edge_start(self.threat, &case.origin, &mut rng);
                self.climb(case, start, &objective).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_100_iterations_the_published_ones_end_an_interval() {
        let mut clock = Clock::new(100);
        let ends: Vec<usize> = (1..=100).filter(|_| clock.tick().is_some()).collect();
        assert_eq!(ends, [22, 41, 57, 70, 80, 87, 93, 99]);
    }
}
