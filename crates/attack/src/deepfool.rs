use crate::{
    Attack, AttackError, Norm, ObjectiveKind, Observer, Options, Outcome, Parameters, Samples,
    Threat, Victim, boundary,
    case::Case,
    desk::Stop,
    logits,
    pgd::DEFAULT_MAX_BATCH,
    samples::Goal,
    search::{self, Search, count},
};

/// Added to the length of every step, as in the reference, but the first: without, the way may end a rounding error before the
/// boundary.
const LENGTHENING: f64 = 1e-4;

/// DeepFool (Moosavi-Dezfooli et al. 2016), for L-inf and L2: looks for the closest adversarial, by steps onto the boundary that
/// seems closest, and a little further at the end.
///
/// Unlike FAB it knows no way back, and is done at the first adversarial. Every point is cut at the box, and the next step begins
/// there; the reference knows no box.
#[derive(Clone, Debug, PartialEq)]
pub struct DeepFool {
    /// The ball that decides what counts; not L1.
    pub threat: Threat,
    /// Steps at most.
    pub steps: usize,
    /// The likeliest classes, the label among them, whose boundaries are looked at.
    pub candidates: usize,
    /// How far beyond the boundary the last point lies, as a share of the way.
    pub overshoot: f64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl DeepFool {
    /// 50 steps among the ten likeliest classes, an overshoot of 0.02.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            steps: 50,
            candidates: 10,
            overshoot: 0.02,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }
}

impl Attack for DeepFool {
    fn name(&self) -> &'static str {
        "deepfool"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            options: Options::from([
                ("candidates".into(), self.candidates as f64),
                ("overshoot".into(), self.overshoot),
            ]),
            ..Parameters::new(self.name(), self.threat, self.steps, 0)
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        count(&[self.steps, self.candidates.min(classes)])
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

impl Search for DeepFool {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let targets = match case.goal {
            Goal::Reach(target) => vec![target],
            Goal::Leave(label) => {
                let count = self.candidates.saturating_sub(1).max(1);
                logits::targets(case.clean_logits(), label, count)
            }
        };
        case.restart(0);
        let mut way = vec![0.0f64; case.origin.len()];
        let mut point = case.origin.clone();
        for step in 0..self.steps {
            let Some(boundary) =
                boundary::closest(case, self.threat.norm, &point, &targets).await?
            else {
                case.flat();
                return Ok(());
            };
            let further = if step > 0 { LENGTHENING } else { 0.0 };
            let (size, steepness) = (boundary.distance() + further, boundary.steepness);
            let ways = way.iter_mut().zip(&case.origin);
            for ((way, &centre), &g) in ways.zip(&boundary.slope) {
                let (centre, g) = (f64::from(centre), f64::from(g));
                *way += match self.threat.norm {
                    _ if g == 0.0 => 0.0,
                    Norm::Linf => size * g.signum(),
                    _ => size * g / steepness,
                };
                *way = (centre + *way).clamp(0.0, 1.0) - centre;
            }
            let ways = point.iter_mut().zip(case.origin.iter().zip(&way));
            for (value, (&centre, way)) in ways {
                *value = (f64::from(centre) + (1.0 + self.overshoot) * way).clamp(0.0, 1.0) as f32;
            }
            case.stepped();
            let logits = case.logits(vec![point.clone()]).await?;
            let logits = logits.into_iter().next().unwrap_or_default();
            if case.keep_closest(self.threat.norm, &point, &logits) {
                break;
            }
        }
        Ok(())
    }
}
