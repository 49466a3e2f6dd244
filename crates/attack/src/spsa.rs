use rand::Rng;

use crate::{
    Attack, AttackError, ObjectiveKind, Observer, Options, Outcome, Parameters, Samples, Threat,
    Victim,
    adam::Adam,
    ball,
    case::Case,
    desk::Stop,
    pgd::DEFAULT_MAX_BATCH,
    search::{self, Search, count},
};

/// Pairs that are asked at once: the directions of all would not fit into memory for large images.
const PAIRS_AT_ONCE: usize = 64;

/// Simultaneous perturbation stochastic approximation (Uesato et al. 2018): estimates the gradient of the margin from logits alone,
/// by differences along random directions of +-1, and follows it with Adam. Hidden gradients do not stop it.
///
/// It takes `steps * 2 * pairs` forward passes; few of them (other libraries default to one step, or 128 pairs) show nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Spsa {
    /// The ball to search.
    pub threat: Threat,
    /// Steps.
    pub steps: usize,
    /// Pairs of points in each estimate.
    pub pairs: usize,
    /// How far the points lie from the middle, in pixel units.
    pub delta: f64,
    /// The learning rate.
    pub rate: f64,
    /// The seed of the directions.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl Spsa {
    /// 100 steps of 2048 pairs at a distance of 0.01, learning rate 0.01.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            steps: 100,
            pairs: 2048,
            delta: 0.01,
            rate: 0.01,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }
}

impl Attack for Spsa {
    fn name(&self) -> &'static str {
        "spsa"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            options: Options::from([
                ("delta".into(), self.delta),
                ("learning_rate".into(), self.rate),
                ("pairs".into(), self.pairs as f64),
            ]),
            ..Parameters::new(self.name(), self.threat, self.steps, self.seed)
        }
    }

    fn most_queries(&self, _: usize) -> u64 {
        count(&[self.steps, self.pairs.saturating_mul(2).saturating_add(1)])
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

impl Search for Spsa {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let objective = case.objective(ObjectiveKind::Margin);
        let mut rng = case.restart(self.seed);
        let mut adam = Adam::new(case.origin.len(), self.rate);
        let mut point = case.origin.clone();
        for _ in 0..self.steps {
            let mut estimate = vec![0.0f64; point.len()];
            let mut left = self.pairs;
            while left > 0 {
                let pairs = left.min(PAIRS_AT_ONCE);
                left -= pairs;
                let directions: Vec<Vec<f32>> = (0..pairs)
                    .map(|_| {
                        point
                            .iter()
                            .map(|_| if rng.random() { 1.0 } else { -1.0 })
                            .collect()
                    })
                    .collect();
                let moved = |direction: &[f32], by: f32| -> Vec<f32> {
                    point
                        .iter()
                        .zip(direction)
                        .map(|(&value, &d)| value + by * d)
                        .collect()
                };
                let delta = self.delta as f32;
                let points = directions
                    .iter()
                    .flat_map(|direction| [moved(direction, delta), moved(direction, -delta)]);
                let logits = case.logits(points.collect()).await?;
                for (pair, direction) in logits.chunks(2).zip(&directions) {
                    let [ahead, behind] = pair else { continue };
                    let rise = objective.score(ahead) - objective.score(behind);
                    if rise.is_finite() {
                        let slope = rise / (2.0 * self.delta * self.pairs as f64);
                        let sums = estimate.iter_mut().zip(direction);
                        // Adam descends.
                        sums.for_each(|(sum, &d)| *sum -= slope * f64::from(d));
                    }
                }
            }
            let mut values: Vec<f64> = point.iter().map(|&value| f64::from(value)).collect();
            adam.descend(&mut values, &estimate);
            point = values.into_iter().map(|value| value as f32).collect();
            ball::project(self.threat, &case.origin, &mut point);
            case.stepped();
            case.look(&point).await?;
        }
        Ok(())
    }
}
