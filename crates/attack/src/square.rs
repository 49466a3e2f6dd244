use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    Attack, AttackError, Distances, InputSpec, Norm, ObjectiveKind, Observer, Options, Outcome,
    Parameters, Samples, Threat, Victim, ball,
    case::Case,
    desk::Stop,
    pgd::DEFAULT_MAX_BATCH,
    search::{self, Search, count},
};

/// After so many queries, the share of pixels that a square covers is halved once more.
const HALVINGS: [usize; 9] = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000];

/// Square Attack (Andriushchenko et al. 2020), for L-inf and L2: random squares, kept when they lower the margin. It asks for logits
/// alone, so that hidden gradients do not stop it.
///
/// The schedule of sizes is that of 10000 queries, whatever their number, as in AutoAttack.
#[derive(Clone, Debug, PartialEq)]
pub struct Square {
    /// The ball to search; not L1.
    pub threat: Threat,
    /// Queries at most, beside that of the start.
    pub queries: usize,
    /// Share of the pixels that the first squares cover.
    pub p: f64,
    /// Restarts at most.
    pub restarts: usize,
    /// The seed of all that is drawn.
    pub seed: u64,
    /// Rows per query at most. Changes no result.
    pub max_batch: usize,
}

impl Square {
    /// 5000 queries, the first squares covering 0.8 of the pixels.
    pub fn new(threat: Threat) -> Self {
        Self {
            threat,
            queries: 5000,
            p: 0.8,
            restarts: 1,
            seed: 0,
            max_batch: DEFAULT_MAX_BATCH,
        }
    }

    /// The share of the pixels that a square covers after so many queries.
    fn share(&self, query: usize) -> f64 {
        let halvings = HALVINGS.iter().filter(|&&after| query > after).count();
        self.p / f64::from(1u32 << halvings)
    }

    /// The side of a square after so many queries.
    fn side(&self, input: InputSpec, query: usize) -> usize {
        let pixels = (input.height * input.width) as f64;
        let side = (self.share(query) * pixels).sqrt().round() as usize;
        let largest = input.height.min(input.width).max(1);
        match self.threat.norm {
            Norm::Linf => side.clamp(1, largest),
            // Odd, so that a pattern has a middle, and wide enough to have a shape.
            _ => (side.max(3) | 1).min(largest),
        }
    }

    fn start(&self, case: &Case, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let input = case.input;
        let mut point = case.origin.clone();
        match self.threat.norm {
            Norm::L2 => l2::start(self.threat, input, &mut point, rng),
            _ => {
                // Vertical stripes.
                let epsilon = self.threat.epsilon.value();
                let stripes: Vec<f32> = (0..input.channels * input.width)
                    .map(|_| if rng.random() { epsilon } else { -epsilon })
                    .collect();
                for (index, value) in point.iter_mut().enumerate() {
                    let channel = index / (input.height * input.width);
                    let stripe = stripes.get(channel * input.width + index % input.width);
                    *value += stripe.copied().unwrap_or(0.0);
                }
                ball::project(self.threat, &case.origin, &mut point);
            }
        }
        point
    }

    fn proposal(&self, case: &Case, best: &[f32], side: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let input = case.input;
        let mut point = best.to_vec();
        match self.threat.norm {
            Norm::L2 => l2::propose(self.threat, input, &case.origin, &mut point, side, rng),
            _ => {
                let window = Window::random(input, side, rng);
                let epsilon = self.threat.epsilon.value();
                for channel in 0..input.channels {
                    let change = if rng.random() {
                        2.0 * epsilon
                    } else {
                        -2.0 * epsilon
                    };
                    for index in window.cells(input, channel) {
                        if let Some(value) = point.get_mut(index) {
                            *value += change;
                        }
                    }
                }
                ball::project(self.threat, &case.origin, &mut point);
            }
        }
        point
    }
}

/// A square part of an image.
#[derive(Clone, Copy)]
struct Window {
    top: usize,
    left: usize,
    side: usize,
}

impl Window {
    fn random(input: InputSpec, side: usize, rng: &mut impl Rng) -> Self {
        Self {
            top: rng.random_range(0..=input.height.saturating_sub(side)),
            left: rng.random_range(0..=input.width.saturating_sub(side)),
            side,
        }
    }

    /// The indices of its values in one channel, row by row.
    fn cells(self, input: InputSpec, channel: usize) -> impl Iterator<Item = usize> {
        let rows = self.top..(self.top + self.side).min(input.height);
        let columns = self.left..(self.left + self.side).min(input.width);
        rows.flat_map(move |row| {
            let first = (channel * input.height + row) * input.width;
            columns.clone().map(move |column| first + column)
        })
    }
}

mod l2 {
    //! Patterns of two bumps of opposite sign, and the length that a window may have.

    use super::*;

    /// Of length one: falls off from the middle of the upper half, and with the opposite sign from that of the lower; lies on its
    /// side half of the time.
    fn pattern(side: usize, rng: &mut impl Rng) -> Vec<f64> {
        let upper = side / 2;
        let mut pattern = bump(upper, side);
        pattern.extend(bump(side - upper, side).iter().map(|value| -value));
        normalize(&mut pattern);
        if rng.random() {
            let cells = 0..side * side;
            let turned = cells.map(|cell| pattern.get((cell % side) * side + cell / side));
            return turned.map(|value| value.copied().unwrap_or(0.0)).collect();
        }
        pattern
    }

