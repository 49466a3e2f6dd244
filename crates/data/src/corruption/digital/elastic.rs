use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::{
    filter::{Border, gaussian},
    picture::Picture,
    sampling::bilinear,
    severity::{Constants, Level},
};

/// How far pixels move, the standard deviation by which their moves are alike, and how far three corners of the image
/// move, all in shares of the side: `elastic_transform` of `make_cifar_c.py` and `make_imagenet_c.py`.
const ELASTIC: [[(f64, f64, f64); 5]; 2] = [
    [
        (0.0, 0.0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ],
    [
        (2.0, 0.7, 0.1),
        (2.0, 0.08, 0.2),
        (0.05, 0.01, 0.02),
        (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02),
    ],
];
/// The shares of ImageNet-C are of 244, by a slip, where the images have 224 pixels.
const IMAGENET_SLIP: f64 = 244.0 / 224.0;
/// Where the moves' Gaussian is cut off, in standard deviations: `elastic_transform` of the two.
const TRUNCATE: f64 = 3.0;

/// First the image as a whole is skewed, then every pixel moved (Simard et al., Best Practices for Convolutional Neural
/// Networks, 2003). Sides that differ are measured by the shorter one.
pub(crate) fn elastic_transform(picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let (height, width) = (picture.height, picture.width);
    let shorter = height.min(width) as f64;
    let side = match level.constants {
        Constants::Cifar => shorter,
        Constants::Imagenet => shorter * IMAGENET_SLIP,
    };
    let (far, alike, skew) = level.of(&ELASTIC[0], &ELASTIC[1]);
    let skew = Skew::draw(height, width, side * skew, rng);
    let [right, down] = [(); 2].map(|()| {
        let moves: Vec<f32> = (0..height * width)
            .map(|_| rng.random_range(-1.0f32..=1.0))
            .collect();
        let mut moves = gaussian(&moves, width, side * alike, TRUNCATE, Border::Symmetric);
        for value in &mut moves {
            *value *= (side * far) as f32;
        }
        moves
    });
    picture.map(|plane| {
        let skewed: Vec<f32> = pixels(height, width)
            .map(|(y, x)| {
                let [y, x] = skew.source(y as f64, x as f64);
                bilinear(&plane, width, y, x, Border::Mirror)
            })
            .collect();
        let moves = down.iter().zip(&right);
        pixels(height, width)
            .zip(moves)
            .map(|((y, x), (down, right))| {
                let (y, x) = (y as f32 + down, x as f32 + right);
                bilinear(&skewed, width, y, x, Border::Symmetric)
            })
            .collect()
    })
}

fn pixels(height: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

/// An affine map of the place in the result, relative to `origin`, to that in the image; both row and column.
struct Skew {
    origin: [f64; 2],
    source: [f64; 2],
    /// Rows and columns of the image per row and per column of the result.
    down: [f64; 2],
    right: [f64; 2],
}

impl Skew {
    /// Three corners of a square in the middle of the image, a third of its shorter side away from the centre, that move
    /// up to `far` pixels in each direction.
    fn draw(height: usize, width: usize, far: f64, rng: &mut ChaCha8Rng) -> Self {
        let third = (height.min(width) / 3) as f64;
        let [y, x] = [height / 2, width / 2].map(|side| side as f64);
        let corners = [
            [y + third, x + third],
            [y - third, x + third],
            [y - third, x - third],
        ];
        let moved = corners.map(|corner| corner.map(|at| at + rng.random_range(-far..=far)));
        Self::of(corners, moved)
    }

    /// The map that finds the corners of a square (the lower right one and those counterclockwise from it) where they
    /// were moved to. They must not be moved onto one line.
    fn of(corners: [[f64; 2]; 3], moved: [[f64; 2]; 3]) -> Self {
        let side = corners[0][0] - corners[1][0];
        let [lower, upper, opposite] = moved;
        let down = [lower[0] - upper[0], lower[1] - upper[1]];
        let right = [upper[0] - opposite[0], upper[1] - opposite[1]];
        let scale = side / (down[0] * right[1] - down[1] * right[0]);
        Self {
            origin: upper,
            source: corners[1],
            down: [scale * right[1], -scale * down[1]],
            right: [-scale * right[0], scale * down[0]],
        }
    }

    /// The row and column of the image that are seen at a row and column of the result.
    fn source(&self, y: f64, x: f64) -> [f32; 2] {
        let (y, x) = (y - self.origin[0], x - self.origin[1]);
        [0, 1].map(|axis| (self.source[axis] + y * self.down[axis] + x * self.right[axis]) as f32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    proptest! {
        #[test]
        fn nothing_moves_when_nothing_may(height in 8usize..50, width in 8usize..50, seed: u64) {
            let skew = Skew::draw(height, width, 0.0, &mut ChaCha8Rng::seed_from_u64(seed));
            for (y, x) in pixels(height, width) {
                let [down, right] = skew.source(y as f64, x as f64);
                prop_assert!((down - y as f32).abs() < 1e-4 && (right - x as f32).abs() < 1e-4);
            }
        }

        #[test]
        fn corners_are_seen_where_they_moved_to(moves in prop::array::uniform3([-3.0f64..3.0, -3.0..3.0])) {
            let corners = [[30.0, 28.0], [10.0, 28.0], [10.0, 8.0]];
            let mut moved = corners;
            for (place, by) in moved.iter_mut().flatten().zip(moves.into_iter().flatten()) {
                *place += by;
            }
            let skew = Skew::of(corners, moved);
            for (corner, [y, x]) in corners.into_iter().zip(moved) {
                let seen = skew.source(y, x).map(f64::from);
                prop_assert!((seen[0] - corner[0]).abs() < 1e-4, "{seen:?} {corner:?}");
                prop_assert!((seen[1] - corner[1]).abs() < 1e-4, "{seen:?} {corner:?}");
            }
        }
    }
}
