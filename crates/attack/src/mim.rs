use std::{fmt, str::FromStr};

use rand::Rng;
use serde::{Serialize, Serializer};

use crate::{
    Attack, AttackError, ObjectiveKind, Observer, Options, Outcome, Parameters, Samples, Threat,
    Victim, ball,
    case::Case,
    desk::Stop,
    pgd::DEFAULT_MAX_BATCH,
    search::{self, Search, count},
};

mod diversity;
mod smoothing;

/// What is done to the gradients of [`Mim`], so that what it finds carries over better. Written as `ni,di,ti`, or
/// `ni+di+ti` where a comma means something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variants {
    /// NI: they are taken ahead, where the momentum would lead (Lin et al. 2020).
    pub nesterov: bool,
    /// DI: half of the time, they are those of the image made up to a tenth smaller, somewhere on black (Xie et al. 2019).
    pub diversity: bool,
    /// TI: they are smoothed by a Gaussian of 15 x 15 pixels with a standard deviation of 3 (Dong et al. 2019).
    pub translation: bool,
}

/// The text names no variants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown variant `{0}`: use some of `ni`, `di` and `ti`, such as `ni,ti`")]
pub struct ParseVariantsError(String);

impl FromStr for Variants {
    type Err = ParseVariantsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut variants = Self::default();
        for name in text.split([',', '+']).map(str::trim) {
            match name.to_ascii_lowercase().as_str() {
                "ni" => variants.nesterov = true,
                "di" => variants.diversity = true,
                "ti" => variants.translation = true,
                _ => return Err(ParseVariantsError(name.to_owned())),
            }
        }
        Ok(variants)
    }
}

impl Variants {
    /// Their names.
    pub const NAMES: [&str; 3] = ["ni", "di", "ti"];
}

impl fmt::Display for Variants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [self.nesterov, self.diversity, self.translation];
        let on: Vec<&str> = Self::NAMES
            .into_iter()
            .zip(set)
            .filter_map(|(name, on)| on.then_some(name))
            .collect();
        f.write_str(&on.join(","))
    }
}

impl Serialize for Variants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The momentum iterative method (Dong et al. 2018): steps along a running sum of gradients, each over its mean magnitude (as in the
/// authors' code; the paper has the L1 length, which would leave NI with nothing to look ahead by). What it finds
/// carries over to other models more often than what PGD finds, and more so with the [`Variants`].
#[derive(Clone, Debug, PartialEq)]
pub struct Mim {
    /// The ball to search.
    pub threat: Threat,
    /// Steps.
    pub steps: usize,
    /// The length of a step in pixel units; `None` for `2.5 eps / steps`.
    pub step_size: Option<f32>,
    /// The weight of the sum so far.
    pub decay: f64,
    /// NI, DI and TI.
    pub variants: Variants,
    /// The loss to climb.
    pub objective: ObjectiveKind,
    /// The seed of what DI draws.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl Mim {
    /// 20 steps from the clean image with a decay of 1, without variants.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            steps: 20,
            step_size: None,
            decay: 1.0,
            variants: Variants::default(),
            objective: ObjectiveKind::default(),
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    fn resolved_step_size(&self) -> f32 {
        self.step_size
            .unwrap_or_else(|| self.threat.step_size(self.steps))
    }

    /// The gradient of the variants at a point.
    async fn gradient(
        &self,
        case: &mut Case,
        point: &[f32],
        momentum: &[f64],
        rng: &mut impl Rng,
    ) -> Result<Vec<f32>, Stop> {
        let objective = case.objective(self.objective);
        let mut at = point.to_vec();
        if self.variants.nesterov {
            let ahead = f64::from(self.resolved_step_size()) * self.decay;
            for (value, m) in at.iter_mut().zip(momentum) {
                *value = (f64::from(*value) + ahead * m).clamp(0.0, 1.0) as f32;
            }
        }
        let warp = (self.variants.diversity && rng.random())
            .then(|| diversity::Warp::random(case.input, rng));
        if let Some(warp) = &warp {
            at = warp.apply(case.input, &at);
        }
        let mut gradient = if self.variants.nesterov || warp.is_some() {
            // These logits are of another image.
            let slopes = case.slopes(vec![(at, objective)]).await?;
            slopes.into_iter().next().ok_or(Stop::Stopped)?.gradient
        } else {
            case.slope(&at, &objective).await?.gradient
        };
        if let Some(warp) = &warp {
            gradient = warp.pull_back(case.input, &gradient);
        }
        if self.variants.translation {
            gradient = smoothing::smooth(case.input, &gradient);
        }
        Ok(gradient)
    }
}

impl Attack for Mim {
    fn name(&self) -> &'static str {
        "mim"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        let variants = self.variants;
        let mut options = Options::from([("decay".into(), self.decay)]);
        for (name, on) in [
            ("ni", variants.nesterov),
            ("di", variants.diversity),
            ("ti", variants.translation),
        ] {
            if on {
                options.insert(name.into(), 1.0);
            }
        }
        Parameters {
            step_size: Some(self.resolved_step_size()),
            objective: Some(self.objective),
            options,
            ..Parameters::new(self.name(), self.threat, self.steps, self.seed)
        }
    }

    fn most_queries(&self, _: usize) -> u64 {
        count(&[self.steps, 2]).saturating_add(1)
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

impl Search for Mim {
    fn judge(&self) -> ObjectiveKind {
        self.objective
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let mut rng = case.restart(self.seed);
        let mut point = case.origin.clone();
        let mut momentum = vec![0.0f64; point.len()];
        for _ in 0..self.steps {
            let gradient = self.gradient(case, &point, &momentum, &mut rng).await?;
            let total: f64 = gradient.iter().map(|&g| f64::from(g).abs()).sum();
            let mean = total / gradient.len().max(1) as f64;
            if !(mean > 0.0 && mean.is_finite()) {
                case.flat();
                return Ok(());
            }
            for (m, &g) in momentum.iter_mut().zip(&gradient) {
                *m = self.decay * *m + f64::from(g) / mean;
            }
            let direction: Vec<f32> = momentum.iter().map(|&m| m as f32).collect();
            ball::step(
                self.threat.norm,
                self.resolved_step_size(),
                &direction,
                &mut point,
            );
            ball::project(self.threat, &case.origin, &mut point);
            case.stepped();
            if self.variants.nesterov || self.variants.diversity {
                case.look(&point).await?;
            }
        }
        case.look(&point).await?;
        Ok(())
    }
}
