use crate::{
    Attack, AttackError, Norm, Objective, ObjectiveKind, Observer, Options, Outcome, Parameters,
    Samples, Threat, Victim,
    adam::Adam,
    case::Case,
    desk::Stop,
    pgd::DEFAULT_MAX_BATCH,
    search::{self, Search, count},
};

/// Keeps the image inside the box where its hyperbolic arctangent is finite.
const INSIDE: f64 = 0.999_999;

/// The attack of Carlini and Wagner (2017) for L2: looks for the closest adversarial, by minimising the squared distance plus c times
/// the margin, over images `(tanh u + 1) / 2`, with Adam; c is searched for.
///
/// Defaults of 10 (ART) or 50 iterations (torchattacks) do not reach a minimum; the paper's own are 10000.
#[derive(Clone, Debug, PartialEq)]
pub struct CarliniWagner {
    /// The L2 ball that decides what counts.
    pub threat: Threat,
    /// Iterations for each c at most; a search ends when its loss has not improved in a tenth of them.
    pub steps: usize,
    /// How many c are tried.
    pub searches: usize,
    /// The first c.
    pub initial_c: f64,
    /// The learning rate.
    pub rate: f64,
    /// By how much the other class is to lead.
    pub confidence: f64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl CarliniWagner {
    /// Nine searches of at most 1000 iterations from c = 0.001, learning rate 0.01.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            steps: 1000,
            searches: 9,
            initial_c: 1e-3,
            rate: 0.01,
            confidence: 0.0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    /// One search; answers whether it found an adversarial.
    async fn descend(&self, case: &mut Case, objective: &Objective, c: f64) -> Result<bool, Stop> {
        let mut u: Vec<f64> = case
            .origin
            .iter()
            .map(|&value| ((2.0 * f64::from(value) - 1.0) * INSIDE).atanh())
            .collect();
        let mut adam = Adam::new(u.len(), self.rate);
        let patience = (self.steps / 10).max(1);
        let (mut found, mut least, mut since) = (false, f64::INFINITY, 0);
        for _ in 0..self.steps {
            let exact: Vec<f64> = u.iter().map(|u| (u.tanh() + 1.0) / 2.0).collect();
            let point: Vec<f32> = exact.iter().map(|&value| value as f32).collect();
            let slopes = case
                .slopes(vec![(point.clone(), objective.clone())])
                .await?;
            let slope = slopes.into_iter().next().ok_or(Stop::Stopped)?;
            case.stepped();
            let margin = objective.score(&slope.logits);
            if case.reached(&slope.logits) && margin >= self.confidence {
                found = true;
                case.keep_closest(Norm::L2, &point, &slope.logits);
            }
            // How far the margin is from where it should be.
            let missing = (self.confidence - margin).max(0.0);
            let changes = exact
                .iter()
                .zip(&case.origin)
                .map(|(x, &o)| x - f64::from(o));
            let changes: Vec<f64> = changes.collect();
            let loss = changes.iter().map(|d| d * d).sum::<f64>() + c * missing;
            if loss < least * (1.0 - 1e-4) {
                (least, since) = (loss, 0);
            } else {
                since += 1;
                if since >= patience {
                    break;
                }
            }
            let active = if missing > 0.0 { c } else { 0.0 };
            let gradient: Vec<f64> = changes
                .iter()
                .zip(&slope.gradient)
                .zip(&exact)
                .map(|((d, &g), x)| {
                    // dx / du = (1 - tanh^2 u) / 2, which is 2 x (1 - x).
                    (2.0 * d - active * f64::from(g)) * 2.0 * x * (1.0 - x)
                })
                .collect();
            adam.descend(&mut u, &gradient);
        }
        Ok(found)
    }
}

impl Attack for CarliniWagner {
    fn name(&self) -> &'static str {
        "cw"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            restarts: self.searches,
            options: Options::from([
                ("confidence".into(), self.confidence),
                ("initial_c".into(), self.initial_c),
                ("learning_rate".into(), self.rate),
            ]),
            ..Parameters::new(self.name(), self.threat, self.steps, 0)
        }
    }

    fn most_queries(&self, _: usize) -> u64 {
        count(&[self.searches, self.steps])
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

impl Search for CarliniWagner {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let objective = case.objective(ObjectiveKind::Margin);
        // The largest c that failed and the smallest that did not.
        let (mut failed, mut found) = (0.0, f64::INFINITY);
        let mut c = self.initial_c;
        for _ in 0..self.searches {
            case.restart(0);
            if self.descend(case, &objective, c).await? {
                found = c;
            } else {
                failed = c;
            }
            c = if found.is_finite() {
                (failed + found) / 2.0
            } else {
                10.0 * c
            };
        }
        Ok(())
    }
}