    /// Of length one: rectangles within each other, the k-th adding 1 / k^2.
    fn bump(rows: usize, columns: usize) -> Vec<f64> {
        let mut bump = vec![0.0; rows * columns];
        let (row, column) = (rows / 2, columns / 2);
        for ring in 0..=row.max(column) {
            let weight = 1.0 / ((ring + 1) as f64).powi(2);
            for r in row.saturating_sub(ring)..(row + ring + 1).min(rows) {
                for c in column.saturating_sub(ring)..(column + ring + 1).min(columns) {
                    if let Some(value) = bump.get_mut(r * columns + c) {
                        *value += weight;
                    }
                }
            }
        }
        normalize(&mut bump);
        bump
    }

    fn length<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
        values
            .into_iter()
            .map(|value| value * value)
            .sum::<f64>()
            .sqrt()
    }

    fn normalize(values: &mut [f64]) {
        let length = length(values.iter()).max(1e-12);
        values.iter_mut().for_each(|value| *value /= length);
    }

    fn sign(rng: &mut impl Rng) -> f64 {
        if rng.random() { 1.0 } else { -1.0 }
    }

    /// Moves `point` by a change, stretched to the radius, and into the box.
    fn place(threat: Threat, origin: &[f32], change: &mut [f64], point: &mut [f32]) {
        normalize(change);
        let epsilon = f64::from(threat.epsilon.value());
        for ((value, &centre), change) in point.iter_mut().zip(origin).zip(change) {
            *value = (f64::from(centre) + epsilon * *change) as f32;
        }
        ball::project(threat, origin, point);
    }

    /// A grid of patterns.
    pub(super) fn start(threat: Threat, input: InputSpec, point: &mut [f32], rng: &mut impl Rng) {
        let origin = point.to_vec();
        let side = (input.height.min(input.width) / 5).max(1);
        let first = (input.height - (input.height / side) * side) / 2;
        let mut change = vec![0.0; origin.len()];
        for row in 0..input.height / side {
            for column in 0..input.width / side {
                let window = Window {
                    top: first + row * side,
                    left: column * side,
                    side,
                };
                let pattern = pattern(side, rng);
                for channel in 0..input.channels {
                    let sign = sign(rng);
                    for (index, value) in window.cells(input, channel).zip(&pattern) {
                        if let Some(to) = change.get_mut(index) {
                            *to += sign * value;
                        }
                    }
                }
            }
        }
        place(threat, &origin, &mut change, point);
    }

    /// Takes the length of the change away from one window and gives it, with what is left of the radius, to another.
    pub(super) fn propose(
        threat: Threat,
        input: InputSpec,
        origin: &[f32],
        point: &mut [f32],
        side: usize,
        rng: &mut impl Rng,
    ) {
        let epsilon = f64::from(threat.epsilon.value());
        let now = Distances::between(origin, point.iter()).l2;
        let left = (epsilon * epsilon - now * now).max(0.0) / input.channels.max(1) as f64;
        let mut change: Vec<f64> = origin
            .iter()
            .zip(point.iter())
            .map(|(&centre, &value)| f64::from(value) - f64::from(centre))
            .collect();
        let [to, from] = [0; 2].map(|_| Window::random(input, side, rng));
        let pattern = pattern(side, rng);
        for channel in 0..input.channels {
            let at = |index: &usize| change.get(*index).copied().unwrap_or(0.0);
            let old: Vec<f64> = to.cells(input, channel).map(|index| at(&index)).collect();
            let both: std::collections::BTreeSet<usize> = to
                .cells(input, channel)
                .chain(from.cells(input, channel))
                .collect();
            let share = both.iter().map(|index| at(index).powi(2)).sum::<f64>();
            let old_length = length(&old) + 1e-12;
            let sign = sign(rng);
            let mut new: Vec<f64> = pattern
                .iter()
                .zip(&old)
                .map(|(p, old)| sign * p + old / old_length)
                .collect();
            normalize(&mut new);
            let length = (left + share).sqrt();
            let mut set = |index: usize, value: f64| {
                if let Some(to) = change.get_mut(index) {
                    *to = value;
                }
            };
            from.cells(input, channel).for_each(|index| set(index, 0.0));
            let cells = to.cells(input, channel).zip(&new);
            cells.for_each(|(index, value)| set(index, value * length));
        }
        place(threat, origin, &mut change, point);
    }
}

impl Attack for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn threat(&self) -> Threat {
        self.threat
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            restarts: self.restarts,
            options: Options::from([("p".into(), self.p)]),
            ..Parameters::new(self.name(), self.threat, self.queries, self.seed)
        }
    }

    fn most_queries(&self, _: usize) -> u64 {
        count(&[self.restarts, self.queries.saturating_add(1)])
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

impl Search for Square {
    fn judge(&self) -> ObjectiveKind {
        ObjectiveKind::Margin
    }

    fn max_batch(&self) -> usize {
        self.max_batch
    }

    async fn search(&self, case: &mut Case) -> Result<(), Stop> {
        let objective = case.objective(ObjectiveKind::Margin);
        for _ in 0..self.restarts {
            let mut rng = case.restart(self.seed);
            let mut best = self.start(case, &mut rng);
            let mut margin = objective.score(&case.look(&best).await?);
            for query in 0..self.queries {
                let side = self.side(case.input, query);
                let point = self.proposal(case, &best, side, &mut rng);
                let value = objective.score(&case.look(&point).await?);
                case.stepped();
                if value > margin {
                    (best, margin) = (point, value);
                }
            }
        }
        Ok(())
    }
}
