use crate::{
    Attack, AttackError, Objective, ObjectiveKind, Observer, Outcome, Parameters, Samples, Threat,
    Victim, ball,
    case::Case,
    desk::Stop,
    search::{self, Search, count},
};

/// Rows per query unless an attack says otherwise.
pub const DEFAULT_MAX_BATCH: usize = 256;

/// Projected gradient descent (Madry et al. 2018), for L-inf, L2 and L1.
///
/// From a random point of the ball, every step climbs the objective by `step_size` in the direction the norm allows most
/// (the sign of the gradient, the gradient over its length, or for L1 its steepest hundredth) and projects back to the ball and the box.
///
/// An image leaves the batch at the first iterate that is misclassified by the very forward pass that came with its
/// gradient, and that iterate is its adversarial; an image that holds gets the iterate of highest loss. Restarts
/// are spent on the images still unbroken. Other libraries return the last iterate, broken or not, and differ in their
/// defaults, so compare numbers with the parameters at hand:
///
/// | | steps | step size | start |
/// |---|---|---|---|
/// | here | 20 | 2.5 eps / steps | random |
/// | torchattacks `PGD` | 10 | 2/255, whatever eps | random |
/// | foolbox `LinfPGD` | 40 | eps / 30 | random |
/// | ART `ProjectedGradientDescent` | 100 | 0.1, whatever eps | the clean image |
#[derive(Clone, Debug, PartialEq)]
pub struct Pgd {
    /// The ball to search.
    pub threat: Threat,
    /// Steps per restart, at least 1.
    pub steps: usize,
    /// The length of a step in pixel units; `None` for `2.5 eps / steps`, which crosses the ball's diameter.
    pub step_size: Option<f32>,
    /// Restarts at most, at least 1.
    pub restarts: usize,
    /// The loss to climb.
    pub objective: ObjectiveKind,
    /// Whether the first restart begins at a random point; later ones always do, because they would repeat it otherwise.
    pub random_start: bool,
    /// The seed of the random starts.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl Pgd {
    /// The default attack on `threat`: 20 steps of `2.5 eps / 20` on the cross-entropy from one random start, seed 0.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            steps: 20,
            step_size: None,
            restarts: 1,
            objective: ObjectiveKind::default(),
            random_start: true,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    pub(crate) fn resolved_step_size(&self) -> f32 {
        self.step_size
            .unwrap_or_else(|| self.threat.step_size(self.steps))
    }
}

impl Attack for Pgd {
    fn name(&self) -> &'static str {
        "pgd"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            step_size: Some(self.resolved_step_size()),
            restarts: self.restarts,
            objective: Some(self.objective),
            ..Parameters::new(self.name(), self.threat, self.steps, self.seed)
        }
    }

    fn most_queries(&self, _: usize) -> u64 {
        count(&[self.restarts, self.steps.saturating_add(1)])
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

impl Search for Pgd {
    fn judge(&self) -> ObjectiveKind {
        self.objective
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let objective = case.objective(self.objective);
        for restart in 0..self.restarts {
            let mut rng = case.restart(self.seed);
            let start = (self.random_start || restart > 0)
                .then(|| ball::random_start(self.threat, &case.origin, &mut rng));
            let start = start.unwrap_or_else(|| case.origin.clone());
            if self.climb(case, start, &objective).await? {
                break;
            }
        }
        Ok(())
    }
}

impl Pgd {
    /// One restart; answers whether the image is to be given up, because it never has a gradient.
    pub(crate) async fn climb(
        &self,
        case: &mut Case,
        mut point: Vec<f32>,
        objective: &Objective,
    ) -> Result<bool, Stop> {
        let step_size = self.resolved_step_size();
        for _ in 0..self.steps {
            let slope = case.slope(&point, objective).await?;
            if !ball::step(self.threat.norm, step_size, &slope.gradient, &mut point) {
                // The point stays and would only give the same answer again.
                return Ok(case.flat());
            }
            ball::project(self.threat, &case.origin, &mut point);
            case.stepped();
        }
        case.look(&point).await?;
        Ok(false)
    }
}
