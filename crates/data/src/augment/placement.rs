use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::Augmentation;

/// How one image is shown: moved, mirrored, with a hole. Bytes that are not seen of it are black.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The row and column of the image that are seen at the top left.
    origin: [isize; 2],
    flip: bool,
    hole: Option<Hole>,
}

/// Rows `top..bottom` and columns `left..right`, inside the image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hole {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

impl Placement {
    /// Draws one for an image of the shape `[channels, height, width]`. What is switched off draws nothing, and what is
    /// on is drawn in the order of application.
    pub(crate) fn draw(
        augmentation: &Augmentation,
        [_, height, width]: [usize; 3],
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let mut origin = [0; 2];
        if augmentation.pad > 0 {
            let pad = augmentation.pad as isize;
            origin = [(); 2].map(|()| rng.random_range(0..=2 * augmentation.pad) as isize - pad);
        }
        let flip = augmentation.flip && rng.random();
        let hole = (augmentation.cutout > 0).then(|| {
            let mut around = |length: usize| {
                let centre = rng.random_range(0..length);
                let start = centre as isize - (augmentation.cutout / 2) as isize;
                let end = start.saturating_add_unsigned(augmentation.cutout);
                (
                    start.max(0).unsigned_abs(),
                    end.max(0).unsigned_abs().min(length),
                )
            };
            let ((top, bottom), (left, right)) = (around(height), around(width));
            Hole {
                top,
                bottom,
                left,
                right,
            }
        });
        Self { origin, flip, hole }
    }

    /// Appends `image`, `[channels, height, width]`, as it is shown, every value converted. Black is the default of `T`.
    pub(crate) fn write<S: Copy, T: Copy + Default>(
        &self,
        image: &[S],
        [_, height, width]: [usize; 3],
        convert: impl Fn(S) -> T,
        out: &mut Vec<T>,
    ) {
        let [down, right] = self.origin;
        // The columns of the image that are seen, and the black ones on either side.
        let first = right.max(0).unsigned_abs().min(width);
        let last = width.saturating_add_signed(right.min(0)).max(first);
        let before = right.min(0).unsigned_abs().min(width);
        for plane in image.chunks_exact(height * width) {
            let start = out.len();
            out.resize(start + plane.len(), T::default());
            let Some(shown) = out.get_mut(start..) else {
                continue;
            };
            for (y, row) in shown.chunks_exact_mut(width).enumerate() {
                let source = y
                    .checked_add_signed(down)
                    .and_then(|y| plane.chunks_exact(width).nth(y))
                    .and_then(|source| source.get(first..last));
                if let (Some(source), Some(row)) = (source, row.get_mut(before..)) {
                    for (value, &shown) in row.iter_mut().zip(source) {
                        *value = convert(shown);
                    }
                }
                if self.flip {
                    row.reverse();
                }
            }
            if let Some(hole) = &self.hole {
                let rows = shown.chunks_exact_mut(width).take(hole.bottom);
                for row in rows.skip(hole.top) {
                    if let Some(black) = row.get_mut(hole.left..hole.right) {
                        black.fill(T::default());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::stream::augmentation_stream;

    const SHAPE: [usize; 3] = [2, 5, 4];

    fn image() -> Vec<u8> {
        (1..=40).collect()
    }

    fn shown(placement: &Placement) -> Vec<u8> {
        let mut out = vec![];
        placement.write(&image(), SHAPE, |byte| byte, &mut out);
        out
    }

    fn placement(augmentation: &Augmentation, index: usize) -> Placement {
        Placement::draw(augmentation, SHAPE, &mut augmentation_stream(0, 0, index))
    }

    /// The definition, pixel by pixel.
    fn expected(placement: &Placement) -> Vec<u8> {
        let [channels, height, width] = SHAPE.map(|side| side as isize);
        let mut out = vec![];
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let hole = placement.hole.as_ref().is_some_and(|hole| {
                        (hole.top..hole.bottom).contains(&(y as usize))
                            && (hole.left..hole.right).contains(&(x as usize))
                    });
                    let unflipped = if placement.flip { width - 1 - x } else { x };
                    let (sy, sx) = (y + placement.origin[0], unflipped + placement.origin[1]);
                    let inside = (0..height).contains(&sy) && (0..width).contains(&sx);
                    out.push(match inside && !hole {
                        true => image()[((c * height + sy) * width + sx) as usize],
                        false => 0,
                    });
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn every_pixel_is_where_its_definition_says(
            pad in 0usize..4,
            flip: bool,
            cutout in 0usize..=4,
            index: usize,
        ) {
            let augmentation = Augmentation { pad, flip, cutout, random_resized_crop: false };
            let placement = placement(&augmentation, index);
            prop_assert_eq!(shown(&placement), expected(&placement));
            let pad = pad as isize;
            prop_assert!(placement.origin.iter().all(|at| (-pad..=pad).contains(at)));
        }
    }

    #[test]
    fn without_augmentation_nothing_changes() {
        assert_eq!(shown(&placement(&Augmentation::default(), 3)), image());
    }

    #[test]
    fn all_shifts_and_both_directions_come_up_evenly() {
        let augmentation = Augmentation {
            pad: 2,
            flip: true,
            ..Default::default()
        };
        let drawn: Vec<_> = (0..5000).map(|i| placement(&augmentation, i)).collect();
        for axis in 0..2 {
            for shift in -2..=2 {
                let share = drawn.iter().filter(|p| p.origin[axis] == shift).count();
                assert!((880..1120).contains(&share), "{axis} {shift}: {share}");
            }
        }
        let flipped = drawn.iter().filter(|placement| placement.flip).count();
        assert!((2350..2650).contains(&flipped), "{flipped}");
        // Independently of one another.
        let kinds: HashSet<_> = drawn.iter().map(|p| (p.origin, p.flip)).collect();
        assert_eq!(kinds.len(), 50);
    }

    #[test]
    fn a_hole_is_the_square_around_a_pixel_as_far_as_it_is_inside() {
        let augmentation = Augmentation {
            cutout: 3,
            ..Default::default()
        };
        let holes: HashSet<_> = (0..2000)
            .map(|index| {
                let hole = placement(&augmentation, index).hole.unwrap();
                (hole.top, hole.bottom, hole.left, hole.right)
            })
            .collect();
        let around = |centre: usize, length| (centre.saturating_sub(1), (centre + 2).min(length));
        let all = (0..5).flat_map(|y| {
            (0..4).map(move |x| {
                let ((top, bottom), (left, right)) = (around(y, 5), around(x, 4));
                (top, bottom, left, right)
            })
        });
        assert_eq!(holes, all.collect());
    }
}
