//! What the air and the light do.
mod frost;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{
    blur::line,
    filter::{Border, correlate},
    noise::normals,
    picture::Picture,
    plasma::plasma,
    sampling::zoomed,
    severity::Level,
};

/// One severity of snow.
#[derive(Clone, Copy)]
struct Snow {
    /// Mean and standard deviation of the noise that flakes are made of.
    noise: (f32, f32),
    /// How much larger than a pixel a flake is.
    zoom: f64,
    /// What is darker is no flake.
    threshold: f32,
    /// Half the length in pixels of a flake's trace, and its standard deviation.
    trace: (usize, f64),
    /// How much is left of the scene that is not whitened.
    scene: f32,
}

const fn snow_of(
    noise: (f32, f32),
    zoom: f64,
    threshold: f32,
    trace: (usize, f64),
    scene: f32,
) -> Snow {
    Snow {
        noise,
        zoom,
        threshold,
        trace,
        scene,
    }
}

/// `snow` of `make_cifar_c.py` and `make_imagenet_c.py`.
const SNOW: [[Snow; 5]; 2] = [
    [
        snow_of((0.1, 0.2), 1.0, 0.6, (8, 3.0), 0.95),
        snow_of((0.1, 0.2), 1.0, 0.5, (10, 4.0), 0.9),
        snow_of((0.15, 0.3), 1.75, 0.55, (10, 4.0), 0.9),
        snow_of((0.25, 0.3), 2.25, 0.6, (12, 6.0), 0.85),
        snow_of((0.3, 0.3), 1.25, 0.65, (14, 12.0), 0.8),
    ],
    [
        snow_of((0.1, 0.3), 3.0, 0.5, (10, 4.0), 0.8),
        snow_of((0.2, 0.3), 2.0, 0.5, (12, 4.0), 0.7),
        snow_of((0.55, 0.3), 4.0, 0.9, (12, 8.0), 0.7),
        snow_of((0.55, 0.3), 4.5, 0.85, (12, 8.0), 0.65),
        snow_of((0.55, 0.3), 2.5, 0.85, (12, 12.0), 0.55),
    ],
];
/// Between which angles to a row snow falls, in degrees: `snow` of the two.
const SNOW_ANGLES: [f64; 2] = [-135.0, -45.0];
/// Weights of the scene and of the frost: `frost` of the two.
const FROST: [[(f32, f32); 5]; 2] = [
    [
        (1.0, 0.2),
        (1.0, 0.3),
        (0.9, 0.4),
        (0.85, 0.4),
        (0.75, 0.45),
    ],
    [(1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
];
/// How bright the fog is, and how fast its spread decays: `fog` of the two.
const FOG: [[(f32, f64); 5]; 2] = [
    [(0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)],
    [(1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)],
];
/// How much is added to HSV's value: `brightness` of the two.
const BRIGHTNESS: [[f32; 5]; 2] = [[0.05, 0.1, 0.15, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4, 0.5]];

/// The scene whitened, and two layers of flakes, of which one is the other turned upside down.
pub(super) fn snow(mut picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let snow = level.of(&SNOW[0], &SNOW[1]);
    let (width, pixels) = (picture.width, picture.height * picture.width);
    let (mean, sigma) = snow.noise;
    let noise: Vec<f32> = normals(rng)
        .take(pixels)
        .map(|noise| mean + sigma * noise)
        .collect();
    let mut flakes = zoomed(&noise, width, snow.zoom);
    for value in &mut flakes {
        *value = match *value < snow.threshold {
            true => 0.0,
            false => value.min(1.0),
        };
    }
    let [from, to] = SNOW_ANGLES;
    let (radius, sigma) = snow.trace;
    let trace = line(radius, sigma, rng.random_range(from..=to));
    let flakes = correlate(&flakes, width, &trace, Border::Nearest);
    let luma = picture.luma();
    for plane in &mut picture.planes {
        let layers = flakes.iter().zip(flakes.iter().rev());
        for ((value, luma), (flake, turned)) in plane.iter_mut().zip(&luma).zip(layers) {
            let white = value.max(1.5 * luma + 0.5);
            *value = snow.scene * *value + (1.0 - snow.scene) * white + flake + turned;
        }
    }
    picture
}

pub(super) fn frost(mut picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let (scene, ice) = level.of(&FROST[0], &FROST[1]);
    let texture = frost::texture(picture.height, picture.width, rng);
    let tint = frost::tint(picture.planes.len());
    for (plane, tint) in picture.planes.iter_mut().zip(tint) {
        for (value, texture) in plane.iter_mut().zip(&texture) {
            *value = scene * *value + ice * tint * texture;
        }
    }
    picture
}

/// The brightest value stays what it is where the fog is thickest, and everything else comes nearer to it.
pub(super) fn fog(mut picture: Picture, level: Level, rng: &mut ChaCha8Rng) -> Picture {
    let (thickness, decay) = level.of(&FOG[0], &FOG[1]);
    let map = plasma(picture.height, picture.width, decay, rng);
    let brightest = picture
        .values_mut()
        .fold(0f32, |most, value| most.max(*value));
    let scale = brightest / (brightest + thickness);
    for plane in &mut picture.planes {
        for (value, fog) in plane.iter_mut().zip(&map) {
            *value = (*value + thickness * fog) * scale;
        }
    }
    picture
}

/// A higher value of HSV at the same hue and saturation: all channels times one factor, as the value is the largest of
/// them. Black has no hue and becomes grey.
pub(super) fn brightness(mut picture: Picture, level: Level) -> Picture {
    let more = level.of(&BRIGHTNESS[0], &BRIGHTNESS[1]);
    for at in 0..picture.height * picture.width {
        let value = picture
            .planes
            .iter()
            .fold(0f32, |most, plane| most.max(plane[at]));
        let raised = (value + more).min(1.0);
        for plane in &mut picture.planes {
            plane[at] = match value > 0.0 {
                true => plane[at] * (raised / value),
                false => raised,
            };
        }
    }
    picture
}
