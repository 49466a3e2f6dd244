//! Detail that is lost.
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{
    filter::{Border, Tap, correlate, gaussian, gaussian_weights},
    picture::{Picture, byte},
    sampling::zoomed,
    severity::Level,
};
use crate::dataset::unit;

/// Radius of the disk in pixels, and the standard deviation that its edge is smoothed with: `defocus_blur` of
/// `make_cifar_c.py` and `make_imagenet_c.py`.
const DEFOCUS: [[(f64, f64); 5]; 2] = [
    [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)],
    [(3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)],
];
/// The largest disk that is smoothed by 3 x 3 weights, larger ones by 5 x 5: `disk` of the two.
const SMALL_DISK: f64 = 8.0;
/// Standard deviation in pixels, the farthest neighbour, and how often: `glass_blur` of the two.
const GLASS: [[(f64, i32, usize); 5]; 2] = [
    [
        (0.05, 1, 1),
        (0.25, 1, 1),
        (0.4, 1, 1),
        (0.25, 1, 2),
        (0.4, 1, 2),
    ],
    [
        (0.7, 1, 2),
        (0.9, 2, 1),
        (1.0, 2, 3),
        (1.1, 3, 2),
        (1.5, 4, 2),
    ],
];
/// Half the length in pixels, and standard deviation: `motion_blur` of the two.
const MOTION: [[(usize, f64); 5]; 2] = [
    [(6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)],
    [(10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)],
];
/// The largest angle of the motion to a row, in degrees: `motion_blur` of the two.
const MOTION_ANGLE: f64 = 45.0;
/// How many factors from 1 on, and their distance, as `numpy.arange` comes to in `zoom_blur` of the two.
const ZOOM: [[(u32, f64); 5]; 2] = [
    [(7, 0.01), (12, 0.01), (16, 0.01), (21, 0.01), (26, 0.01)],
    [(12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)],
];
/// Where scikit-image cuts a Gaussian off, in standard deviations, when nobody says.
const TRUNCATE: f64 = 4.0;

pub(super) fn defocus_blur(picture: Picture, level: Level) -> Picture {
    let (radius, sigma) = level.of(&DEFOCUS[0], &DEFOCUS[1]);
    let (width, disk) = (picture.width, disk(radius, sigma));
    picture.map(|plane| correlate(&plane, width, &disk, Border::Mirror))
}

/// A disk whose edge is smoothed. The published kernels of the radii 8 and 10 touch the border of the square they are
/// smoothed in and weigh up to 1.3 % too much; this one sums to one.
fn disk(radius: f64, sigma: f64) -> Vec<Tap> {
    let reach = radius as isize;
    let edge: isize = if radius <= SMALL_DISK { 1 } else { 2 };
    let smooth = gaussian_weights(sigma, (-edge..=edge).map(|offset| offset as f64));
    let inside = |down: isize, right: isize| {
        f32::from(u8::from(
            (down * down + right * right) as f64 <= radius * radius,
        ))
    };
    let whole = reach + edge;
    let mut taps = Vec::new();
    for down in -whole..=whole {
        for right in -whole..=whole {
            let rows = (-edge..).zip(&smooth);
            let weight: f32 = rows
                .flat_map(|(y, row)| {
                    let columns = (-edge..).zip(&smooth);
                    columns.map(move |(x, column)| row * column * inside(down + y, right + x))
                })
                .sum();
            if weight > 0.0 {
                taps.push(Tap {
                    down,
                    right,
                    weight,
                });
            }
        }
    }
    let sum: f32 = taps.iter().map(|tap| tap.weight).sum();
    for tap in &mut taps {
        tap.weight /= sum;
    }
    taps
}

/// The scripts mean to swap two pixels, and what NumPy does is to copy the second over the first, for both sides of the
/// assignment are views of one array. The published images are made like that, and so are these. Pixels at the border
/// keep their place.
pub(super) fn glass_blur(picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let (sigma, farthest, times) = level.of(&GLASS[0], &GLASS[1]);
    let (height, width) = (picture.height, picture.width);
    let blurred = |plane: Vec<f32>| gaussian(&plane, width, sigma, TRUNCATE, Border::Nearest);
    let mut picture = picture.map(blurred);
    for value in picture.values_mut() {
        *value = unit(byte(*value));
    }
    let border = farthest.unsigned_abs() as usize;
    let moved = |at: usize, by: i32| at.saturating_add_signed(by as isize);
    for _ in 0..times {
        for y in (border + 1..=height.saturating_sub(border)).rev() {
            for x in (border + 1..=width.saturating_sub(border)).rev() {
                let [right, down] = [(); 2].map(|()| rng.random_range(-farthest..farthest));
                let (from, to) = (moved(y, down) * width + moved(x, right), y * width + x);
                for plane in &mut picture.planes {
                    plane[to] = plane[from];
                }
            }
        }
    }
    picture.map(blurred)
}

