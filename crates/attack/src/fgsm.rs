use crate::{
    Attack, AttackError, ObjectiveKind, Observer, Outcome, Parameters, Pgd, Samples, Threat,
    Victim, pgd::DEFAULT_MAX_BATCH,
};

/// The fast gradient sign method (Goodfellow et al. 2015) and its forms for L2 and L1: one step of the whole radius from the clean
/// image. It draws nothing at random.
#[derive(Clone, Debug, PartialEq)]
pub struct Fgsm {
    /// The ball to search.
    pub threat: Threat,
    /// The loss to climb.
    pub objective: ObjectiveKind,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl Fgsm {
    /// One step on the cross-entropy.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            objective: ObjectiveKind::default(),
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    /// The same attack, as projected gradient descent with a single step.
    fn as_pgd(&self) -> Pgd {
        Pgd {
            steps: 1,
            step_size: Some(self.threat.epsilon.value()),
            objective: self.objective,
            random_start: false,
            max_batch: self.max_batch,
            ..Pgd::new(self.threat)
        }
    }
}

impl Attack for Fgsm {
    fn name(&self) -> &'static str {
        "fgsm"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            attack: self.name().to_owned(),
            ..self.as_pgd().parameters()
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        self.as_pgd().most_queries(classes)
    }

    async fn run<V: Victim, O: Observer>(
        &self,
        victim: &V,
        samples: &Samples,
        observer: &O,
    ) -> Result<Vec<Outcome>, AttackError> {
        self.as_pgd().run(victim, samples, observer).await
    }
}
