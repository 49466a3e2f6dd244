use crate::{
    Attack, AttackError, ObjectiveKind, Observer, Outcome, Parameters, Progress, Samples, Threat,
    Victim, query::Queries, row::Row,
};

/// Rows per query unless an attack says otherwise.
pub const DEFAULT_MAX_BATCH: usize = 256;

/// Projected gradient descent (Madry et al. 2018), for L-inf and L2.
///
/// From a random point of the ball, every step climbs the objective by `step_size` in the direction the norm allows most
/// (the sign of the gradient, or the gradient over its length) and projects back to the ball and the box.
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

    fn resolved_step_size(&self) -> f32 {
        self.step_size
            .unwrap_or_else(|| 2.5 * self.threat.epsilon.value() / self.steps.max(1) as f32)
    }

    /// Judges the clean images.
    async fn rows<V: Victim>(
        &self,
        queries: &Queries<'_, V>,
        samples: &Samples,
    ) -> Result<Vec<Row>, AttackError> {
        let origins: Vec<Vec<f32>> = samples
            .images
            .outer_iter()
            .map(|image| image.iter().copied().collect())
            .collect();
        let points: Vec<&[f32]> = origins.iter().map(Vec::as_slice).collect();
        let logits = queries.logits(&points).await?;
        origins
            .into_iter()
            .zip(logits)
            .zip(samples.ids.iter().zip(samples.goals()))
            .map(|((origin, logits), (&id, goal))| {
                Row::new(id, goal, self.objective, origin, logits)
            })
            .collect()
    }

    /// One query for every row that is climbing: the gradient, or the plain logits at the last point of a restart.
    async fn query<V: Victim>(
        &self,
        queries: &Queries<'_, V>,
        rows: &mut [Row],
        last: bool,
    ) -> Result<(), AttackError> {
        let climbing = || rows.iter().filter(|row| row.is_climbing());
        let points: Vec<&[f32]> = climbing().map(Row::point).collect();
        if last {
            let logits = queries.logits(&points).await?;
            let landing = rows.iter_mut().filter(|row| row.is_climbing());
            for (row, logits) in landing.zip(logits) {
                row.land(&logits);
            }
        } else {
            let objectives: Vec<_> = climbing().map(|row| row.objective().clone()).collect();
            let slopes = queries.slopes(&points, &objectives).await?;
            let step_size = self.resolved_step_size();
            let climbing = rows.iter_mut().filter(|row| row.is_climbing());
            for (row, slope) in climbing.zip(slopes) {
                row.climb(&slope, self.threat, step_size);
            }
        }
        Ok(())
    }

    /// Runs the restarts. Rows left open were cut short by the observer.
    async fn search<V: Victim, O: Observer>(
        &self,
        queries: &Queries<'_, V>,
        rows: &mut [Row],
        observer: &O,
    ) -> Result<(), AttackError> {
        if observer.observe(self.progress(rows, 0, 0)).is_break() {
            return Ok(());
        }
        for restart in 0..self.restarts {
            let random = self.random_start || restart > 0;
            for row in rows.iter_mut().filter(|row| row.is_open()) {
                row.start(self.threat, self.seed, random);
            }
            for step in 0..=self.steps {
                if !rows.iter().any(Row::is_climbing) {
                    break;
                }
                self.query(queries, rows, step == self.steps).await?;
                let stop = observer
                    .observe(self.progress(rows, restart + 1, step))
                    .is_break();
                let more = restart + 1 < self.restarts || rows.iter().any(Row::is_climbing);
                if stop && more {
                    return Ok(());
                }
            }
            rows.iter_mut().for_each(Row::end_restart);
        }
        rows.iter_mut().for_each(Row::close);
        Ok(())
    }

    fn progress(&self, rows: &[Row], restart: usize, step: usize) -> Progress {
        let open = || rows.iter().filter(|row| row.is_open());
        let remaining = open().count();
        Progress {
            step,
            steps: self.steps,
            restart,
            restarts: self.restarts,
            broken: rows.len() - remaining,
            remaining,
            best_loss: open().map(Row::loss).reduce(f32::max),
        }
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
            attack: self.name().to_owned(),
            norm: self.threat.norm,
            eps: self.threat.epsilon,
            eps_value: self.threat.epsilon.value(),
            steps: self.steps,
            step_size: self.resolved_step_size(),
            restarts: self.restarts,
            objective: self.objective,
            seed: self.seed,
        }
    }

    async fn run<V: Victim, O: Observer>(
        &self,
        victim: &V,
        samples: &Samples,
        observer: &O,
    ) -> Result<Vec<Outcome>, AttackError> {
        samples.check(victim)?;
        let queries = Queries::new(victim, self.max_batch);
        let mut rows = self.rows(&queries, samples).await?;
        if self.threat.epsilon.value() > 0.0 {
            self.search(&queries, &mut rows, observer).await?;
        } else {
            // The ball holds the clean image alone, which has just been judged.
            rows.iter_mut().for_each(Row::close);
        }
        Ok(rows
            .into_iter()
            .map(|row| row.into_outcome(victim.input()))
            .collect())
    }
}