pub(super) fn motion_blur(picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let (radius, sigma) = level.of(&MOTION[0], &MOTION[1]);
    let angle = rng.random_range(-MOTION_ANGLE..=MOTION_ANGLE);
    let (width, line) = (picture.width, line(radius, sigma, angle));
    picture.map(|plane| correlate(&plane, width, &line, Border::Nearest))
}

/// ImageMagick's `MotionBlurImage` at `angle` in degrees, clockwise from the right: half a Gaussian, over the pixels of
/// a line that begins at the centre and is `2 * radius + 1` long.
pub(super) fn line(radius: usize, sigma: f64, angle: f64) -> Vec<Tap> {
    let (sine, cosine) = libm::sincos(angle.to_radians());
    let length = 2 * radius + 1;
    let weights = gaussian_weights(sigma, (0..length).map(|at| at as f64));
    let nearest = |distance: f64| (distance - 0.5).ceil() as isize;
    let taps = weights.into_iter().enumerate().map(|(at, weight)| Tap {
        down: nearest(at as f64 * sine),
        right: nearest(at as f64 * cosine),
        weight,
    });
    taps.collect()
}

pub(super) fn zoom_blur(picture: Picture, level: Level) -> Picture {
    let (count, step) = level.of(&ZOOM[0], &ZOOM[1]);
    // NumPy's step is the difference of the first two factors, and by that last bit 26 * 1.25 rounds to 33 and not to 32.
    let step = (1.0 + step) - 1.0;
    let width = picture.width;
    picture.map(|plane| {
        let mut sums = plane.clone();
        for index in 0..count {
            let zoomed = zoomed(&plane, width, 1.0 + f64::from(index) * step);
            for (sum, value) in sums.iter_mut().zip(zoomed) {
                *sum += value;
            }
        }
        for sum in &mut sums {
            *sum /= (count + 1) as f32;
        }
        sums
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(taps: &[Tap]) -> f32 {
        taps.iter().map(|tap| tap.weight).sum()
    }

    #[test]
    fn kernels_sum_to_one() {
        for (radius, sigma) in DEFOCUS.into_iter().flatten() {
            let disk = disk(radius, sigma);
            assert!((sum(&disk) - 1.0).abs() < 1e-5, "{radius} {sigma}");
        }
        for (radius, sigma) in MOTION.into_iter().flatten() {
            let line = line(radius, sigma, 30.0);
            assert_eq!(line.len(), 2 * radius + 1);
            assert!((sum(&line) - 1.0).abs() < 1e-5, "{radius} {sigma}");
        }
    }

    #[test]
    fn a_disk_is_even_inside_and_empty_outside() {
        let disk = disk(10.0, 0.5);
        let inside = 1.0 / 317.0;
        for tap in &disk {
            let distance = ((tap.down * tap.down + tap.right * tap.right) as f64).sqrt();
            let weight = tap.weight;
            if distance < 7.0 {
                assert!((weight - inside).abs() < 1e-6, "{tap:?}");
            } else {
                assert!(weight <= inside + 1e-6 && distance < 13.0, "{tap:?}");
            }
        }
    }

    #[test]
    fn a_line_follows_its_angle_and_grows_weaker() {
        let ends = [(0.0, 0, 12), (45.0, 8, 8), (-45.0, -9, 8), (-90.0, -12, 0)];
        for (angle, down, right) in ends {
            let line = line(6, 2.0, angle);
            assert_eq!((line[0].down, line[0].right), (0, 0));
            let end = line[12];
            assert!(
                (end.down - down).abs() <= 1 && (end.right - right).abs() <= 1,
                "{angle}: {end:?}"
            );
            assert!(line.windows(2).all(|pair| pair[1].weight < pair[0].weight));
        }
    }
}
