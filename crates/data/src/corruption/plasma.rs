use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The spread of the first midpoints; as the map is scaled to `[0, 1]`, only how fast it decays matters.
const FIRST_SPREAD: f64 = 100.0;

/// A plasma fractal by the diamond-square algorithm on a torus, the part of `height` x `width` at its top left: the map
/// is square, its side the next power of two, and its values fill `[0, 1]`. With every halving of the distance the
/// spread of the midpoints shrinks by the square of `decay`, as in `plasma_fractal` of the published scripts.
pub(super) fn plasma(height: usize, width: usize, decay: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let side = height.max(width).max(1).next_power_of_two();
    let mut map = vec![0.0; side * side];
    let (mut step, mut spread) = (side, FIRST_SPREAD);
    while step >= 2 {
        let half = step / 2;
        let mut around = |map: &mut [f64], y: usize, x: usize, offsets: [[usize; 2]; 4]| {
            let sum: f64 = offsets
                .iter()
                .map(|[down, right]| map[(y + down) % side * side + (x + right) % side])
                .sum();
            map[y * side + x] = sum / 4.0 + spread * rng.random_range(-spread..=spread);
        };
        let corners = (0..side).step_by(step);
        let grid = || {
            let rows = corners.clone();
            rows.flat_map(|y| corners.clone().map(move |x| (y, x)))
        };
        let back = side - half;
        for (y, x) in grid() {
            let diagonal = [[half, half], [half, back], [back, half], [back, back]];
            around(&mut map, y + half, x + half, diagonal);
        }
        let straight = [[half, 0], [back, 0], [0, half], [0, back]];
        for (y, x) in grid() {
            around(&mut map, y, x + half, straight);
            around(&mut map, y + half, x, straight);
        }
        step = half;
        spread /= decay;
    }
    let least = map.iter().copied().fold(f64::INFINITY, f64::min);
    let most = map.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = (most - least).max(f64::MIN_POSITIVE);
    map.chunks_exact(side)
        .take(height)
        .flat_map(|row| &row[..width])
        .map(|value| ((value - least) / range) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn map(side: usize, decay: f64, seed: u64) -> Vec<f32> {
        plasma(side, side, decay, &mut ChaCha8Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_whole_map_fills_the_range() {
        for seed in 0..5 {
            let map = map(32, 2.0, seed);
            assert_eq!(map.iter().copied().fold(f32::INFINITY, f32::min), 0.0);
            assert_eq!(map.iter().copied().fold(0.0, f32::max), 1.0);
        }
    }

    #[test]
    fn a_faster_decay_is_smoother() {
        let roughness = |decay| -> f32 {
            let maps = (0..20).map(|seed| map(32, decay, seed));
            maps.map(|map| {
                map.windows(2)
                    .map(|pair| (pair[1] - pair[0]).abs())
                    .sum::<f32>()
            })
            .sum()
        };
        assert!(roughness(1.5) > 1.2 * roughness(2.0));
        assert!(roughness(2.0) > 1.2 * roughness(3.0));
    }

    #[test]
    fn oblong_parts_are_those_of_the_square() {
        let square = map(16, 2.0, 7);
        let part = plasma(3, 16, 2.0, &mut ChaCha8Rng::seed_from_u64(7));
        assert_eq!(part, square[..48]);
    }
}
