use std::{collections::HashMap, sync::Arc};

use rand::Rng;

use crate::{
    Attack, AttackError, Objective, ObjectiveKind, Observer, Outcome, Parameters, Pgd, SampleError,
    Samples, Threat, Victim, ball,
    case::Case,
    desk::{Plan, Stop},
    pgd::DEFAULT_MAX_BATCH,
    query::Queries,
    rng::{self, Purpose},
    samples::Goal,
    search::{self, Search},
};

/// FeatureAttack (Lin 2019; used against hypersphere embedding by Pang et al. 2020), for L-inf: draws an image's features towards
/// those of images of other classes, or of its target's class, by descending their cosine distance, towards one source after the other.
/// It is aimed at defences that shape the space of features, and follows gradients that a saturated softmax would hide.
///
/// Towards each source it goes from a random point of the ball. The first point that is misclassified ends the search; an image
/// that holds keeps the point of largest margin.
///
/// [`Attack::prepare`] chooses the sources from a data set; without them every run is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureAttack {
    /// The ball to search.
    pub threat: Threat,
    /// Steps towards each source.
    pub steps: usize,
    /// The length of a step in pixel units.
    pub step_size: f32,
    /// Sources for each image at most; fewer where the data set has fewer of other classes.
    pub restarts: usize,
    /// The seed of the random starts and of the choice of sources.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
    /// The images drawn towards, in the order in which they are tried; each image leaves out those of its own class.
    pub sources: Arc<Vec<Source>>,
}

/// An image whose features are drawn towards.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The image's id.
    pub id: u64,
    /// Its true class.
    pub label: usize,
    /// What the model makes of it.
    pub features: Vec<f32>,
}

impl FeatureAttack {
    /// 50 steps of 1/255 towards each of 100 sources, which are still to be chosen.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            steps: 50,
            step_size: 1.0 / 255.0,
            restarts: 100,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
            sources: Arc::default(),
        }
    }

    fn as_pgd(&self) -> Pgd {
        Pgd {
            steps: self.steps,
            step_size: Some(self.step_size),
            restarts: self.restarts,
            objective: ObjectiveKind::Margin,
            seed: self.seed,
            max_batch: self.max_batch,
            ..Pgd::new(self.threat)
        }
    }

    /// The images that one with this goal is drawn towards.
    fn sources_for(&self, goal: Goal) -> impl Iterator<Item = &Source> {
        let sources = self.sources.iter();
        let sources = sources.filter(move |source| goal.met(source.label));
        sources.take(self.restarts)
    }

    /// The rows of the pool that are among the first of their kind for some image of it, in an order drawn by seed and id.
    fn choose(&self, pool: &Samples) -> Result<Vec<usize>, SampleError> {
        let mut rows: Vec<usize> = (0..pool.len()).collect();
        rows.sort_by_cached_key(|&row| {
            let id = pool.ids.get(row).copied().unwrap_or_default();
            let mut rng = rng::stream_for(Purpose::Source, self.seed, id, 0);
            (rng.random::<u64>(), id)
        });
        let goals = pool.goals();
        let mut missing: HashMap<Goal, usize> =
            goals.iter().map(|&goal| (goal, self.restarts)).collect();
        rows.retain(|&row| {
            let mut needed = false;
            for (goal, missing) in &mut missing {
                let serves = pool.labels.get(row).is_some_and(|&label| goal.met(label));
                if serves && *missing > 0 {
                    *missing -= 1;
                    needed = true;
                }
            }
            needed
        });
        for (&id, goal) in pool.ids.iter().zip(goals) {
            if missing.get(&goal) == Some(&self.restarts) {
                return Err(no_source(id, goal));
            }
        }
        Ok(rows)
    }
}

fn no_source(id: u64, goal: Goal) -> SampleError {
    let wanted = goal.to_string();
    SampleError::NoSource { id, wanted }
}

impl Attack for FeatureAttack {
    fn name(&self) -> &'static str {
        "feature"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            attack: self.name().to_owned(),
            objective: None,
            ..self.as_pgd().parameters()
        }
    }

    fn most_queries(&self, classes: usize) -> u64 {
        self.as_pgd().most_queries(classes)
    }

    /// With sources chosen from `pool` at random, whatever the model makes of them: as many as it takes for every image of the pool to
    /// have its number. Asks the victim for the features of each.
    async fn prepare<V: Victim>(&self, victim: &V, pool: &Samples) -> Result<Self, AttackError> {
        pool.check(victim)?;
        let rows = self.choose(pool)?;
        let queries = Queries::new(victim, self.max_batch);
        let mut features = Vec::with_capacity(rows.len());
        for part in rows.chunks(self.max_batch.max(1)) {
            let images = pool.rows(part).flat();
            let images: Vec<&[f32]> = images.iter().map(Vec::as_slice).collect();
            features.extend(queries.features(&images).await?);
        }
        let known = rows.iter().filter_map(|&row| {
            let id = pool.ids.get(row).copied()?;
            Some((id, pool.labels.get(row).copied()?))
        });
        let sources = known.zip(features).map(|((id, label), features)| Source {
            id,
            label,
            features,
        });
        Ok(Self {
            sources: Arc::new(sources.collect()),
            ..self.clone()
        })
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

impl Search for FeatureAttack {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    fn check(&self, samples: &Samples) -> Result<(), SampleError> {
        if self.sources.is_empty() && !samples.is_empty() {
            return Err(SampleError::NoSources);
        }
        for (&id, goal) in samples.ids.iter().zip(samples.goals()) {
            if !self.sources.iter().any(|source| goal.met(source.label)) {
                return Err(no_source(id, goal));
            }
        }
        Ok(())
    }

    fn plan(&self, case: &Case) -> Plan {
        Plan {
            restarts: self.sources_for(case.goal).count(),
            steps: self.steps,
        }
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let pgd = self.as_pgd();
        for source in self.sources_for(case.goal) {
            // To come closer to a source is to go away from its opposite: 1 - cos(f, -s) = 1 + cos(f, s).
            let opposite = source.features.iter().map(|feature| -feature).collect();
            let objective = Objective::FeatureDistance(opposite);
            let mut rng = case.restart(self.seed);
            let start = ball::random_start(self.threat, &case.origin, &mut rng);
            if pgd.climb(case, start, &objective).await? {
                break;
            }
        }
        Ok(())
    }
}
