//! What programs do to images.
mod elastic;
mod jpeg;

use super::{
    picture::{Picture, byte},
    severity::Level,
};
use crate::dataset::unit;

pub(super) use self::elastic::elastic_transform;

/// What is left of the distance to the mean: `contrast` of `make_cifar_c.py` and `make_imagenet_c.py`.
const CONTRAST: [[f32; 5]; 2] = [[0.75, 0.5, 0.4, 0.3, 0.15], [0.4, 0.3, 0.2, 0.1, 0.05]];
/// What is left of each side: `pixelate` of the two.
const PIXELATE: [[f64; 5]; 2] = [[0.95, 0.9, 0.85, 0.75, 0.65], [0.6, 0.5, 0.4, 0.3, 0.25]];
/// The quality of the file: `jpeg_compression` of the two.
const QUALITY: [[u8; 5]; 2] = [[80, 65, 58, 50, 40], [25, 18, 15, 10, 7]];

pub(super) fn contrast(picture: Picture, level: Level) -> Picture {
    let left = level.of(&CONTRAST[0], &CONTRAST[1]);
    picture.map(|mut plane| {
        let sum: f64 = plane.iter().copied().map(f64::from).sum();
        let mean = (sum / plane.len().max(1) as f64) as f32;
        for value in &mut plane {
            *value = (*value - mean) * left + mean;
        }
        plane
    })
}

/// Pillow's `BOX` filter down and up again, rows before columns, with bytes in between.
pub(super) fn pixelate(picture: Picture, level: Level) -> Picture {
    let left = level.of(&PIXELATE[0], &PIXELATE[1]);
    let (height, width) = (picture.height, picture.width);
    let smaller = |side: usize| ((side as f64 * left) as usize).max(1);
    let (rows, columns) = (boxes(height, smaller(height)), boxes(width, smaller(width)));
    picture.map(|plane| {
        let narrow: Vec<f32> = plane
            .chunks_exact(width)
            .flat_map(|row| {
                let mean = |part: &[usize; 2]| rounded_mean(row[part[0]..part[1]].iter());
                columns.iter().map(mean)
            })
            .collect();
        let small: Vec<Vec<f32>> = rows
            .iter()
            .map(|&[from, to]| {
                let column = |x: usize| {
                    let values = narrow.iter().skip(x).step_by(columns.len());
                    rounded_mean(values.skip(from).take(to - from))
                };
                (0..columns.len()).map(column).collect()
            })
            .collect();
        let mut large = Vec::with_capacity(height * width);
        for y in 0..height {
            let row = &small[seen_at(y, height, rows.len())];
            large.extend((0..width).map(|x| row[seen_at(x, width, row.len())]));
        }
        large
    })
}

/// Which of `length` pixels each of the `count` boxes they are divided into is the mean of: those whose centre lies in
/// it, the upper end included.
fn boxes(length: usize, count: usize) -> Vec<[usize; 2]> {
    // Centres x + 1/2 of at most i * length / count are x below i * length / count + 1/2.
    let below = |index: usize| (2 * index * length + count) / (2 * count);
    (0..count)
        .map(|index| [below(index), below(index + 1)])
        .collect()
}

/// Which of `count` pixels is seen at `at` when they are enlarged to `length`.
fn seen_at(at: usize, length: usize, count: usize) -> usize {
    (2 * at + 1) * count / (2 * length)
}

fn rounded_mean<'a>(values: impl Iterator<Item = &'a f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    unit(byte(sum / count))
}

pub(super) fn jpeg_compression(picture: Picture, level: Level) -> Picture {
    jpeg::recoded(picture, level.of(&QUALITY[0], &QUALITY[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_a_partition_and_none_is_empty() {
        for length in 8..100 {
            for count in 1..=length {
                let boxes = boxes(length, count);
                assert_eq!(boxes[0][0], 0);
                assert_eq!(boxes[count - 1][1], length);
                assert!(boxes.windows(2).all(|pair| pair[0][1] == pair[1][0]));
                assert!(boxes.iter().all(|[from, to]| from < to));
                let index = |at| seen_at(at, length, count);
                assert!((0..length).all(|at| index(at) < count));
            }
        }
    }

    /// 4 pixels in 3 boxes of 4/3: the centre of the first alone lies in the first one, of the second and third in the
    /// second.
    #[test]
    fn a_pixel_belongs_to_the_box_its_centre_lies_in() {
        assert_eq!(boxes(4, 3), [[0, 1], [1, 3], [3, 4]]);
        let seen: Vec<usize> = (0..4).map(|at| seen_at(at, 4, 3)).collect();
        assert_eq!(seen, [0, 1, 1, 2]);
    }
}
