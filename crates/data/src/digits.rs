//! The built-in data set. A digit is a few strokes ([`shapes`]), written with a shaking hand ([`glyph`]), bent and posed
//! ([`warp`]), and drawn with a pen of some width ([`draw`]).
mod draw;
mod glyph;
mod shapes;
mod warp;

use rand::{Rng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    DataError, Dataset, Split,
    stream::{Purpose, stream},
};

/// The largest number of digits drawn at once (784 MB).
pub const MAX_DIGITS: usize = 1_000_000;
const CLASSES: usize = 10;

/// Draws `n` handwritten-looking digits, 28 x 28, white on black, like those of MNIST: ten classes, named `0` to `9`.
///
/// Image `i` and its label depend on `seed`, `split` and `i` alone, and are the same on every platform: a smaller data
/// set is the beginning of a larger one, and the two splits share nothing. The images `10 k` to `10 k + 9` show every
/// digit once in random order.
///
/// # Errors
/// When `n` is 0 or more than [`MAX_DIGITS`].
pub fn digits(split: Split, n: usize, seed: u64) -> Result<Dataset, DataError> {
    if !(1..=MAX_DIGITS).contains(&n) {
        return Err(DataError::OutOfRange {
            what: "data set of digits",
            value: n,
            min: 1,
            max: MAX_DIGITS,
        });
    }
    let labels: Vec<u16> = (0u64..)
        .flat_map(|block| class_order(split, seed, block))
        .take(n)
        .collect();
    let mut pixels = Vec::with_capacity(n * draw::SIDE * draw::SIDE);
    for (index, &label) in (0u64..).zip(&labels) {
        let mut rng = stream(seed, Purpose::Image(split), index);
        pixels.extend(image(usize::from(label), &mut rng));
    }
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    Dataset::new(
        "digits",
        split,
        classes,
        [1, draw::SIDE, draw::SIDE],
        pixels,
        labels,
    )
}

/// The labels of the images `10 block` to `10 block + 9`.
fn class_order(split: Split, seed: u64, block: u64) -> [u16; CLASSES] {
    let mut order = std::array::from_fn(|class| class as u16);
    order.shuffle(&mut stream(seed, Purpose::Labels(split), block));
    order
}

fn image(class: usize, rng: &mut ChaCha8Rng) -> [u8; draw::SIDE * draw::SIDE] {
    let strokes = warp::pose(glyph::write(class, rng), rng);
    draw::draw(&strokes, rng)
}

/// A random number of mean 0 and variance 1 in `(-3, 3)`: bell-shaped, and unlike a normal one without logarithms,
/// which differ from platform to platform, and without outliers, which would make a digit another one.
fn bell(rng: &mut ChaCha8Rng) -> f32 {
    (0..3).map(|_| rng.random_range(-1.0f32..1.0)).sum()
}

/// A place on the sheet: `x` to the right, `y` down.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f32,
    y: f32,
}

impl Point {
    fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self {
            x: f(self.x, other.x),
            y: f(self.y, other.y),
        }
    }

    fn distance(self, other: Self) -> f32 {
        let Self { x, y } = self.map(other, |a, b| a - b);
        (x * x + y * y).sqrt()
    }
}
