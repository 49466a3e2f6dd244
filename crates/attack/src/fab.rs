use crate::{
    Attack, AttackError, ObjectiveKind, Observer, Options, Outcome, Parameters, Samples, Threat,
    Victim, ball,
    boundary::{self, Boundary},
    case::Case,
    desk::{Plan, Stop},
    hyperplane, logits,
    pgd::DEFAULT_MAX_BATCH,
    samples::Goal,
    search::{self, Search, count},
};

/// The fast adaptive boundary attack (Croce & Hein 2020), for L-inf, L2 and L1: looks for the closest adversarial.
///
/// Every step goes onto the boundary between the label and one other class as if it were a hyperplane, and a little further, pulled
/// towards the clean image; from an adversarial it goes part of the way back.
///
/// The targeted form takes the likeliest classes one after the other and costs one gradient a step; the other takes, at each step,
/// the class whose boundary seems closest, and costs one gradient for each class.
///
/// An image counts as broken when the closest adversarial lies in the ball; [`Outcome::smallest`] tells its distance in any case.
#[derive(Clone, Debug, PartialEq)]
pub struct Fab {
    /// The ball that decides what counts.
    pub threat: Threat,
    /// Iterations for each restart and target.
    pub steps: usize,
    /// Restarts for each target; those after the first begin at a random point.
    pub restarts: usize,
    /// How many classes are tried as targets; `None` for the closest of all at each step.
    pub targets: Option<usize>,
    /// How far beyond a boundary a step goes.
    pub eta: f64,
    /// What is left of the distance after a step back.
    pub beta: f64,
    /// The largest pull towards the clean image.
    pub alpha_max: f64,
    /// Whether an image leaves at the first adversarial inside the ball, instead of looking for the closest.
    pub until_inside: bool,
    /// The seed of the random starts.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl Fab {
    /// 100 iterations at all classes from the clean image.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            steps: 100,
            restarts: 1,
            targets: None,
            eta: 1.05,
            beta: 0.9,
            alpha_max: 0.1,
            until_inside: false,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    /// 100 iterations for each of the nine likeliest targets.
    pub fn targeted(threat: Threat) -> Self {
        Self {
            targets: Some(9),
            ..Self::new(threat)
        }
    }

    /// The classes of each run.
    fn runs(&self, case: &Case) -> Vec<Vec<usize>> {
        match (case.goal, self.targets) {
            (Goal::Reach(target), _) => vec![vec![target]],
            (Goal::Leave(label), Some(count)) => logits::targets(case.clean_logits(), label, count)
                .into_iter()
                .map(|target| vec![target])
                .collect(),
            (Goal::Leave(label), None) => {
                let mut targets = logits::targets(case.clean_logits(), label, case.classes);
                targets.sort_unstable();
                vec![targets]
            }
        }
    }

    async fn walk(
        &self,
        case: &mut Case,
        mut point: Vec<f32>,
        targets: &[usize],
    ) -> Result<(), Stop> {
        let norm = self.threat.norm;
        for _ in 0..self.steps {
            let Some(Boundary { slope, gap, .. }) =
                boundary::closest(case, norm, &point, targets).await?
            else {
                case.flat();
                return Ok(());
            };
            case.stepped();
            let here = hyperplane::change(norm, &point, &slope, gap);
            // The same plane, seen from the clean image.
            let between: f64 = slope
                .iter()
                .zip(point.iter().zip(&case.origin))
                .map(|(&s, (&a, &b))| f64::from(s) * (f64::from(a) - f64::from(b)))
                .sum();
            let there = hyperplane::change(norm, &case.origin, &slope, gap + between);
            let [own, clean] =
                [&here, &there].map(|change| boundary::length(norm, change).max(1e-8));
            let pull = (own / (own + clean)).min(self.alpha_max);
            for ((value, &centre), (own, clean)) in point
                .iter_mut()
                .zip(&case.origin)
                .zip(here.iter().zip(&there))
            {
                let from_here = f64::from(*value) + self.eta * own;
                let from_there = f64::from(centre) + self.eta * clean;
                *value = ((1.0 - pull) * from_here + pull * from_there).clamp(0.0, 1.0) as f32;
            }
            let logits = case.logits(vec![point.clone()]).await?.into_iter().next();
            let logits = logits.unwrap_or_default();
            if case.reached(&logits) {
                if case.keep_closest(norm, &point, &logits)
                    && self.until_inside
                    && case.settle(self.threat)
                {
                    return Err(Stop::Found);
                }
                for (value, &centre) in point.iter_mut().zip(&case.origin) {
                    *value = (f64::from(centre)
                        + self.beta * (f64::from(*value) - f64::from(centre)))
                        as f32;
                }
            }
        }
        Ok(())
    }

    /// A random point, no further than half of the way to the closest adversarial or the edge of the ball.
    fn random(&self, case: &Case, rng: &mut impl rand::Rng) -> Vec<f32> {
        let epsilon = f64::from(self.threat.epsilon.value());
        let reach = case
            .smallest()
            .map_or(epsilon, |smallest| smallest.min(epsilon));
        let point = ball::edge_start(self.threat, &case.origin, rng);
        let moved = point.iter().zip(&case.origin).map(|(&value, &centre)| {
            let change = f64::from(value) - f64::from(centre);
            (f64::from(centre) + 0.5 * reach / epsilon.max(f64::MIN_POSITIVE) * change) as f32
        });
        moved.collect()
    }
}

impl Attack for Fab {
    fn name(&self) -> &'static str {
        match self.targets {
            Some(_) => "fab-t",
            None => "fab",
        }
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        let mut options = Options::from([
            ("eta".into(), self.eta),
            ("beta".into(), self.beta),
            ("alpha_max".into(), self.alpha_max),
        ]);
        if let Some(targets) = self.targets {
            options.insert("targets".into(), targets as f64);
        }
        Parameters {
            restarts: self.restarts,
            options,
            ..Parameters::new(self.name(), self.threat, self.steps, self.seed)
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        let others = classes.saturating_sub(1);
        let each = self
            .targets
            .map_or(others.saturating_add(1), |targets| 2 * targets.min(others));
        count(&[each, self.restarts, self.steps])
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

impl Search for Fab {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn plan(&self, case: &Case) -> Plan {
        Plan {
            restarts: self.runs(case).len() * self.restarts,
            steps: self.steps,
        }
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let runs = self.runs(case);
        for restart in 0..self.restarts {
            for targets in &runs {
                let mut rng = case.restart(self.seed);
                let start = match restart {
                    0 => case.origin.clone(),
                    _ => self.random(case, &mut rng),
                };
                self.walk(case, start, targets).await?;
            }
        }
        Ok(())
    }
}
