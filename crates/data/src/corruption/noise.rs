//! Noise on every value for itself.
mod poisson;

use std::f64::consts::TAU;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use self::poisson::poisson;
use super::{picture::Picture, severity::Level};

/// Standard deviations for values in `[0, 1]`: `gaussian_noise` of `make_cifar_c.py` and `make_imagenet_c.py`.
const GAUSSIAN: [[f64; 5]; 2] = [
    [0.04, 0.06, 0.08, 0.09, 0.10],
    [0.08, 0.12, 0.18, 0.26, 0.38],
];
/// Quanta of full white: `shot_noise` of the two.
const SHOT: [[f64; 5]; 2] = [
    [500.0, 250.0, 100.0, 75.0, 50.0],
    [60.0, 25.0, 12.0, 5.0, 3.0],
];
/// Shares of the values that are replaced: `impulse_noise` of the two.
const IMPULSE: [[f64; 5]; 2] = [
    [0.01, 0.02, 0.03, 0.05, 0.07],
    [0.03, 0.06, 0.09, 0.17, 0.27],
];

pub(super) fn gaussian_noise(mut picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let sigma = level.of(&GAUSSIAN[0], &GAUSSIAN[1]) as f32;
    for plane in &mut picture.planes {
        for (value, noise) in plane.iter_mut().zip(normals(rng)) {
            *value += sigma * noise;
        }
    }
    picture
}

pub(super) fn shot_noise(mut picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let white = level.of(&SHOT[0], &SHOT[1]);
    for value in picture.values_mut() {
        *value = (poisson(f64::from(*value) * white, rng.random()) / white) as f32;
    }
    picture
}

/// As scikit-image's `random_noise` in the mode `s&p`: every value of every channel for itself, black as often as white.
pub(super) fn impulse_noise(mut picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let share = level.of(&IMPULSE[0], &IMPULSE[1]);
    for value in picture.values_mut() {
        let [chosen, white] = [rng.random::<f64>() < share, rng.random()];
        if chosen {
            *value = f32::from(u8::from(white));
        }
    }
    picture
}

/// Normal random numbers of mean 0 and variance 1, without end (Box and Muller, A Note on the Generation of Random
/// Normal Deviates, 1958): by functions that give the same bits on every machine.
pub(super) fn normals(rng: &mut ChaCha8Rng) -> impl Iterator<Item = f32> {
    std::iter::repeat_with(move || {
        let radius = (-2.0 * libm::log(1.0 - rng.random::<f64>())).sqrt();
        let (sine, cosine) = libm::sincos(TAU * rng.random::<f64>());
        [(radius * cosine) as f32, (radius * sine) as f32]
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn normal_numbers_have_the_moments_and_tails_of_a_normal_distribution() {
        let count = 200_000;
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let drawn: Vec<f64> = normals(rng).take(count).map(f64::from).collect();
        let moment =
            |power| drawn.iter().map(|value| value.powi(power)).sum::<f64>() / count as f64;
        for (power, expected, tolerance) in [
            (1, 0.0, 0.01),
            (2, 1.0, 0.015),
            (3, 0.0, 0.03),
            (4, 3.0, 0.1),
        ] {
            let found = moment(power);
            assert!((found - expected).abs() < tolerance, "{power}: {found}");
        }
        let tail = drawn.iter().filter(|value| value.abs() > 2.0).count() as f64 / count as f64;
        assert!((tail - 0.0455).abs() < 0.0025, "{tail}");
    }
}
