//! What is lost in a JPEG file. The coding of the coefficients loses nothing and is left out: colours are converted and
//! halved in both directions (4:2:0), blocks transformed and quantised, and all of it taken back. As libjpeg does it,
//! whose defaults Pillow writes with, but in floating point: its integer transform rounds a few coefficients in a
//! thousand to the other side. A codec, whose code is another one on every processor, could not promise the same bytes
//! on all of them.
use std::f64::consts::PI;

use super::super::picture::{Picture, byte};
use crate::dataset::unit;

const SIDE: usize = 8;
/// libjpeg has coefficients in eighths when it quantises them; halves of a step, which are frequent then, it rounds away
/// from zero.
const PRECISION: f32 = 8.0;
type Block = [[f32; SIDE]; SIDE];

/// The tables of ITU-T T.81, Annex K.1 and K.2, for a quality of 50.
const LUMINANCE: [[u32; SIDE]; SIDE] = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
];
const CHROMINANCE: [[u32; SIDE]; SIDE] = [
    [17, 18, 24, 47, 99, 99, 99, 99],
    [18, 21, 26, 66, 99, 99, 99, 99],
    [24, 26, 56, 99, 99, 99, 99, 99],
    [47, 66, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
    [99, 99, 99, 99, 99, 99, 99, 99],
];

/// The picture written with this quality, 1 to 100, and read again.
pub(super) fn recoded(picture: Picture, quality: u8) -> Picture {
    let luminance = Coder::new(&LUMINANCE, quality);
    let chrominance = Coder::new(&CHROMINANCE, quality);
    let (height, width) = (picture.height, picture.width);
    let mut bytes: Vec<Bytes> = picture
        .planes
        .iter()
        .map(|plane| Bytes::new(width, plane.iter().copied().map(byte).collect()))
        .collect();
    bytes = match bytes.as_slice() {
        [red, green, blue] => {
            let [luma, chroma @ ..] = to_ycc([red, green, blue]);
            let [blue, red] = chroma.map(|plane| {
                let coded = chrominance.code(&plane.halved());
                coded
                    .cropped(height.div_ceil(2), width.div_ceil(2))
                    .doubled(height, width)
            });
            to_rgb([&luminance.code(&luma), &blue, &red]).into()
        }
        planes => planes.iter().map(|plane| luminance.code(plane)).collect(),
    };
    let planes = bytes
        .into_iter()
        .map(|plane| plane.values.into_iter().map(unit).collect());
    Picture {
        height,
        width,
        planes: planes.collect(),
    }
}

/// One component of the image.
struct Bytes {
    width: usize,
    values: Vec<u8>,
}

impl Bytes {
    fn new(width: usize, values: Vec<u8>) -> Self {
        Self { width, values }
    }

    fn height(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// The pixel, or the nearest one where there is none.
    fn at(&self, y: usize, x: usize) -> u8 {
        let (y, x) = (y.min(self.height() - 1), x.min(self.width - 1));
        self.values[y * self.width + x]
    }

    /// Means of four, rounded up in every other column, as wide as whole blocks are.
    fn halved(&self) -> Self {
        let width = self.width.div_ceil(2 * SIDE) * SIDE;
        let mut values = Vec::with_capacity(self.height().div_ceil(2) * width);
        for y in 0..self.height().div_ceil(2) {
            values.extend((0..width).map(|x| {
                let row = |y| u16::from(self.at(y, 2 * x)) + u16::from(self.at(y, 2 * x + 1));
                let rounding = if x % 2 == 0 { 1 } else { 2 };
                ((row(2 * y) + row(2 * y + 1) + rounding) / 4) as u8
            }));
        }
        Self::new(width, values)
    }

    fn cropped(&self, height: usize, width: usize) -> Self {
        let rows = self.values.chunks_exact(self.width).take(height);
        Self::new(width, rows.flat_map(|row| &row[..width]).copied().collect())
    }

    /// libjpeg's "fancy" upsampling: three parts of the nearest and one of the next in both directions.
    fn doubled(&self, height: usize, width: usize) -> Self {
        let mut values = Vec::with_capacity(height * width);
        for y in 0..height {
            let near = y / 2;
            let far = if y % 2 == 0 {
                near.saturating_sub(1)
            } else {
                near + 1
            };
            let column = |x| 3 * u16::from(self.at(near, x)) + u16::from(self.at(far, x));
            values.extend((0..width).map(|x| {
                let near = x / 2;
                let (far, rounding) = match x % 2 {
                    0 => (near.saturating_sub(1), 8),
                    _ => (near + 1, 7),
                };
                ((3 * column(near) + column(far) + rounding) / 16) as u8
            }));
        }
        Self::new(width, values)
    }
}

/// To the luma and the two chromas of JFIF.
fn to_ycc(planes: [&Bytes; 3]) -> [Bytes; 3] {
    convert(planes, |[red, green, blue]| {
        [
            0.299 * red + 0.587 * green + 0.114 * blue,
            128.0 - 0.168_735_89 * red - 0.331_264_1 * green + 0.5 * blue,
            128.0 + 0.5 * red - 0.418_687_59 * green - 0.081_312_41 * blue,
        ]
    })
}

fn to_rgb(planes: [&Bytes; 3]) -> [Bytes; 3] {
    convert(planes, |[luma, blue, red]| {
        let (blue, red) = (blue - 128.0, red - 128.0);
        [
            luma + 1.402 * red,
            luma - 0.344_136_3 * blue - 0.714_136_3 * red,
            luma + 1.772 * blue,
        ]
    })
}

fn convert(planes: [&Bytes; 3], change: impl Fn([f32; 3]) -> [f32; 3]) -> [Bytes; 3] {
    let mut changed = planes.map(|plane| Bytes::new(plane.width, plane.values.clone()));
    let [first, second, third] = &mut changed;
    let pixels = first.values.iter_mut().zip(&mut second.values);
    for ((first, second), third) in pixels.zip(&mut third.values) {
        let values = [*first, *second, *third].map(f32::from);
        [*first, *second, *third] = change(values).map(|value| value.round() as u8);
    }
    changed
}

/// A quantisation table with the transform.
struct Coder {
    steps: Block,
    /// `basis[frequency][place]` of the orthonormal cosine transform.
    basis: Block,
}

impl Coder {
    /// The table scaled as libjpeg does it for a quality.
    fn new(table: &[[u32; SIDE]; SIDE], quality: u8) -> Self {
        let quality = u32::from(quality.clamp(1, 100));
        let scale = if quality < 50 {
            5000 / quality
        } else {
            200 - 2 * quality
        };
        let step = |value: u32| ((value * scale + 50) / 100).clamp(1, 255) as f32;
        let basis = std::array::from_fn(|frequency| {
            let norm: f64 = if frequency == 0 { 0.125 } else { 0.25 };
            std::array::from_fn(|place| {
                let angle = (2 * place + 1) as f64 * frequency as f64 * PI / 16.0;
                (norm.sqrt() * libm::cos(angle)) as f32
            })
        });
        Self {
            steps: table.map(|row| row.map(step)),
            basis,
        }
    }

    /// The component after its blocks were quantised. Blocks at the border are filled up with the nearest pixels.
    fn code(&self, plane: &Bytes) -> Bytes {
        let (height, width) = (plane.height(), plane.width);
        let mut coded = Bytes::new(width, vec![0; plane.values.len()]);
        for top in (0..height).step_by(SIDE) {
            for left in (0..width).step_by(SIDE) {
                let block = std::array::from_fn(|y| {
                    std::array::from_fn(|x| f32::from(plane.at(top + y, left + x)) - 128.0)
                });
                let block = self.quantised(&block);
                let rows = coded.values.chunks_exact_mut(width).skip(top);
                for (row, block) in rows.zip(block) {
                    for (value, coded) in row.iter_mut().skip(left).zip(block) {
                        *value = (coded + 128.0).round() as u8;
                    }
                }
            }
        }
        coded
    }

    fn quantised(&self, block: &Block) -> Block {
        let forward = turned(&self.basis);
        let mut coefficients = product(&product(&self.basis, block), &forward);
        let steps = self.steps.iter().flatten();
        for (value, step) in coefficients.iter_mut().flatten().zip(steps) {
            *value = ((*value * PRECISION).round() / (PRECISION * step)).round() * step;
        }
        product(&product(&forward, &coefficients), &self.basis)
    }
}

fn product(left: &Block, right: &Block) -> Block {
    left.map(|row| {
        let mut sums = [0.0; SIDE];
        for (weight, values) in row.iter().zip(right) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += weight * value;
            }
        }
        sums
    })
}

fn turned(block: &Block) -> Block {
    std::array::from_fn(|y| std::array::from_fn(|x| block[x][y]))
}
