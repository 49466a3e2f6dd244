//! Adam (Kingma & Ba 2015), with its usual decay rates.

const DECAY: [f64; 2] = [0.9, 0.999];
const OFFSET: f64 = 1e-8;

pub(crate) struct Adam {
    rate: f64,
    first: Vec<f64>,
    second: Vec<f64>,
    shares: [f64; 2],
}

impl Adam {
    pub(crate) fn new(size: usize, rate: f64) -> Self {
        Self {
            rate,
            first: vec![0.0; size],
            second: vec![0.0; size],
            shares: [1.0; 2],
        }
    }

    /// Moves values down their gradient.
    pub(crate) fn descend(&mut self, values: &mut [f64], gradient: &[f64]) {
        let [a, b] = DECAY;
        self.shares = [self.shares[0] * a, self.shares[1] * b];
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, &g), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = a * *first + (1.0 - a) * g;
            *second = b * *second + (1.0 - b) * g * g;
            let mean = *first / (1.0 - self.shares[0]);
            let spread = (*second / (1.0 - self.shares[1])).sqrt();
            *value -= self.rate * mean / (spread + OFFSET);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_length_of_the_rate_and_a_bowl_is_descended() {
        let mut adam = Adam::new(2, 0.1);
        let mut values = [3.0, -2.0];
        adam.descend(&mut values, &[6.0, -4.0]);
        assert!((values[0] - 2.9).abs() < 1e-6 && (values[1] + 1.9).abs() < 1e-6);
        for _ in 0..500 {
            let gradient = values.map(|value| 2.0 * value);
            adam.descend(&mut values, &gradient);
        }
        assert!(values.iter().all(|value| value.abs() < 1e-2), "{values:?}");
    }
}
