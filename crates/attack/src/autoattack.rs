use crate::{
    Apgd, Attack, AttackError, Fab, ObjectiveKind, Observer, Options, Outcome, Parameters, Samples,
    Square, Threat, Victim,
    case::Case,
    desk::{Plan, Stop},
    parameters::STAGES,
    pgd::DEFAULT_MAX_BATCH,
    search::{self, Search},
};

/// Which attacks AutoAttack consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Version {
    /// apgd-ce, apgd-t, fab-t and square: 100 iterations each, nine targets, 5000 queries.
    #[default]
    Standard,
    /// apgd-ce, apgd-dlr and fab with five restarts each, square, apgd-t and fab-t.
    Plus,
    /// apgd-ce and apgd-dlr, each gradient the mean of twenty, for models that draw something at random.
    Rand,
}

/// AutoAttack (Croce & Hein 2020), for L-inf and L2: several attacks, one after the other, each on the images that the ones before
/// left unbroken, with the published numbers of iterations.
///
/// [`Outcome::found_by`] says which of them broke an image. As the reference, except that an image leaves at its first
/// adversarial, in which attack ever. Where there are too few classes for the difference of logits ratio, the margin is climbed.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoAttack {
    /// The ball to search; not L1.
    pub threat: Threat,
    /// Which attacks.
    pub version: Version,
    /// The seed of all of them.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl AutoAttack {
    /// The standard version.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            version: Version::Standard,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    /// The attacks, in their order.
    fn stages(&self) -> Vec<Stage> {
        let threat = self.threat;
        let apgd = |objective, restarts, eot| {
            Stage::Apgd(Apgd {
                restarts,
                eot,
                seed: self.seed,
                ..Apgd::new(threat, objective)
            })
        };
        let targeted = Stage::Apgd(Apgd {
            seed: self.seed,
            ..Apgd::targeted(threat)
        });
        let fab = |restarts, fab: Fab| {
            Stage::Fab(Fab {
                restarts,
                until_inside: true,
                seed: self.seed,
                ..fab
            })
        };
        let square = Stage::Square(Square {
            seed: self.seed,
            ..Square::new(threat)
        });
        let (ce, dlr) = (ObjectiveKind::CrossEntropy, ObjectiveKind::Dlr);
        match self.version {
            Version::Standard => vec![
                apgd(ce, 1, 1),
                targeted,
                fab(1, Fab::targeted(threat)),
                square,
            ],
            Version::Plus => vec![
                apgd(ce, 5, 1),
                apgd(dlr, 5, 1),
                fab(5, Fab::new(threat)),
                square,
                targeted,
                fab(1, Fab::targeted(threat)),
            ],
            Version::Rand => vec![apgd(ce, 1, 20), apgd(dlr, 1, 20)],
        }
    }
}

enum Stage {
    Apgd(Apgd),
    Fab(Fab),
    Square(Square),
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Stage::Apgd(attack) => attack.name(),
            Stage::Fab(attack) => attack.name(),
            Stage::Square(attack) => attack.name(),
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        match self {
            Stage::Apgd(attack) => attack.most_queries(classes),
            Stage::Fab(attack) => attack.most_queries(classes),
            Stage::Square(attack) => attack.most_queries(classes),
        }
    }

    fn plan(&self, case: &Case) -> Plan {
        match self {
            Stage::Apgd(attack) => attack.plan(case),
            Stage::Fab(attack) => attack.plan(case),
            Stage::Square(attack) => attack.plan(case),
        }
    }

    fn parameters(&self) -> Parameters {
        match self {
            Stage::Apgd(attack) => attack.parameters(),
            Stage::Fab(attack) => attack.parameters(),
            Stage::Square(attack) => attack.parameters(),
        }
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        match self {
            Stage::Apgd(attack) => attack.search(case).await,
            Stage::Fab(attack) => attack.search(case).await,
            Stage::Square(attack) => attack.search(case).await,
        }
    }
}

impl Attack for AutoAttack {
    fn name(&self) -> &'static str {
        match self.version {
            Version::Standard => "autoattack",
            Version::Plus => "autoattack-plus",
            Version::Rand => "autoattack-rand",
        }
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        let stages = self.stages();
        let restarts = stages.iter().map(|stage| stage.parameters().restarts);
        Parameters {
            restarts: restarts.max().unwrap_or(1),
            options: Options::from([(STAGES.into(), stages.len() as f64)]),
            ..Parameters::new(self.name(), self.threat, 100, self.seed)
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        let stages = self.stages();
        let queries = stages.iter().map(|stage| stage.most_queries(classes));
        queries.fold(0, u64::saturating_add)
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

impl Search for AutoAttack {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// The restarts of all stages; the steps are those of the first.
    fn plan(&self, case: &Case) -> Plan {
        let stages = self.stages();
        let plans: Vec<Plan> = stages.iter().map(|stage| stage.plan(case)).collect();
        Plan {
            restarts: plans.iter().map(|plan| plan.restarts).sum(),
            steps: plans.first().map_or(0, |plan| plan.steps),
        }
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        for stage in self.stages() {
            case.expect_steps(stage.plan(case).steps);
            let end = stage.search(case).await;
            case.settle(self.threat);
            case.credit(stage.name());
            end?;
        }
        Ok(())
    }
}
