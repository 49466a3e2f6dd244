use crate::{
    Attack, AttackError, ObjectiveKind, Observer, Outcome, Parameters, Pgd, Samples, Threat,
    Victim, ball, boundary,
    case::Case,
    desk::{Plan, Stop},
    logits,
    samples::Goal,
    search::{self, Search},
};

/// The MultiTargeted attack (Gowal et al. 2019): projected gradient descent on `z_t - z_y` towards every other class t, the
/// likeliest first.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiTargeted {
    /// The attack towards one class. Its objective is not used.
    pub pgd: Pgd,
}

impl MultiTargeted {
    /// The default PGD on `threat` towards each class.
    pub fn new(threat: Threat) -> Self {
        Self {
            pgd: Pgd {
                objective: ObjectiveKind::Margin,
                ..Pgd::new(threat)
            },
        }
    }
}

impl Attack for MultiTargeted {
    fn name(&self) -> &'static str {
        "multi-targeted"
    }

    fn threat(&self) -> Threat {
        self.pgd.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            attack: self.name().to_owned(),
            objective: None,
            ..self.pgd.parameters()
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        let others = classes.saturating_sub(1) as u64;
        self.pgd.most_queries(classes).saturating_mul(others)
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

impl Search for MultiTargeted {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.pgd.max_batch
    }

    fn plan(&self, case: &Case) -> Plan {
        Plan {
            restarts: targets(case).len() * self.pgd.restarts,
            steps: self.pgd.steps,
        }
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        for target in targets(case) {
            let objective = boundary::difference(case.classes, case.label, target);
            for _ in 0..self.pgd.restarts {
                let mut rng = case.restart(self.pgd.seed);
                let start = ball::random_start(self.pgd.threat, &case.origin, &mut rng);
                if self.pgd.climb(case, start, &objective).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The classes to climb towards, the likeliest first.
fn targets(case: &Case) -> Vec<usize> {
    match case.goal {
        Goal::Reach(target) => vec![target],
        Goal::Leave(label) => logits::targets(case.clean_logits(), label, case.classes),
    }
}
